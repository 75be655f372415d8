"""RewardModel: a frame of text goes in, rewards come out.

Encoder, vector cache and head in one object, with pandas in and pandas out.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from textwrap import fill
from typing import Any, Literal, Self, overload

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from embrm._typing import FloatArray, IntArray, Text
from embrm._validation import check_level, check_parameters
from embrm.datasets import Preferences, ReadReport, read_preferences
from embrm.datasets.paired import read_pairs, with_pairs
from embrm.datasets.prompt_sketches import PromptSketches, sketch_prompts
from embrm.datasets.reading import OnError
from embrm.embed.base import Encoder, Fingerprint, check_same_encoder, recognise
from embrm.embed.cache import VectorCache
from embrm.embed.registry import as_encoder
from embrm.embed.run import Embedded, embed_items
from embrm.evaluate.uncertainty import reward_interval
from embrm.exceptions import invalid_input, warn
from embrm.heads.registry import describe_heads, make_head
from embrm.heads.uncertain_reward import UncertainRewardHead, check_uncertain
from embrm.model.items import RanksItems, RowItems, prompt_hashes, prompts_of
from embrm.model.judging_pairs import JudgesPairs
from embrm.model.style_control import StyleControl, check_style_block, style_of
from embrm.model.training_data import training_data
from embrm.pairs import Pairs


class RewardModel(RanksItems, JudgesPairs, BaseEstimator):
    r"""Encoder, cache and head in one: fit on a frame of preferences, reward a frame.

    Parameters
    ----------
    encoder : str, Encoder or list of them, default="smollm2"
        A name that `embrm.embed.registry` knows, or an encoder. Several are combined,
        each as a block of columns with a prior of its own, and cached by itself:
        `["minilm", "style"]`, or `"minilm+style"`. `"smollm2"` is the mean
        over the response at layer 20 of 30 of SmolLM2-135M-Instruct; `"minilm"` takes a
        tenth of its time and orders fewer pairs right; `"hashing"` knows words only; a
        local directory, a GGUF file or a hub id names another model.
    head : str or RewardHead, default="linear"
        A head, which is cloned, or the name of one:
        ALL_HEADS.
        For a seed, `make_head("siamese", random_state=0)`. `embrm heads` says more.
    cache : path or VectorCache, optional
        Directory in which vectors are kept; None embeds again each time.
    columns : mapping of str to str, optional
        Names of your columns by embrm's, e.g. `{"prompt": "question"}`.
    prompt_template : str, optional
        Writes prompts from several columns: `"{instruction}\n{input}"`.
    progress : bool, optional
        Show a progress bar while embedding; None shows it on a terminal.

    Attributes
    ----------
    head_ : RewardHead
        The fitted head.
    encoder_ : Encoder
        The encoder of that parameter; made again when the parameter changes.
    fingerprint_ : Fingerprint
        The encoder whose vectors the head was fitted on. Those of others raise.
    read_report_ : ReadReport
        What `fit` read, kept, and left out; a loaded model has it in `training_`.
    training_ : dict
        Sizes and read report of the training data, ready for JSON.
    training_prompts_ : ndarray of uint64
        Sorted hashes of the prompts that were fitted on, to notice leakage.
    training_sketches_ : PromptSketches or None
        Sketches of these, to notice near-duplicates where those were grouped.
    fit_seconds_ : float or None
        Wall time of the head's fit alone; None in models of embrm 0.1.

    Examples
    --------
    >>> import pandas as pd
    >>> from embrm import RewardModel
    >>> df = pd.DataFrame(
    ...     {
    ...         "prompt": ["Add 2 and 2", "Name a fruit"] * 2,
    ...         "chosen": ["It is 4", "An apple", "Four", "A pear"],
    ...         "rejected": ["It is 5", "A car", "Five", "A bus"],
    ...     }
    ... )
    >>> model = RewardModel(encoder="hashing").fit(df)
    >>> items = pd.DataFrame(
    ...     {"prompt": ["Add 2 and 2"] * 2, "response": ["It is 4", "It is 5"]},
    ...     index=["a", "b"],
    ... )
    >>> model.rank(items)["rank"].to_dict()
    {'a': 1, 'b': 2}
    """

    def __init__(
        self,
        encoder: str | Encoder | Sequence[str | Encoder] = "smollm2",
        head: Any = "linear",
        cache: str | PathLike[str] | VectorCache | None = None,
        *,
        columns: Mapping[str, str] | None = None,
        prompt_template: str | None = None,
        progress: bool | None = None,
    ) -> None:
        self.encoder = encoder
        self.head = head
        self.cache = cache
        self.columns = columns
        self.prompt_template = prompt_template
        self.progress = progress

    @classmethod
    def from_parts(
        cls,
        *,
        encoder: str | Encoder,
        head: Any,
        fingerprint: Fingerprint,
        training_prompts: IntArray,
        training: Mapping[str, Any],
        training_sketches: PromptSketches | None = None,
        fit_seconds: float | None = None,
        cache: str | PathLike[str] | VectorCache | None = None,
    ) -> Self:
        """Assemble a fitted model from a fitted head and what is known about it."""
        model = cls(encoder=encoder, head=head, cache=cache)
        model._encoder()
        model.columns = training.get("columns")
        model.prompt_template = training.get("prompt_template")
        model.fingerprint_, model.head_ = fingerprint, head
        model.training_prompts_ = training_prompts
        model.training_sketches_ = training_sketches
        model.training_, model.fit_seconds_ = dict(training), fit_seconds
        return model

    def fit(
        self,
        data: Any,
        *,
        format: str | None = None,  # noqa: A002
        on_error: OnError = "raise",
        group_near_duplicates: bool = False,
        **reading: Any,
    ) -> Self:
        """Embed preferences and fit the head on them.

        Parameters
        ----------
        data : DataFrame, path or Preferences
            Any format of `embrm.datasets`: `prompt, chosen, rejected`, or `prompt,
            response, score`, ... What the head learns from is made of it; see
            `embrm.model.training_data`. A column `annotator` goes to heads with
            noise="estimate", scores beside pairs to `TwoStageReward`.
        format : str, optional
            Name of the format; None detects it by the columns.
        on_error : {"raise", "skip", "skip-uninformative"}, default="raise"
            Whether a bad row stops the fit or is left out and counted; see
            `read_preferences`.
        group_near_duplicates : bool, default=False
            Whether near-duplicate prompts are one prompt: in the validation splits of
            the head, and later where `evaluate` looks for prompts that were fitted on.
        **reading
            Further options of `read_preferences`: `winner`, `lower_is_better`, ...

        Returns
        -------
        self

        Raises
        ------
        DataError
            If a row is bad, or the data cannot feed the head; before any embedding.
        """
        preferences = self.read(data, format=format, on_error=on_error, **reading)
        vectors = self.embed(preferences.texts).vectors
        near = {"group_near_duplicates": group_near_duplicates}
        pairs = self.to_pairs(preferences, vectors, **near)
        return self.fit_pairs(preferences, pairs, **near)

    @property
    def blocks(self) -> dict[str, slice] | None:
        """Columns of each encoder where there are several, else None."""
        return getattr(self._encoder(), "blocks", None)

    def to_pairs(
        self,
        preferences: Preferences,
        vectors: FloatArray,
        *,
        group_near_duplicates: bool = False,
    ) -> Pairs:
        """Make the pairs of preferences, with this model's blocks.

        Parameters
        ----------
        preferences : Preferences
        vectors : ndarray of shape (n_items, d)
            What `embed(preferences.texts).vectors` is.
        group_near_duplicates : bool, default=False
            As in `fit`.
        """
        pairs = preferences.to_pairs(
            vectors, group_near_duplicates=group_near_duplicates
        )
        return pairs.with_blocks(self.blocks)

    def fit_pairs(
        self,
        preferences: Preferences,
        pairs: Pairs,
        *,
        group_near_duplicates: bool = False,
    ) -> Self:
        """Fit the head on preferences whose vectors are given.

        Parameters
        ----------
        preferences : Preferences
        pairs : Pairs
            What `to_pairs` makes of vectors of this model's encoder, with the same
            `group_near_duplicates`.
        group_near_duplicates : bool, default=False
            As in `fit`.

        Returns
        -------
        self
        """
        fingerprint = self._encoder().fingerprint
        if pairs.shape[2] != fingerprint.dim:
            raise invalid_input(
                expected=f"vectors of {fingerprint.describe()}, d = {fingerprint.dim}",
                got=f"d = {pairs.shape[2]}",
                fix="take them from this model's embed(preferences.texts)",
            )
        head = self._unfitted_head()
        data = training_data(head, preferences)
        start = time.perf_counter()
        # Nothing is set before the fit is through.
        self.head_ = data.fit(head, pairs)
        self.fit_seconds_: float | None = time.perf_counter() - start
        self.fingerprint_ = fingerprint
        self.read_report_ = preferences.read_report
        self.training_prompts_ = np.unique(prompt_hashes(preferences.items["prompt"]))
        self.training_sketches_ = (
            sketch_prompts(prompts_of(preferences)) if group_near_duplicates else None
        )
        self.training_ = {
            "learns_from": data.learns_from,
            "n_pairs": len(pairs),
            "n_items": len(preferences.items),
            "n_prompts": int(preferences.items["prompt_id"].nunique()),
            **data.facts,
            **self._naming({}),
            "style": StyleControl.of(
                preferences, self.head_.reward(pairs.items), pairs.prompt_ids
            ).to_json(),
            "account": preferences.read_report.to_json(),
        }
        return self

    def read(
        self,
        data: Any,
        *,
        format: str | None = None,  # noqa: A002
        on_error: OnError = "raise",
        **reading: Any,
    ) -> Preferences:
        """Read preferences as `fit` does, and check that they can feed the head.

        Returns
        -------
        Preferences
            Ratings and labels become same-prompt pairs, of which there may be none.

        Raises
        ------
        DataError
            If the data cannot feed the head; names the heads that would fit.
        """
        preferences = self._read(data, format=format, on_error=on_error, **reading)
        training_data(self._unfitted_head(), preferences)
        return preferences

    def embed(self, texts: Iterable[Text]) -> Embedded:
        """Embed (prompt, response) texts with this model's encoder and cache."""
        return embed_items(
            list(texts), self._encoder(), self._vector_cache(), progress=self.progress
        )

    def check_encoder(self) -> None:
        """Check that the encoder is the one that the head was fitted with.

        Raises
        ------
        FingerprintMismatchError
            If it is another one.
        InvalidInputError
            If its files are not where they were.
        """
        check_is_fitted(self, "head_")
        recognise(encoder := self._encoder(), [self.fingerprint_])
        check_same_encoder(self.fingerprint_, encoder.fingerprint)

    @overload
    def reward(
        self, data: Any, *, control: Literal["style"] | None = None
    ) -> "pd.Series[Any] | pd.DataFrame": ...

    @overload
    def reward(
        self, data: Any, *, level: float, control: Literal["style"] | None = None
    ) -> pd.DataFrame: ...

    def reward(
        self,
        data: Any,
        *,
        level: float | None = None,
        control: Literal["style"] | None = None,
    ) -> "pd.Series[Any] | pd.DataFrame":
        """Compute the reward of items, and on demand an interval of each.

        Parameters
        ----------
        data : DataFrame with columns `prompt` and `response`
            Or a path, a list of dicts, a frame of polars, ... as `fit` takes them. A
            response may be messages; a row may hold both sides of a pair, or a list of
            responses.
        level : float in (0, 1), optional
            Of intervals by the head's standard deviations.
        control : {"style"}, optional
            Give the reward net of style: less what goes with length, lists, markup and
            the like over the items that were fitted on, within their prompts.

        Returns
        -------
        Series named "reward", with the index of `data`
            In nats for Bradley-Terry heads, defined up to a constant. Where rows hold
            several responses, a DataFrame with a column for each, `reward_chosen`,
            `reward_rejected`, ..., or of lists, `reward_responses`. With `level`,
            columns `lower` and `upper` besides: normal intervals of the reward less
            its mean over the training items.

        Raises
        ------
        DataError
            If a column is missing or a text is not text; names the row.
        FingerprintMismatchError
            If the encoder is not the one the head was fitted with.
        InvalidInputError
            If the head has no standard deviations, with `level`; if style is to be
            controlled for, and the model was saved before that was.
        """
        check_is_fitted(self, "head_")
        check_parameters({"control": control}, {"control": ["style", None]})
        items = self._items(data)
        owed = self.style_control.owed(style_of(items.texts)) if control else 0.0
        if level is None:
            spread = items.spread(self._rewards(items) - owed, "reward")
            return spread["reward"] if items.is_one_a_row else spread
        check_level(level)
        check_uncertain(self.head_)
        rewards, std = self.head_.reward(self._vectors(items.texts), return_std=True)
        lower, upper = reward_interval(rewards - owed, std, level)
        columns = {"reward": rewards - owed, "lower": lower, "upper": upper}
        parts = [items.spread(values, name) for name, values in columns.items()]
        return pd.concat(parts, axis=1)

    @property
    def net_of(self) -> Literal["style"] | None:
        """What servers and plug-ins take out of the reward: style, if it is a block.

        A policy that is trained on a reward of counts learns to write long lists.
        """
        has_block = self.blocks is not None and "style" in self.blocks
        return "style" if has_block and self.training_.get("style") else None

    def reward_vectors(
        self,
        vectors: FloatArray,
        *,
        with_std: bool = True,
        one_by_one: bool = False,
        control: Literal["style"] | None = None,
    ) -> tuple[FloatArray, FloatArray | None]:
        """Compute rewards of items whose vectors are given, as `reward` does.

        Parameters
        ----------
        vectors : ndarray of shape (n_items, d)
            Of this model's encoder, as `embed` returns them.
        with_std : bool, default=True
            Whether to compute standard deviations, where the head has them.
        one_by_one : bool, default=False
            Reward each vector by itself: together, last bits depend on neighbours.
        control : {"style"}, optional
            Give the reward net of style; only for encoders with a block `style`.

        Returns
        -------
        reward : ndarray of shape (n_items,)
        std : ndarray of shape (n_items,), >= 0, or None
            None where the head has none, or without `with_std`.
        """
        check_is_fitted(self, "head_")
        if one_by_one and len(vectors) > 1:
            given: Any = {"with_std": with_std, "control": control}
            each = [self.reward_vectors(vector[None], **given) for vector in vectors]
            stds = [std for _, std in each if std is not None]
            one = np.concatenate([reward for reward, _ in each])
            return one, np.concatenate(stds) if stds else None
        owed: FloatArray | float = 0.0
        if control is not None:
            style = vectors[:, check_style_block(self.blocks)]
            owed = self.style_control.owed(style.astype(np.float64))
        if with_std and isinstance(self.head_, UncertainRewardHead):
            rewards, std = self.head_.reward(vectors, return_std=True)
            return rewards - owed, std
        return np.asarray(self.head_.reward(vectors)) - owed, None

    def _rewards(self, items: RowItems) -> FloatArray:
        rewards, _ = self.reward_vectors(self._vectors(items.texts), with_std=False)
        return rewards

    def __getstate__(self) -> dict[str, Any]:
        # Open files and locks belong to a process: another one opens its own.
        state = {k: v for k, v in super().__getstate__().items() if k != "cache_"}
        if isinstance(self.cache, VectorCache):
            state["cache"] = self.cache.directory
        return state

    @property
    def account_(self) -> ReadReport:
        """The former name of `read_report_`."""
        warn("RewardModel.account_ is now called read_report_", FutureWarning)
        return self.read_report_

    def __sklearn_clone__(self) -> Self:
        # Encoders never change and caches hold locks: clones share both.
        params = {
            name: value if name in ("encoder", "cache") else clone(value, safe=False)
            for name, value in self.get_params(deep=False).items()
        }
        return type(self)(**params)

    def _unfitted_head(self) -> Any:
        """Return a new head as the parameter names or passes it."""
        return make_head(self.head) if isinstance(self.head, str) else clone(self.head)

    def _read(self, data: Any, **options: Any) -> Preferences:
        if not isinstance(data, Preferences):
            data = read_preferences(data, **self._naming(options))
        return with_pairs(data)

    def _read_pairs(self, data: Any, **options: Any) -> Preferences:
        return read_pairs(data, **self._naming(options))

    def _naming(self, options: Mapping[str, Any]) -> dict[str, Any]:
        columns = self.columns and dict(self.columns)
        return {"columns": columns, "prompt_template": self.prompt_template, **options}

    def _encoder(self) -> Encoder:
        """Return the encoder of the parameter, made once."""
        if getattr(self, "_made_from", None) is not self.encoder:
            self.encoder_ = as_encoder(self.encoder)
            self._made_from = self.encoder
        return self.encoder_

    def _vector_cache(self) -> VectorCache | None:
        if self.cache is None or isinstance(self.cache, VectorCache):
            return self.cache
        # One object per directory: each verifies its segments' checksums once.
        kept: VectorCache | None = getattr(self, "cache_", None)
        if kept is None or kept.directory != Path(self.cache):
            kept = self.cache_ = VectorCache(self.cache)
        return kept

    def _pairs(self, preferences: Preferences) -> Pairs:
        return self.to_pairs(preferences, self._vectors(preferences.texts))

    def _vectors(self, texts: list[Text]) -> FloatArray:
        self.check_encoder()
        return self.embed(texts).vectors


if RewardModel.__doc__ is not None:  # python -OO drops docstrings
    RewardModel.__doc__ = RewardModel.__doc__.replace(
        "ALL_HEADS", fill(describe_heads(), 80, subsequent_indent=" " * 8)
    )
