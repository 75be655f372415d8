"""MultiObjectiveReward: predicted ratings, weighted by the prompt."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from embrm._typing import FloatArray, LearnsFrom, RandomState
from embrm._validation import (
    Constraints,
    Integer,
    Real,
    check_items,
    check_parameters,
    check_random_state,
    unless_auto,
)
from embrm.exceptions import invalid_input
from embrm.heads.base import order_consistency, refuse_items
from embrm.heads.comparisons import as_pairs
from embrm.heads.rated._gate import (
    Gate,
    GateProblem,
    initial_gate,
    make_prompted_wins,
    prompt_rows,
    search_gate,
)
from embrm.heads.rated._plain_attributes import (
    PlainAttributes,
    mean_and_scale,
    with_lengths,
)
from embrm.heads.rated._rated_items import RatedHead, make_rated_items
from embrm.heads.state import Stored, StoredArray, StoredNumbers, StoredPart
from embrm.pairs import Pairs


class MultiObjectiveReward(RatedHead):
    r"""Attribute heads and a gate that reads the prompt, in nats [1]_.

    1. Each attribute is a ridge regression of its ratings, standardised:
       :math:`a_j(x)`.
    2. Length is removed: :math:`a'_j = a_j - \lambda_j \hat\ell`, with
       :math:`\hat\ell` the standardised ridge prediction of the rank of the length,
       and :math:`\lambda_j` the least that brings the Spearman correlation with
       length down to a target.
    3. A gate weights them, :math:`r(x, p) = s \sum_j g_j(p) \, a'_j(x)` with
       :math:`g = \mathrm{softmax}(f(p) / T)`, and is fitted to wins,

       .. math:: \sum_i c_i \, \mathrm{softplus}(-(r(\text{winner}_i)
                 - r(\text{loser}_i) - m_i)) + \tfrac{\alpha}{2} \lVert W \rVert^2

       with W the last layer of f. The factor s > 0 converts attributes to nats. The
       gate is fitted to the attributes that it is applied to: those without length.

    Parameters
    ----------
    alpha : float >= 0 or "auto", default="auto"
        Penalty of the attributes, as in `RegressionReward`.
    gate_alpha : float > 0 or "auto", default="auto"
        Penalty of the gate. "auto" is the strongest within one standard error of the
        least log loss on held-out prompts, in five folds; a gate that ignores the
        prompt is among those tried. With fewer than 20 held-out wins the logits have
        a prior standard deviation of 0.3.
    hidden_sizes : tuple of int, default=()
        Units of the gate's hidden layers; none makes f affine.
    temperature : float > 0, default=10.0
        T.
    max_length_correlation : float in [0, 1), default=0.03
        Target of the decorrelation, where lengths are given. It is met on the rated
        items; on others a correlation of the order of 1 / sqrt(n_items) may remain.
    max_iter : int, default=300
        Of L-BFGS.
    preprocessor : scikit-learn transformer, optional
        Acts on items, not on prompt vectors.
    random_state : int, Generator or None, default=None
        Initialises hidden layers.

    Attributes
    ----------
    attributes_ : PlainAttributes
        Ridge regressions (`attributes_.linear`), standardised, without length.
    gate_ : Gate
    gate_mean_ : ndarray of shape (k,)
        Mean of the gate over training prompts: the weights of attributes where no
        prompt vector is given.
    gate_alpha_ : float
        Infinite where the gate ignores the prompt.
    gate_alphas_, held_out_loss_ : ndarray of shape (n_tried,)
    length_penalty_ : ndarray of shape (k,)
        :math:`\lambda`; 0 without lengths.
    spearman_before_, spearman_after_ : ndarray of shape (k,)
        Correlation of predicted attributes with length over rated items; NaN without
        lengths.
    offset_ : float
        Mean of the uncentred reward over the compared items.

    References
    ----------
    .. [1] Wang, Xiong, Xie, Zhao, Zhang (2024). Interpretable preferences via
       multi-objective reward modeling and mixture-of-experts. Findings of EMNLP.
       arXiv:2406.12845.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm import Pairs
    >>> from embrm.heads.rated.multi_objective import MultiObjectiveReward
    >>> rng = np.random.default_rng(0)
    >>> items, prompts = rng.normal(size=(200, 3)), np.repeat([[1.0], [-1.0]], 50, 0)
    >>> ids = np.arange(200).reshape(100, 2)
    >>> wanted = items[:, [0]] * (prompts > 0).repeat(2, 0)
    >>> wanted += items[:, [1]] * (prompts < 0).repeat(2, 0)
    >>> ids = np.where(np.diff(wanted[ids, 0]) > 0, ids[:, ::-1], ids)
    >>> pairs = Pairs(items, ids, prompt_ids=np.arange(100).repeat(2))
    >>> head = MultiObjectiveReward().fit(
    ...     items, items[:, :2], pairs=pairs, prompt_vectors=prompts
    ... )
    >>> head.gate([[1.0]]).round(1)
    array([[1., 0.]])
    """

    learns_from: ClassVar[LearnsFrom] = "ratings"

    __metadata_request__fit: ClassVar = dict.fromkeys(
        ("ratings", "pairs", "prompt_vectors", "margin", "lengths"), UNUSED
    )

    _constraints: ClassVar[Constraints] = {
        "alpha": [Real(), "auto"],
        "gate_alpha": [Real(closed="neither"), "auto"],
        "hidden_sizes": [tuple, list, Integer(1)],
        "temperature": [Real(closed="neither")],
        "max_length_correlation": [Real(0, 1)],
        "max_iter": [Integer(1)],
    }
    _stored: ClassVar[Sequence[Stored]] = (
        StoredPart("attributes_", PlainAttributes.from_state),
        StoredPart("gate_", Gate.from_state),
        StoredArray("gate_mean_", "k"),
        StoredArray("gate_alphas_", "tried"),
        StoredArray("held_out_loss_", "tried"),
        StoredNumbers(("offset_", "gate_alpha_")),
    )

    def __init__(
        self,
        *,
        alpha: float | Literal["auto"] = "auto",
        gate_alpha: float | Literal["auto"] = "auto",
        hidden_sizes: tuple[int, ...] = (),
        temperature: float = 10.0,
        max_length_correlation: float = 0.03,
        max_iter: int = 300,
        preprocessor: Any = None,
        random_state: RandomState = None,
    ) -> None:
        super().__init__(preprocessor=preprocessor)
        self.alpha = alpha
        self.gate_alpha = gate_alpha
        self.hidden_sizes = hidden_sizes
        self.temperature = temperature
        self.max_length_correlation = max_length_correlation
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        ratings: ArrayLike,
        *,
        pairs: Pairs,
        prompt_vectors: ArrayLike | None = None,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        margin: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Fit attributes on rated items, then the gate on pairs.

        Parameters
        ----------
        X : array-like of shape (n_items, d)
            The rated items; the pairs may be of these or of others.
        ratings : array-like of shape (n_items, k)
            NaN where an item is not rated.
        pairs : Pairs
            With `prompt_ids` that are rows of `prompt_vectors`, where these are given.
        prompt_vectors : array-like of shape (n_prompts, d_p), optional
            Vectors of the prompts alone. None fits one weight for each attribute,
            the same for all prompts: the gate ignores the prompt.
        y : array-like of shape (n_pairs,) in [0, 1], optional
            Probability that first is preferred; None means always.
        sample_weight : array-like of shape (n_pairs,), >= 0, optional
        margin : array-like of shape (n_pairs,), >= 0, in nats, optional
        lengths : array-like of shape (n_items,), optional
            Of the rated items, in any unit, NaN where unknown; a verbosity rating
            serves. None takes no length out.
        groups : array-like of shape (n_items,), optional
            Prompt of each rated item; whole prompts are held out to choose alpha.

        Returns
        -------
        self

        Raises
        ------
        InvalidInputError
            On a wrong shape, dtype, range or length, or on NaN or infinity in a used
            item or prompt vector.
        """
        self._check_parameters()
        hidden: Any = self.hidden_sizes
        hidden_sizes = hidden if isinstance(hidden, tuple | list) else (hidden,)
        for size in hidden_sizes:
            check_parameters({"hidden_sizes": size}, {"hidden_sizes": [Integer(1)]})
        gate_alpha = unless_auto(self.gate_alpha)
        if prompt_vectors is None:
            pairs, prompt_vectors, gate_alpha = _one_prompt(pairs)
        rated = make_rated_items(X, with_lengths(ratings, lengths), None, groups)
        n_features = rated.items.shape[1]
        wins, prompts, prompt = make_prompted_wins(
            pairs, prompt_vectors, y, sample_weight, margin
        )
        check_items(wins.items, n_features=n_features)
        preprocessor, items = self._fit_preprocessor(rated.items)
        rated = replace(rated, items=items)
        if preprocessor is not None:
            items = np.asarray(preprocessor.transform(wins.items))
            wins = replace(wins, items=check_items(items))
        self.attributes_ = PlainAttributes.fit(
            rated,
            alpha=unless_auto(self.alpha),
            has_length=lengths is not None,
            max_correlation=self.max_length_correlation,
        )
        mean, scale = mean_and_scale(prompts)
        attributes = self.attributes_(wins.items)
        problem = GateProblem((prompts - mean) / scale, attributes, prompt, wins)
        rng = check_random_state(self.random_state)
        sizes = (len(mean), *hidden_sizes, attributes.shape[1])
        start = initial_gate(mean, scale, sizes, self.temperature, rng)
        search = search_gate(problem, start, alpha=gate_alpha, max_iter=self.max_iter)
        self.gate_, self.gate_alpha_ = search.gate, search.alpha
        self.gate_alphas_, self.held_out_loss_ = search.alphas, search.held_out_loss
        weights = search.gate(prompts)
        self.gate_mean_ = weights.mean(axis=0)
        self.offset_ = float(self.gate_.mix(weights[prompt], attributes).mean())
        self.n_features_in_, self.preprocessor_ = n_features, preprocessor
        return self

    def attributes(self, X: Any) -> FloatArray:
        """Predict the ratings of items, shape (n_items, k), length still in them."""
        items = self._preprocessed(X)
        return self.attributes_.linear(items)[:, : self.attributes_.n_attributes]

    def gate(self, prompt_vectors: ArrayLike) -> FloatArray:
        """Weigh the attributes for prompts, (n_prompts, d_p) -> (n_prompts, k)."""
        check_is_fitted(self)
        vectors = check_items(prompt_vectors, n_features=len(self.gate_.mean))
        return self.gate_(vectors.astype(np.float64))

    def reward(
        self,
        X: Any,
        prompt_vectors: ArrayLike | None = None,
        prompt_ids: ArrayLike | None = None,
    ) -> FloatArray:
        """Compute the reward of items, in nats.

        Parameters
        ----------
        X : array-like of shape (n_items, d)
        prompt_vectors : array-like of shape (n_items, d_p) or (n_prompts, d_p), \
optional
            One for each item, or with `prompt_ids` one for each prompt. None weighs
            attributes by the mean gate of the training prompts.
        prompt_ids : array-like of int of shape (n_items,), optional
            Row of `prompt_vectors` for each item.

        Returns
        -------
        ndarray of shape (n_items,), float64
        """
        items = self._preprocessed(X)
        if len(items) == 0:
            return np.empty(0)
        attributes = self.attributes_(items)
        if prompt_vectors is None:
            weights = np.broadcast_to(self.gate_mean_, attributes.shape)
        else:
            weights = self.gate(prompt_vectors)
            if prompt_ids is not None:
                fake = Pairs(items, np.empty((0, 2), dtype=int), prompt_ids)
                weights = weights[prompt_rows(fake, weights)]
        if len(weights) != len(attributes):
            raise invalid_input(
                expected=f"a prompt vector for each of {len(attributes)} items",
                got=f"{len(weights)}",
                fix="pass one per item, or prompt_ids that are rows of them",
            )
        return self.gate_.mix(weights, attributes) - self.offset_

    def decision_function(
        self, pairs: Any, prompt_vectors: ArrayLike | None = None
    ) -> FloatArray:
        """Compute delta = r(first) - r(second), shape (n_pairs,), in nats.

        Parameters
        ----------
        pairs : Pairs or array-like of shape (n_pairs, 2, d)
        prompt_vectors : array-like of shape (n_prompts, d_p), optional
            Of which the `prompt_ids` of the pairs are rows. None weighs attributes by
            the mean gate of the training prompts.

        Returns
        -------
        ndarray of shape (n_pairs,)
            Swapping a pair negates its delta exactly.
        """
        if prompt_vectors is None:
            return super().decision_function(pairs)
        check_is_fitted(self)
        refuse_items(pairs)
        checked = as_pairs(pairs)
        prompts = prompt_rows(checked, check_items(prompt_vectors, finite=False))
        rows, ids = checked.unique_items()
        reward = self.reward(checked.items[rows], prompt_vectors, prompts[rows])
        return reward[ids[:, 0]] - reward[ids[:, 1]]

    def predict_proba(
        self, pairs: Any, prompt_vectors: ArrayLike | None = None
    ) -> FloatArray:
        """Compute probabilities of shape (n_pairs, 2): second, first preferred."""
        delta = self.decision_function(pairs, prompt_vectors)
        return np.column_stack([expit(-delta), expit(delta)])

    def score(
        self,
        pairs: Any,
        y: ArrayLike | None = None,
        sample_weight: Any = None,
        prompt_vectors: ArrayLike | None = None,
    ) -> float:
        """Compute order consistency with `y`; see `order_consistency`."""
        delta = self.decision_function(pairs, prompt_vectors)
        return order_consistency(delta, y, sample_weight)

    @property
    def length_penalty_(self) -> FloatArray:
        """Lambda of each attribute, (k,)."""
        return self.attributes_.length.penalty

    @property
    def spearman_before_(self) -> FloatArray:
        """Correlation of predicted attributes with length, (k,)."""
        return self.attributes_.length.before

    @property
    def spearman_after_(self) -> FloatArray:
        """Correlation that is left after the penalty, (k,)."""
        return self.attributes_.length.after


def _one_prompt(pairs: Any) -> tuple[Pairs, FloatArray, float]:
    """Put all items under one prompt, and let the gate ignore it."""
    checked = as_pairs(pairs)
    same = np.zeros(len(checked.items), dtype=np.intp)
    return Pairs(checked.items, checked.ids, same), np.zeros((1, 1)), np.inf
