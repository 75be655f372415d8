"""Choose how texts share their prefixes, and compute several columns in one pass."""

import sys
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embrm._optional import import_optional
from embrm._typing import IntArray
from embrm.embed.base import OnBatch
from embrm.embed.causal.language_model import CausalModel, HiddenLayers
from embrm.embed.causal.passes import has_flex, run_kv, run_padded, run_tree
from embrm.embed.causal.sharing_plan import (
    DENSE_COLUMNS,
    KVStep,
    Machine,
    PrefixGroup,
    TreeStep,
    plan_kv,
    plan_padded,
    plan_tree,
    prefix_groups,
)
from embrm.embed.pooling import Column
from embrm.embed.steps import PaddedStep, TokenBudget, run_steps
from embrm.embed.truncation import FittedTokens
from embrm.exceptions import EmbrmWarning, format_error, warn

TOLERANCE = MappingProxyType({"float32": 1e-4, "bfloat16": 0.05})
"""Largest relative difference, by the dtype in which the model computes.

Rounding alone gives about 5e-7 and 8e-3 over the layers of the models tried."""

_TEXT = (
    "The quick brown fox jumps over the lazy dog, and nine more of them look on. "
    "Why is the sky blue? Because air scatters blue light more than red light."
)
_OWN = (5, 2, 7)
"""Tokens of the continuations."""

Vectors = Sequence[Any]
"""For each column, a torch.Tensor of shape (n_texts, d)."""

Method = Callable[[Sequence[Column]], Vectors]
"""Computes texts of its own for some columns."""


def example_texts(
    tokenizer: Any, *, limit: int, window: int | None
) -> list[FittedTokens]:
    """Make two prefixes of different length, with three continuations and two.

    Parameters
    ----------
    tokenizer : transformers tokenizer
    limit : int
        Tokens of a text at most.
    window : int, optional
        Sliding window of the model. Within the limit, prefixes are longer than it:
        shorter ones would never notice.

    Returns
    -------
    list of FittedTokens
    """
    ids = np.asarray(tokenizer(_TEXT, add_special_tokens=False)["input_ids"])
    longest = limit - max(_OWN)
    wanted = 24 if window is None or window + 12 > longest else window + 8
    prefixes = [min(wanted, longest), min(wanted + 7, longest)]
    return [
        _example(ids, number, max(prefixes[number], 1), own)
        for number, n_texts in enumerate((3, 2))
        for own in _OWN[:n_texts]
    ]


def check_equivalence(
    model: CausalModel,
    layers: Sequence[int],
    texts: Sequence[FittedTokens],
    method: Method,
) -> str | None:
    """Compare a sharing method with the plain forward pass, text by text.

    Run for every model before a method is first used: which kinds of cache, masks and
    positions an architecture supports is not documented. A model that ignores its
    sliding window has a relative error of 1.5, one that counts positions from the mask
    0.07; others raise.

    Parameters
    ----------
    model : CausalModel
    layers : sequence of int
    texts : sequence of FittedTokens
    method : callable
        Takes columns, returns the vectors of the texts.

    Returns
    -------
    str or None
        What is wrong, in short; None if nothing is.
    """
    torch = import_optional("torch", extra="embed")
    columns = [Column(layer, name) for layer in layers for name in _POOLINGS]
    plain = HiddenLayers(
        model.torch_model, layers, n_layers=model.n_layers, is_lean=False
    )
    dtype = str(model.torch_model.dtype).removeprefix("torch.")
    try:
        with torch.inference_mode():
            expected = [run_padded(model, plain, [text], columns) for text in texts]
            got = method(columns)
    # Models, kernels and compilers raise errors of all kinds at what they do not know.
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {str(error)[:100]}"
    for number in range(len(columns)):
        reference = torch.cat([vectors[number] for vectors in expected])
        difference = (got[number] - reference).norm(dim=1) / reference.norm(dim=1)
        largest = float(difference.max())
        # Not ">": NaN is a fault, too.
        if not largest <= TOLERANCE[dtype]:
            return f"a relative difference of {largest:.2g}"
    return None


