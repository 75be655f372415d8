"""Logistic regression with standard errors that allow for prompts."""

import numpy as np
from scipy.special import expit

from embrm._typing import FloatArray, IntArray


def fit_logistic(
    features: FloatArray, target: FloatArray, weight: FloatArray, penalty: float
) -> tuple[FloatArray, FloatArray]:
    """Fit soft targets by Newton's method; the first feature is not penalised.

    Returns
    -------
    coefficients : ndarray of shape (n_features,)
    hessian : ndarray of shape (n_features, n_features)
    """
    n_features = features.shape[1]
    ridge = np.full(n_features, penalty)
    ridge[0] = 1e-8
    beta = np.zeros(n_features)
    for _ in range(50):
        p = expit(features @ beta)
        gradient = features.T @ (weight * (p - target)) + ridge * beta
        curvature = weight * p * (1 - p)
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


def folds_of(prompts: IntArray, n_folds: int = 5) -> IntArray:
    """Deal prompts into folds, the same ones for every call."""
    n_prompts = int(prompts.max()) + 1
    dealt = np.random.default_rng(0).permutation(n_prompts) % n_folds
    return np.asarray(dealt[prompts])
