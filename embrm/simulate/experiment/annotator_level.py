"""One annotator of a grid: looked up in both pools, calibrated for each design."""

from typing import Any, TypeAlias

from embrm.exceptions import InvalidInputError
from embrm.pool import CandidatePool
from embrm.simulate.annotation import Annotator
from embrm.simulate.calibration import calibrate
from embrm.simulate.design import PairingDesign
from embrm.simulate.experiment.canonical import canonical
from embrm.simulate.experiment.factors import AtErrorRate

LookedUp: TypeAlias = tuple[Annotator, Annotator | None]
"""An annotator for the training pool, and for the test pool if it knows that."""


class AnnotatorLevel:
    """An annotator, and what becomes of it in two pools.

    Parameters
    ----------
    level : Annotator or AtErrorRate
    train_pool, test_pool : CandidatePool
        It must fit the first: the second it may not know, as an annotator with a
        covariate of the training items does not.

    Attributes
    ----------
    target : float
        Error rate it is set to; NaN where its noise is given.
    content : dict
        Canonical form.

    Raises
    ------
    InvalidInputError
        If it does not fit the training pool, or cannot be written down.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm.simulate import BradleyTerryAnnotator, SamePrompt
    >>> gold = np.random.default_rng(0).normal(size=(2, 400))
    >>> train, test = (
    ...     CandidatePool(np.ones((400, 1)), np.arange(400) // 4, gold=g) for g in gold
    ... )
    >>> level = AnnotatorLevel(AtErrorRate(BradleyTerryAnnotator(), 0.2), train, test)
    >>> set_in_train, set_in_test = level.for_design("same", SamePrompt())
    >>> round(set_in_train.beta, 2), set_in_test == set_in_train
    (1.67, True)
    """

    def __init__(
        self,
        level: Annotator | AtErrorRate,
        train_pool: CandidatePool,
        test_pool: CandidatePool,
    ) -> None:
        self._annotator, rate = (
            (level.annotator, level.error_rate)
            if isinstance(level, AtErrorRate)
            else (level, None)
        )
        self.target = float("nan") if rate is None else float(rate)
        self._calibrated = rate is not None
        self._pools = train_pool, test_pool
        self._set: dict[str, LookedUp | InvalidInputError] = {}
        # Once: the lengths of many texts take longer than a cell.
        self._looked_up = self._look_up(self._annotator)
        self.content: dict[str, Any] = {
            "train": canonical(self._looked_up[0], "annotator"),
            "test": canonical(self._looked_up[1], "annotator"),
            "error_rate": self.target if self._calibrated else None,
        }

    def for_design(self, name: str, design: PairingDesign) -> LookedUp:
        """Set the noise for a design; return the annotator in train and in test.

        Raises
        ------
        InvalidInputError
            If the error rate cannot be met on that design's pairs.
        """
        if not self._calibrated:
            return self._looked_up
        if name not in self._set:
            self._set[name] = self._calibrate(design)
        found = self._set[name]
        if isinstance(found, InvalidInputError):
            raise found
        return found

    def _calibrate(self, design: PairingDesign) -> LookedUp | InvalidInputError:
        train = self._pools[0]
        try:
            annotator = calibrate(
                self._annotator, train, design, self.target, random_state=0
            )
        except InvalidInputError as error:
            return error
        return self._look_up(annotator)

    def _look_up(self, annotator: Annotator) -> LookedUp:
        train, test = self._pools
        try:
            in_test = annotator.for_pool(test)
        except InvalidInputError:
            in_test = None
        return annotator.for_pool(train), in_test