_POOLINGS = ("last_content", "mean")


def _example(ids: IntArray, number: int, n_shared: int, own: int) -> FittedTokens:
    """Make one text: its beginning depends on `number`, the rest on `own` as well."""
    parts = [np.resize(np.roll(ids, number), n_shared), np.roll(ids, own)[:own]]
    whole = np.concatenate(parts).astype(np.int32)
    return FittedTokens(whole, 0, n_shared, len(whole) - 1)


SHARINGS = ("auto", "kv", "tree", "off")
"""Methods of sharing prefixes, by name; see `CausalLMEncoder`."""

AnyStep = PaddedStep | KVStep | TreeStep


class CausalEngine:
    """Computes one or several kinds of vectors of texts with one model.

    Parameters
    ----------
    model : CausalModel
    columns : sequence of Column
    sharing : {"auto", "kv", "tree", "off"}
    padding_side : {"right", "left"}
        Of batches in which nothing is shared.
    tokenizer : transformers tokenizer
        For the self-test.
    dim : int
        Size of the hidden states.
    limit : int
        Tokens of a text at most.
    """

    def __init__(
        self,
        model: CausalModel,
        columns: Sequence[Column],
        *,
        sharing: str,
        padding_side: str,
        tokenizer: Any,
        dim: int,
        limit: int,
    ) -> None:
        self.model = model
        self.columns = list(columns)
        self.sharing = sharing
        self._padding_side = padding_side
        self._tokenizer = tokenizer
        self._limit = limit
        is_sparse = has_flex(model)
        self._machine = Machine(
            start=128 if model.is_on_gpu else 16,
            floor=1024 if model.is_on_gpu else 0,
            dim=dim,
            tree_columns=sys.maxsize if is_sparse else DENSE_COLUMNS,
            is_sparse=is_sparse,
        )

    def embed(
        self,
        tokens: Sequence[FittedTokens],
        outputs: Sequence[NDArray[np.floating[Any]]],
        *,
        budget: TokenBudget,
        on_batch: OnBatch | None = None,
    ) -> None:
        """Compute vectors and write them into `outputs`, one for each column."""
        if not len(tokens):
            return
        groups = [] if self.sharing == "off" else prefix_groups(tokens)
        method = self.choose(tokens, groups, budget.tokens)
        run_steps(
            tokens,
            partial(self._plan, method, tokens, groups),
            partial(self._run, tokens, self.columns),
            outputs,
            budget=budget,
            on_batch=on_batch,
        )

    def choose(
        self, tokens: Sequence[FittedTokens], groups: Sequence[PrefixGroup], budget: int
    ) -> str:
        """Choose how these texts share: the cheapest method that works with the model.

        Parameters
        ----------
        tokens : sequence of FittedTokens
        groups : sequence of PrefixGroup
        budget : int

        Returns
        -------
        {"kv", "tree", "off"}

        Warns
        -----
        EmbrmWarning
            Once for a model with which no sharing passes the self-test.
        """
        if not any(group.n_shared for group in groups):
            return "off"
        methods = [self.sharing]
        if self.sharing == "auto":
            rows = range(len(tokens))
            costs = {
                method: sum(
                    s.cost for s in self._plan(method, tokens, groups, rows, budget)
                )
                for method in ("off", "kv", "tree")
            }
            methods = sorted(costs, key=costs.__getitem__)
        faults = []
        for method in methods:
            if method == "off":
                break
            fault = self._fault(method)
            if fault is None:
                return method
            faults.append(f"{fault} with {method!r}")
        if faults:
            self._warn_once("; ".join(faults))
        return "off"

    def _plan(
        self,
        method: str,
        tokens: Sequence[FittedTokens],
        groups: Sequence[PrefixGroup],
        rows: Sequence[int],
        budget: int,
    ) -> Sequence[AnyStep]:
        """Plan what is left to do."""
        if method == "off":
            return plan_padded(tokens, rows, budget, self._machine)
        plan = plan_kv if method == "kv" else plan_tree
        left = _restricted(groups, rows)
        steps: Sequence[AnyStep] = plan(tokens, left, budget, self._machine)
        return steps

    def _run(
        self, tokens: Sequence[FittedTokens], columns: Sequence[Column], step: AnyStep
    ) -> list[Any]:
        """Compute the vectors of one step, in the order of its rows."""
        torch = import_optional("torch", extra="embed")
        model, states = self.model, self._states
        with torch.inference_mode():
            if isinstance(step, KVStep):
                return run_kv(model, states, tokens, step, columns)
            if isinstance(step, TreeStep):
                return run_tree(model, states, tokens, step, columns)
            texts = [tokens[row] for row in step.rows]
            return run_padded(model, states, texts, columns, side=self._padding_side)

    @property
    def _layers(self) -> tuple[int, ...]:
        return tuple(sorted({column.layer for column in self.columns}))

    @cached_property
    def _states(self) -> HiddenLayers:
        """The model, run without waste where that gives the right states."""
        make = partial(
            HiddenLayers,
            self.model.torch_model,
            self._layers,
            n_layers=self.model.n_layers,
        )
        lean = make()
        fault = self._verdict(
            "lean", lambda texts: partial(run_padded, self.model, lean, texts)
        )
        return lean if fault is None else make(is_lean=False)

    def _fault(self, method: str) -> str | None:
        """Return what is wrong with a sharing method."""

        def shared(texts: Sequence[FittedTokens]) -> Method:
            groups = prefix_groups(texts, min_shared=1)
            budget = sum(len(text) for text in texts)
            steps = self._plan(method, texts, groups, range(len(texts)), budget)
            return lambda columns: self._run_all(texts, columns, steps)

        return self._verdict(method, shared)

    def _verdict(
        self, name: str, method: Callable[[Sequence[FittedTokens]], Method]
    ) -> str | None:
        """Return what is wrong with a method; tested once for each model."""
        key, verdicts = (name, self._layers), self.model.verdicts
        if key not in verdicts:
            texts = self._examples
            verdicts[key] = check_equivalence(
                self.model, self._layers, texts, method(texts)
            )
        return verdicts[key]

    def _run_all(
        self,
        tokens: Sequence[FittedTokens],
        columns: Sequence[Column],
        steps: Sequence[AnyStep],
    ) -> list[Any]:
        """Compute the vectors of a whole plan, in the order of the texts."""
        torch = import_optional("torch", extra="embed")
        order = np.argsort([row for step in steps for row in step.rows])
        parts = [self._run(tokens, columns, step) for step in steps]
        return [torch.cat(column)[order] for column in zip(*parts, strict=True)]

    @cached_property
    def _examples(self) -> list[FittedTokens]:
        window = getattr(self.model.text_config, "sliding_window", None)
        return example_texts(self._tokenizer, limit=self._limit, window=window)

    def _warn_once(self, got: str) -> None:
        if self.model.verdicts.setdefault("warned", None) is None:
            self.model.verdicts["warned"] = got
            message = format_error(
                expected="the same vectors with and without shared prefixes",
                got=got,
                fix="nothing to do: each text is computed by itself, as with "
                "sharing='off'; pass that to be spared this test",
            )
            warn(message, EmbrmWarning)


def _restricted(
    groups: Sequence[PrefixGroup], rows: Sequence[int]
) -> list[PrefixGroup]:
    """Keep some texts of groups; what is left alone shares nothing."""
    wanted = set(rows)
    kept = [(tuple(r for r in g.rows if r in wanted), g.n_shared) for g in groups]
    return [PrefixGroup(r, n if len(r) > 1 else 0) for r, n in kept if r]
