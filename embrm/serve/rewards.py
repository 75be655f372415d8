"""Rewards of texts by one or several models, the same whatever they come with."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from embrm._typing import FloatArray, Text
from embrm.embed.keys import item_keys
from embrm.exceptions import (
    DataError,
    EmbrmError,
    InvalidInputError,
    format_error,
    invalid_input,
)
from embrm.model import RewardModel
from embrm.serve.vectors import ServingCache

_Z = 1.959963984540054


class Scored(NamedTuple):
    """What models say of one item.

    Attributes
    ----------
    reward : float
        Of the first model.
    std : float or None
        Standard deviation of that reward, where the head has one.
    components : tuple of float
        The reward of each model, in their order, where there are several.
    """

    reward: float
    std: float | None = None
    components: tuple[float, ...] = ()

    @property
    def interval(self) -> tuple[float | None, float | None]:
        """Bounds of the 95% interval, where there is a standard deviation."""
        if self.std is None:
            return None, None
        return self.reward - _Z * self.std, self.reward + _Z * self.std


class Counts(NamedTuple):
    """How a call of `RewardSource.score` came by its vectors."""

    n_embedded: int = 0
    n_truncated: int = 0


class RewardSource:
    """Rewards of texts, by one or several fitted models.

    Rewards are computed item by item: sums of a matrix product are in another order for
    other shapes, so that the last bits of a reward would depend on its neighbours.

    Parameters
    ----------
    models : RewardModel or mapping of str to RewardModel
        Fitted. The first gives the reward; several give components with these names.
    cache : ServingCache, optional
        Where vectors are kept; the models are set to it.
    whole : bool, default=False
        Whether models with a block of style give the whole reward; by default it is
        net of style, so that a policy does not learn to write long lists.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = {"prompt": ["a", "b"], "chosen": ["yes", "so"], "rejected": ["no", "x"]}
    >>> model = RewardModel("hashing:16").fit(pd.DataFrame(rows))
    >>> source = RewardSource(model)
    >>> texts = [("a", "yes"), ("a", "no")]
    >>> better, worse = source.score(texts)
    >>> better.reward > worse.reward, better == source.score(texts[:1])[0]
    (True, True)
    """

    def __init__(
        self,
        models: RewardModel | Mapping[str, RewardModel],
        cache: ServingCache | None = None,
        *,
        whole: bool = False,
    ) -> None:
        named = dict(models) if isinstance(models, Mapping) else {"reward": models}
        if not named:
            raise invalid_input(
                expected="at least one model",
                got="none",
                fix="pass a fitted RewardModel",
            )
        self.models, self.whole = named, whole
        self.cache = ServingCache() if cache is None else cache
        for model in named.values():
            model.check_encoder()
            model.set_params(cache=self.cache, progress=False)
            # A cache that cannot be opened is told now, and not to every client.
            self.cache.open_for(model.encoder_)
        self.counts = Counts()

    @property
    def main(self) -> RewardModel:
        """The model whose reward is the reward."""
        return next(iter(self.models.values()))

    @property
    def component_names(self) -> tuple[str, ...]:
        """Names of the components; none where there is one model."""
        return tuple(self.models) if len(self.models) > 1 else ()

    def knows(self, texts: Sequence[Text]) -> list[bool]:
        """Say of each text whether every model has its vector."""
        keys, known = item_keys(texts), np.ones(len(texts), bool)
        for model in self.models.values():
            known &= self.cache.open_for(model.encoder_).contains(keys)
        return [bool(yes) for yes in known]

    def vectors(self, texts: Sequence[Text]) -> FloatArray:
        """Return the first model's vectors of texts, (n, d)."""
        return self.main.embed(texts).vectors

    def score(self, texts: Sequence[Text]) -> list[Scored]:
        """Reward texts.

        Raises
        ------
        EmbrmError
            If they cannot be embedded, or a reward is not finite.
        """
        columns: list[list[float]] = []
        std: list[float] | None = None
        vectors: dict[str, FloatArray] = {}
        for name, model in self.models.items():
            digest = model.fingerprint_.digest
            if digest not in vectors:
                embedded = model.embed(texts)
                vectors[digest] = embedded.vectors
                if not columns:
                    self.counts = Counts(embedded.n_embedded, embedded.n_truncated)
            rewards, spread = model.reward_vectors(
                vectors[digest],
                one_by_one=True,
                control=None if self.whole else model.net_of,
            )
            _check_finite(name, rewards)
            columns.append(rewards.tolist())
            if len(columns) == 1 and spread is not None:
                std = spread.tolist()
        rows = zip(*columns, strict=True)
        spreads: Sequence[float | None] = [None] * len(texts) if std is None else std
        parts = len(columns) > 1
        return [
            Scored(row[0], spread, row if parts else ())
            for row, spread in zip(rows, spreads, strict=True)
        ]

    def score_each(self, texts: Sequence[Text]) -> list[Scored | EmbrmError]:
        """Reward texts; those that the encoder refuses get their error, alone.

        Raises
        ------
        EmbrmError
            If the encoder fails for another reason than its texts.
        """
        try:
            return list(self.score(texts))
        except (DataError, InvalidInputError) as error:
            if len(texts) == 1:
                return [error]
        middle = len(texts) // 2
        return self.score_each(texts[:middle]) + self.score_each(texts[middle:])


def _check_finite(name: str, rewards: FloatArray) -> None:
    if not np.isfinite(rewards).all():
        raise DataError(
            format_error(
                expected="finite rewards",
                got=f"NaN or infinity from the model {name!r}",
                fix="leave the text out, or fit the model again",
            )
        )
