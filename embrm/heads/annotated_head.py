"""AnnotatedHead: base of heads that can be told who labelled each pair."""

from abc import abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import AnyArray, IntArray
from embrm.exceptions import InvalidInputError, three_parts
from embrm.heads.base import RewardHead
from embrm.heads.comparisons import make_comparisons


class AnnotatedHead(RewardHead):
    """Base of heads that estimate how often annotators err, or hold heads that do.

    Attributes
    ----------
    reads_in_place : bool
        Class attribute: whether `fit` leaves a large item matrix where it lies.
    """

    reads_in_place: ClassVar[bool] = False

    @property
    @abstractmethod
    def estimates_noise(self) -> bool:
        """Whether annotators would be of use to `fit`."""

    @abstractmethod
    def _name_annotators(self, names: AnyArray) -> None:
        """Put names to the numbers of annotators that the head was fitted with."""

    def fit(
        self,
        pairs: Any,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        margin: ArrayLike | None = None,
        annotator: ArrayLike | None = None,
    ) -> Self:
        """Fit the head on comparisons.

        Parameters
        ----------
        pairs, y, sample_weight, margin
            As for every head, see `RewardHead.fit`.
        annotator : array-like of int or str of shape (n_pairs,), optional
            Who labelled each pair; needs a Bradley-Terry head with noise="estimate".

        Returns
        -------
        self
        """
        names, codes = None, None
        if annotator is not None:
            self._check_use()
            names, codes = name_annotators(annotator)
        comparisons = make_comparisons(
            pairs,
            y,
            sample_weight,
            margin,
            annotator=codes,
            in_place=self.reads_in_place,
        )
        self.fit_comparisons(comparisons)
        if names is not None:
            self._name_annotators(names)
        return self

    def _check_use(self) -> None:
        if not self.estimates_noise:
            raise InvalidInputError(
                three_parts(
                    expected="annotator with noise='estimate'",
                    got=f"a {type(self).__name__} that estimates no flip rate",
                    cure="drop annotator, or set noise='estimate'",
                )
            )


def name_annotators(annotator: ArrayLike) -> tuple[AnyArray, IntArray]:
    """Return the names of annotators, sorted, and the number of each pair's.

    Examples
    --------
    >>> name_annotators(["bob", "ann", "bob"])
    (array(['ann', 'bob'], dtype='<U3'), array([1, 0, 1]))
    """
    array = np.asarray(annotator)
    if array.ndim != 1 or array.dtype.kind not in "iuUO":
        raise InvalidInputError(
            three_parts(
                expected="annotator of shape (n_pairs,), integers or strings",
                got=f"shape {array.shape}, dtype {array.dtype}",
                cure="say for each pair who labelled it",
            )
        )
    if array.dtype.kind == "O":
        array = array.astype(str)
    names, codes = np.unique(array, return_inverse=True)
    return names, codes
