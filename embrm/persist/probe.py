"""A probe: what a head makes of a few fixed vectors, kept to check a load by.

Arrays of a wrong shape, NaN among weights, a native library that predicts otherwise
than the one that saved: any change to the head shows in its probe.
"""

from typing import Any

import numpy as np

from embrm._typing import FloatArray
from embrm.exceptions import IntegrityError, invalid_input
from embrm.pairs import Pairs

MAX_DIM = 2**20
_N_VECTORS = 16
# Wide enough for sums in float32 that another machine takes in another order.
_TOLERANCE = 1e-4


def probe_vectors(dim: int) -> FloatArray:
    """Make the vectors of the probe: the same bits everywhere, about unit length.

    Parameters
    ----------
    dim : int
        Length d of the encoder's vectors.

    Returns
    -------
    ndarray of shape (16, d), float32

    Examples
    --------
    >>> probe_vectors(3).shape
    (16, 3)
    """
    # SplitMix64 (Steele et al. 2014), since numpy's generators may change: integers
    # modulo 2**64 are exact, and so is everything that is done to them here.
    bits = np.arange(1, _N_VECTORS * dim + 1, dtype=np.uint64)
    bits *= np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    centred = (bits >> np.uint64(32)).astype(np.float64) / 2**31 - 1
    scaled: FloatArray = (centred * np.sqrt(3 / dim)).astype(np.float32)
    return scaled.reshape(_N_VECTORS, dim)


def take_probe(head: Any, dim: int) -> list[float]:
    """Score the probe with a head that is to be saved.

    Returns
    -------
    list of float
        The rewards of the 16 vectors, then the deltas of 8 pairs of them, which are
        not for every head differences of rewards.

    Raises
    ------
    InvalidInputError
        If a reward is not finite: such a head is of no use.
    """
    scores = _score(head, dim)
    if not np.isfinite(scores).all():
        raise invalid_input(
            expected="a head whose rewards are finite",
            got="NaN or infinity",
            fix="check the data it was fitted on, and fit again",
        )
    return [float(score) for score in scores]


def check_probe(head: Any, dim: int, expected: Any) -> None:
    """Score the probe with a head that was loaded, and compare.

    Parameters
    ----------
    head : RewardHead
    dim : int
    expected : list of float
        What `take_probe` returned.

    Raises
    ------
    IntegrityError
        If the head cannot score vectors of the encoder's dim, or scores them
        otherwise than when it was saved.
    """
    wanted = np.asarray(expected, dtype=np.float64)
    if not 1 <= dim <= MAX_DIM or getattr(head, "n_features_in_", dim) != dim:
        raise _differs(f"a head for vectors of the encoder, with d = {dim}", "another")
    try:
        with np.errstate(all="ignore"):
            scores = _score(head, dim)
    except Exception as error:
        # Each library has errors of its own.
        got = f"{type(error).__name__}: {str(error)[:80]}"
        raise _differs("a head that can score", got) from error
    if scores.shape != wanted.shape or not _close(scores, wanted):
        raise _differs("the rewards of the probe as when it was saved", "others")


def _score(head: Any, dim: int) -> FloatArray:
    vectors = probe_vectors(dim)
    pairs = Pairs(vectors, np.arange(_N_VECTORS).reshape(-1, 2))
    scores = [head.reward(vectors), head.decision_function(pairs)]
    return np.concatenate(scores).astype(np.float64)


def _close(scores: FloatArray, wanted: FloatArray) -> bool:
    scale = 1.0 + np.abs(wanted).max(initial=0.0)
    return bool(np.all(np.abs(scores - wanted) <= _TOLERANCE * scale))


def _differs(expected: str, got: str) -> IntegrityError:
    return IntegrityError.of(
        expected=expected,
        got=got,
        fix="use the versions of the libraries in the manifest, or fit again",
    )
