"""Choose how texts share their beginnings, and compute several columns in one pass."""

import sys
import warnings
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embrm._optional import import_optional
from embrm.embed.base import OnBatch
from embrm.embed.causal.hidden_layers import HiddenLayers
from embrm.embed.causal.language_model import CausalModel
from embrm.embed.causal.padded_rows import run_padded
from embrm.embed.causal.prefix_groups import PrefixGroup, prefix_groups
from embrm.embed.causal.prefix_kv import run_kv
from embrm.embed.causal.self_test import example_texts, find_fault
from embrm.embed.causal.sharing_plan import (
    DENSE_COLUMNS,
    KVStep,
    Machine,
    TreeStep,
    plan_kv,
    plan_padded,
    plan_tree,
)
from embrm.embed.causal.tree_rows import has_flex, run_tree
from embrm.embed.pooling import Column
from embrm.embed.steps import PaddedStep, TokenBudget, run_steps
from embrm.embed.truncation import FittedTokens
from embrm.exceptions import EmbrmWarning, three_parts

SHARINGS = ("auto", "kv", "tree", "off")
"""Ways to share beginnings, by name; see `CausalLMEncoder`."""

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
        way = self.choose(tokens, groups, budget.tokens)
        run_steps(
            tokens,
            partial(self._plan, way, tokens, groups),
            partial(self._run, tokens, self.columns),
            outputs,
            budget=budget,
            on_batch=on_batch,
        )

    def choose(
        self, tokens: Sequence[FittedTokens], groups: Sequence[PrefixGroup], budget: int
    ) -> str:
        """Choose how these texts share: the cheapest way that works with the model.

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
        ways = [self.sharing]
        if self.sharing == "auto":
            rows = range(len(tokens))
            costs = {
                way: sum(s.cost for s in self._plan(way, tokens, groups, rows, budget))
                for way in ("off", "kv", "tree")
            }
            ways = sorted(costs, key=costs.__getitem__)
        faults = []
        for way in ways:
            if way == "off":
                break
            fault = self._fault(way)
            if fault is None:
                return way
            faults.append(f"{fault} with {way!r}")
        if faults:
            self._warn_once("; ".join(faults))
        return "off"

    def _plan(
        self,
        way: str,
        tokens: Sequence[FittedTokens],
        groups: Sequence[PrefixGroup],
        rows: Sequence[int],
        budget: int,
    ) -> Sequence[AnyStep]:
        """Plan what is left to do."""
        if way == "off":
            return plan_padded(tokens, rows, budget, self._machine)
        plan = plan_kv if way == "kv" else plan_tree
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
        key = ("lean", self._layers)
        if key not in self.model.verdicts:
            texts = self._examples
            self.model.verdicts[key] = find_fault(
                self.model,
                self._layers,
                texts,
                partial(run_padded, self.model, lean, texts),
            )
        return lean if self.model.verdicts[key] is None else make(is_lean=False)

    def _fault(self, way: str) -> str | None:
        """Say what is wrong with a way of sharing; tested once for each model."""
        key = (way, self._layers)
        if key not in self.model.verdicts:
            texts = self._examples
            groups = prefix_groups(texts, min_shared=1)
            budget = sum(len(text) for text in texts)
            steps = self._plan(way, texts, groups, range(len(texts)), budget)
            self.model.verdicts[key] = find_fault(
                self.model,
                self._layers,
                texts,
                lambda columns: self._run_all(texts, columns, steps),
            )
        return self.model.verdicts[key]

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
            message = three_parts(
                expected="the same vectors with and without shared beginnings",
                got=got,
                cure="nothing to do: each text is computed by itself, as with "
                "sharing='off'; pass that to be spared this test",
            )
            warnings.warn(message, EmbrmWarning, stacklevel=2)


def _restricted(
    groups: Sequence[PrefixGroup], rows: Sequence[int]
) -> list[PrefixGroup]:
    """Keep some texts of groups; what is left alone shares nothing."""
    wanted = set(rows)
    kept = [(tuple(r for r in g.rows if r in wanted), g.n_shared) for g in groups]
    return [PrefixGroup(r, n if len(r) > 1 else 0) for r, n in kept if r]
