"""RewardModel: a frame of text goes in, rewards come out.

Encoder, vector cache and head in one object, with pandas in and pandas out.
"""

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from textwrap import fill
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from embrm._typing import BoolArray, FloatArray, IntArray, Text
from embrm._validation import check_parameters
from embrm.datasets import Preferences, ReadReport, read_preferences
from embrm.datasets.reading import OnError
from embrm.embed.base import Encoder, Fingerprint, recognise
from embrm.embed.cache import VectorCache
from embrm.embed.run import Embedded, embed_items
from embrm.evaluate.scores import Evaluation, evaluate_deltas
from embrm.exceptions import (
    LeakageWarning,
    warn,
)
from embrm.heads.registry import describe_heads, make_head
from embrm.model._encoders import check_dim, check_same_encoder, made_encoder
from embrm.model.frames import (
    item_texts,
    prompt_hashes,
    read_pairs,
    response_lengths,
    row_prompts,
    with_pairs,
)
from embrm.model.style_control import StyleControl, evaluate_style, style_of
from embrm.model.training_data import training_data
from embrm.pairs import Pairs


class RewardModel(BaseEstimator):
    """Encoder, cache and head in one: fit on a frame of preferences, reward a frame.

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
        For a seed, `make_head("siamese", random_state=0)`. `embrm heads` says what
        each is good for, and what it learns from.
    cache : path or VectorCache, optional
        Directory in which vectors are kept; None embeds again each time.
    columns : mapping of str to str, optional
        Names of your columns by embrm's, e.g. `{"prompt": "question"}`.
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
        progress: bool | None = None,
    ) -> None:
        self.encoder = encoder
        self.head = head
        self.cache = cache
        self.columns = columns
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
        cache: str | PathLike[str] | VectorCache | None = None,
    ) -> Self:
        """Assemble a fitted model from a fitted head and what is known about it."""
        model = cls(encoder=encoder, head=head, cache=cache)
        model._encoder()
        model.fingerprint_ = fingerprint
        model.head_ = head
        model.training_prompts_ = training_prompts
        model.training_ = dict(training)
        return model

    def fit(
        self,
        data: Any,
        *,
        format: str | None = None,  # noqa: A002
        on_error: OnError = "raise",
    ) -> Self:
        """Embed preferences and fit the head on them.

        Parameters
        ----------
        data : DataFrame, path or Preferences
            Any format of `embrm.datasets`: `prompt, chosen, rejected`, or `prompt,
            response, score`, or `prompt, responses, ranking`, ... What the head
            learns from is made of it; see `embrm.model.training_data`. A column
            `annotator` is passed to heads with noise="estimate", lengths to heads
            that take length out, scores beside pairs to `TwoStageReward`.
        format : str, optional
            Name of the format; None detects it by the columns.
        on_error : {"raise", "skip", "skip-uninformative"}, default="raise"
            Whether a bad row stops the fit or is left out and counted; see
            `read_preferences`.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If a row is bad (with `on_error="raise"`), or the data cannot feed the
            head; nothing was embedded then.
        """
        preferences = self.read(data, format=format, on_error=on_error)
        vectors = self.embed(preferences.texts).vectors
        return self.fit_pairs(preferences, self.to_pairs(preferences, vectors))

    @property
    def blocks(self) -> dict[str, slice] | None:
        """Columns of each encoder where there are several, else None."""
        return getattr(self._encoder(), "blocks", None)

    def to_pairs(self, preferences: Preferences, vectors: FloatArray) -> Pairs:
        """Make the pairs of preferences, with this model's blocks.

        Parameters
        ----------
        preferences : Preferences
        vectors : ndarray of shape (n_items, d)
            What `embed(preferences.texts).vectors` is.
        """
        return preferences.to_pairs(vectors).with_blocks(self.blocks)

    def fit_pairs(self, preferences: Preferences, pairs: Pairs) -> Self:
        """Fit the head on preferences whose vectors are given.

        Parameters
        ----------
        preferences : Preferences
        pairs : Pairs
            What `to_pairs` makes of vectors of this model's encoder.

        Returns
        -------
        self
        """
        fingerprint = self._encoder().fingerprint
        check_dim(pairs, fingerprint)
        head = self._unfitted_head()
        data = training_data(head, preferences)
        # Nothing is set before the fit is through: a fitted model stays what it was.
        self.head_ = data.fit(head, pairs)
        self.fingerprint_ = fingerprint
        self.read_report_ = preferences.read_report
        self.training_prompts_ = np.unique(prompt_hashes(preferences.items["prompt"]))
        self.training_ = {
            "learns_from": data.learns_from,
            "n_pairs": len(pairs),
            "n_items": len(preferences.items),
            "n_prompts": int(preferences.items["prompt_id"].nunique()),
            **data.facts,
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
    ) -> Preferences:
        """Read preferences as `fit` does, and check that they can feed the head.

        Returns
        -------
        Preferences
            Ratings and good-or-bad labels become all same-prompt pairs as well; there
            may be none where the head does not need them.

        Raises
        ------
        DataError
            If the data cannot feed the head; names the heads that would fit.
        """
        preferences = self._read(data, format=format, on_error=on_error)
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
        encoder = self._encoder()
        recognise(encoder, [self.fingerprint_])
        check_same_encoder(self.fingerprint_, encoder.fingerprint)

    def reward(
        self, df: pd.DataFrame, *, control: Literal["style"] | None = None
    ) -> pd.Series:
        """Compute the reward of items.

        Parameters
        ----------
        df : DataFrame with columns `prompt` and `response`
        control : {"style"}, optional
            Give the reward net of style: less what goes with length, lists, markup and
            the like over the items that were fitted on, within their prompts.

        Returns
        -------
        Series named "reward", with the index of `df`
            In nats for Bradley-Terry heads, defined up to a constant.

        Raises
        ------
        DataError
            If a column is missing or a text is not text; names the row.
        FingerprintMismatchError
            If the encoder is not the one the head was fitted with.
        InvalidInputError
            If style is to be controlled for, and the model was saved before that was.
        """
        check_is_fitted(self, "head_")
        check_parameters({"control": control}, {"control": ["style", None]})
        texts = item_texts(df, self.columns)
        rewards = self.head_.reward(self._vectors(texts))
        if control == "style":
            rewards = rewards - self.style_control.owed(style_of(texts))
        return pd.Series(rewards, index=df.index, name="reward")

    @property
    def style_control(self) -> StyleControl:
        """What the fitted reward owes to style; see `embrm.model.style_control`.

        Raises
        ------
        InvalidInputError
            If the model was saved before there was such.
        """
        check_is_fitted(self, "head_")
        return StyleControl.from_json(self.training_.get("style"))

    def rank(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return `df` with columns `reward` and `rank` within each prompt (1 is best).

        Equal rewards share the better rank.
        """
        reward = self.reward(df)
        by_prompt = reward.groupby(row_prompts(df, self.columns), sort=False)
        rank = by_prompt.rank(ascending=False, method="min").astype(int)
        return df.assign(reward=reward, rank=rank)

    def best_of_n(self, df: pd.DataFrame) -> pd.DataFrame:
        """Keep for each prompt the row with the highest reward, in order of `df`.

        Of equal rewards the first row wins. The column `reward` is added.
        """
        rewarded = df.assign(reward=self.reward(df))
        by_position = pd.Series(rewarded["reward"].to_numpy())
        prompts = row_prompts(df, self.columns)
        best = by_position.groupby(prompts, sort=False).idxmax()
        return rewarded.iloc[np.sort(best.to_numpy(np.intp))]

    def decision_function(self, df: Any) -> FloatArray:
        """Compute delta of each pair of a pair frame, shape (n_pairs,), in nats."""
        check_is_fitted(self, "head_")
        return np.asarray(
            self.head_.decision_function(self._pairs(self._read_pairs(df)))
        )

    def predict_proba(self, df: Any) -> FloatArray:
        """Compute probabilities (n_pairs, 2): column 1 is P(first preferred).

        In frames with `chosen` and `rejected`, first is chosen.
        """
        check_is_fitted(self, "head_")
        pairs = self._pairs(self._read_pairs(df))
        return np.asarray(self.head_.predict_proba(pairs))

    def predict(self, df: Any) -> IntArray:
        """Say which item of each pair is preferred: 1 for first, 0 for second."""
        return (self.decision_function(df) > 0).astype(np.intp)

    def score(self, df: Any) -> float:
        """Compute order consistency with the labels of a pair frame."""
        check_is_fitted(self, "head_")
        preferences = self._read_pairs(df)
        pairs = self._pairs(preferences)
        return float(self.head_.score(pairs, preferences.y, preferences.weight))

    def evaluate(
        self,
        data: Any,
        *,
        format: str | None = None,  # noqa: A002
        on_error: OnError = "raise",
        random_state: int = 0,
    ) -> Evaluation:
        """Evaluate the head on preferences: every metric with a 95% interval.

        Prompts that were fitted on give optimistic figures; a `LeakageWarning` says
        how many there are.

        Returns
        -------
        Evaluation
            Order consistency with the length baseline beside it, log loss, Brier
            score and calibration error.
        """
        preferences = self._read_pairs(data, format=format, on_error=on_error)
        seen = self.seen_pairs(preferences)
        if seen.any():
            warn(
                f"{int(seen.sum())} of {len(seen)} pairs have a prompt that the head "
                "was fitted on; these figures are optimistic",
                LeakageWarning,
            )
        return self.evaluate_preferences(preferences, random_state=random_state)

    def evaluate_preferences(
        self, preferences: Preferences, *, random_state: int = 0
    ) -> Evaluation:
        """Evaluate the head on preferences, without a check for leakage."""
        check_is_fitted(self, "head_")
        pairs = self._pairs(preferences)
        return evaluate_deltas(
            self.head_.decision_function(pairs),
            preferences.y,
            groups=pairs.groups,
            lengths=response_lengths(preferences),
            sample_weight=preferences.weight,
            random_state=random_state,
        )

    def evaluate_style(
        self, preferences: Preferences, *, random_state: int = 0
    ) -> dict[str, Evaluation]:
        """Evaluate what of the reward is style: alone, net of it, and the whole.

        Returns
        -------
        dict of str to Evaluation
            `style alone` (a linear reward of style features, fitted on the same
            training pairs; left out where there were none), `net of style`, and
            `reward`.
        """
        return evaluate_style(
            self.style_control,
            preferences,
            self._pairs(preferences),
            self.head_,
            random_state=random_state,
        )

    def seen_pairs(self, preferences: Preferences) -> BoolArray:
        """Mark the pairs with a prompt that was fitted on: bool of shape (n_pairs,)."""
        check_is_fitted(self, "head_")
        hashes = prompt_hashes(preferences.items["prompt"])
        seen = np.isin(hashes, self.training_prompts_)
        first, second = (
            preferences.pairs[end].to_numpy() for end in ("first", "second")
        )
        either: BoolArray = seen[first] | seen[second]
        return either

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
        if isinstance(data, Preferences):
            return with_pairs(data)
        return with_pairs(read_preferences(data, columns=self.columns, **options))

    def _read_pairs(self, data: Any, **options: Any) -> Preferences:
        return read_pairs(data, columns=self.columns, **options)

    def _encoder(self) -> Encoder:
        """Return the encoder of the parameter, made once."""
        if getattr(self, "_made_from", None) is not self.encoder:
            self.encoder_ = made_encoder(self.encoder)
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
