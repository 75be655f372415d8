"""How a response looks, as a few counts, and the regression of verdicts on these."""

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.special import expit

from embrm._typing import FloatArray, IntArray
from embrm.embed.style import STYLE_FEATURES, StyleEncoder

_COUNTED = {
    "length": "characters",
    "list items": "list_items",
    "headings": "headings",
    "bold": "bold",
    "code": "code_blocks",
    "exclamation marks": "exclamation_marks",
    "question marks": "question_marks",
    "refusal": "refusal",
}
_PENALTY, _N_FOLDS = 1.0, 5
_EMOJI = re.compile("[\U0001f300-\U0001faff\u2600-\u27bf]")
# Openings that please; letters are compared in lower case.
_PLEASING = re.compile(
    r"""\s*(?:
        (?:what\ a\ |that's\ a\ |that\ is\ a\ )?
        (?:great|good|excellent|wonderful|fantastic)\ (?:question|point|idea)
        |absolutely|certainly|of\ course|sure
        |you're\ (?:absolutely\ )?right
        |i(?:'d|\ would)\ be\ (?:happy|glad)\ to
    )\b""",
    re.VERBOSE,
)

STYLE_COLUMNS = (*_COUNTED, "emoji", "pleasing opening")
"""Columns of `style_frame`, in order."""


def style_frame(responses: Iterable[str]) -> pd.DataFrame:
    """Count how responses look.

    Parameters
    ----------
    responses : iterable of str

    Returns
    -------
    DataFrame
        One row a response, columns `STYLE_COLUMNS`: log(1 + characters), log(1 +
        counts) of list items, headings, bold, code blocks, exclamation and question
        marks, and 1 where it opens as refusals do, all as `StyleEncoder` counts them;
        log(1 + emoji), and 1 where it opens with praise or eagerness ("Great question",
        "Certainly").

    Examples
    --------
    >>> style_frame(["Certainly! **Yes**", "I cannot say."])[
    ...     ["bold", "pleasing opening", "refusal"]
    ... ].round(2)
       bold  pleasing opening  refusal
    0  0.69               1.0      0.0
    1  0.00               0.0      1.0
    """
    texts = list(responses)
    counts = StyleEncoder().encode([("-", text) for text in texts])
    columns = [STYLE_FEATURES.index(feature) for feature in _COUNTED.values()]
    frame = pd.DataFrame(counts[:, columns], columns=list(_COUNTED), dtype=np.float64)
    emoji = [0 if t.isascii() else len(_EMOJI.findall(t)) for t in texts]
    openings = [text[:200].lower().replace("\u2019", "'") for text in texts]
    frame["emoji"] = np.log1p(np.array(emoji, dtype=np.float64))
    frame["pleasing opening"] = [float(bool(_PLEASING.match(o))) for o in openings]
    return frame


def fit_logistic(
    features: FloatArray, target: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Fit soft targets by Newton's method; the first feature is not penalised.

    Returns
    -------
    coefficients : ndarray of shape (n_features,)
    hessian : ndarray of shape (n_features, n_features)
    """
    n_features = features.shape[1]
    ridge = np.full(n_features, _PENALTY)
    ridge[0] = 1e-8
    beta = np.zeros(n_features)
    for _ in range(50):
        p = expit(features @ beta)
        gradient = features.T @ (p - target) + ridge * beta
        curvature = p * (1 - p)
        hessian = (features * curvature[:, None]).T @ features + np.diag(ridge)
        step = np.linalg.solve(hessian + 1e-10 * np.eye(n_features), gradient)
        # Separable data would send it to infinity: steps are bounded.
        step *= min(1.0, 5.0 / max(1e-12, float(np.abs(step).max())))
        beta -= step
        if np.abs(step).max() < 1e-8:
            break
    return np.clip(beta, -30, 30), hessian


def cluster_covariance(
    features: FloatArray,
    residual: FloatArray,
    prompts: IntArray,
    hessian: FloatArray,
) -> FloatArray:
    """Compute the sandwich covariance of coefficients, prompts being independent."""
    scores = np.zeros((int(prompts.max()) + 1, features.shape[1]))
    np.add.at(scores, prompts, features * residual[:, None])
    n = len(scores)
    inverse = np.linalg.pinv(hessian)
    return np.asarray(inverse @ (scores.T @ scores) @ inverse * n / max(1, n - 1))


def folds_of(prompts: IntArray) -> IntArray:
    """Deal prompts into folds, the same ones for every call."""
    n_prompts = int(prompts.max()) + 1
    dealt = np.random.default_rng(0).permutation(n_prompts) % _N_FOLDS
    return np.asarray(dealt[prompts])
