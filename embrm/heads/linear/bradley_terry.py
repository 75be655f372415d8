"""LinearBradleyTerry: a linear reward, fitted by penalised maximum likelihood."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, ndtr
from sklearn.utils.validation import check_is_fitted

from embrm._typing import FloatArray, IntArray
from embrm._validation import Constraints, Integer, Real
from embrm.exceptions import EmbrmWarning, invalid_input, warn
from embrm.heads.comparisons import Comparisons, make_comparisons
from embrm.heads.linear._fit import fit_linear, update_linear
from embrm.heads.linear._label_model import LabelModel, Ties
from embrm.heads.linear.design import FitSettings, effect_size, fits_in_memory
from embrm.heads.linear.newton import DiagonalCoordinates
from embrm.heads.linear.posterior import Posterior
from embrm.heads.noisy_labels import (
    NOISE,
    STORED_NOISE,
    model_label_noise,
    with_flip_rates,
)
from embrm.heads.state import (
    HeadState,
    NotStored,
    Stored,
    StoredArray,
    StoredPart,
    StoredValue,
)
from embrm.heads.uncertain_reward import UncertainRewardHead
from embrm.heads.win_loss import Link

_ROWS_AT_A_TIME = 4096


def _unknown_prompt_std(state: HeadState) -> float:
    """Say that a stored head does not know its prior of effects, if it has any."""
    return np.nan if state.values.get("prompt_effects", False) else 0.0


class LinearBradleyTerry(UncertainRewardHead):
    r"""Linear reward :math:`r(x) = w^\top (x - \bar x)`, in nats.

    Minimises, over wins i of a winner over a loser,

    .. math:: \sum_i c_i \, \ell(r(\text{winner}_i) - r(\text{loser}_i) - m_i)
              + \tfrac{\alpha}{2} w^\top M w

    with :math:`\ell(t) = \mathrm{softplus}(-t)` [1]_, :math:`c_i` the weight and
    :math:`m_i` the margin of the win, and M the identity unless whitened. The sum is
    not divided by the number of wins, so a pair of weight k counts as k copies. There
    is no intercept: it cancels in every comparison. Rewards have mean 0 over the
    distinct training items.

    Parameters
    ----------
    alpha : float >= 0 or "auto", default="auto"
        Penalty. "auto" chooses by the cross-validated loss at the best scale of each
        penalty's rewards, so that what counts is their order. Whole prompt groups are
        held out (connected components where prompts are unknown); where most pairs are
        across prompts, items are, whose prompts may occur in training. With little
        held-out data the prior standard deviation of deltas is near 0.4 nats; with
        fewer than 20 held-out wins it is 1 nat.
    reward_scale : float > 0 or "auto", default="auto"
        Factor on the minimiser. "auto" is the one with the least held-out loss with
        alpha="auto", else 1: a strong penalty finds the right direction and makes
        rewards too small.
    whitening : float in [0, 1], default=0.0
        Shape of the prior: :math:`M = (S / \bar s)^q` with S the covariance of the
        pairs' differences (shrunk) and q this number. 0 is the plain ridge; 1 gives
        every principal component the same prior share of the reward.
    standardise : bool or "auto", default="auto"
        Whether the prior is that of weights on columns of unit variance:
        :math:`M = \mathrm{diag}(s^2)` with s the columns' standard deviations, so that
        columns of small variance count as well. "auto" does so with alpha="auto" and 50
        distinct items, unless one column has more variance than all others together, or
        M = I lowers the held-out loss by more than one standard error.
    prompt_effects : bool or "auto", default="auto"
        Whether each prompt has an intercept in training, :math:`P = \sigma(r(x_1) -
        r(x_2) + b_1 - b_2)`, with :math:`b \sim N(0, \sigma_b^2)` of three times the
        prior variance of rewards. It is not part of the reward: it keeps differences
        between prompts out of w in cross-prompt pairs, and cancels in other pairs.
        "auto" does so with alpha="auto", if most pairs are across prompts and it lowers
        the held-out loss. Never without prompt ids, nor where items and prompts
        together would take over 1 GiB or 3,072 columns.
    link : {"logit", "probit"}, default="logit"
        Gumbel noise (Bradley and Terry) or Gaussian noise (Thurstone): with "probit",
        :math:`P = \Phi(\delta)`, and the unit of reward is the standard deviation of
        the noise in a difference, about 1.7 nats.
    ties : {"rao-kupper", "davidson"} or None, default=None
        How labels of exactly 0.5 are modelled: with a parameter of their own [2]_,
        [3]_, or as half a win each way. Not with "probit", noise or margins.
    noise : float in [0, 0.5), "estimate" or None, default=None
        Rate e at which labels are flipped: :math:`P = e + (1 - 2e) F(\delta)`.
        "estimate" estimates it, one for each annotator if `annotator` is passed to
        `fit`; see `embrm.heads.noisy_labels`.
    warm_start : bool, default=False
        Whether `fit` with a given alpha starts from the last fit.
    posterior : bool, default=True
        Whether to store the posterior, which standard deviations and `partial_fit`
        need; never stored above 4,096 dimensions.
    preprocessor : scikit-learn transformer, optional
        Acts on items.
    max_iter : int, default=100
        Largest number of steps of L-BFGS, and of Newton's method after it.
    tol : float, default=1e-8
        Relative norm of the gradient at which the fit ends.

    Attributes
    ----------
    coef_ : ndarray of shape (d,)
        w, on preprocessed items.
    mean_ : ndarray of shape (d,)
        :math:`\bar x`.
    offset_ : float
        :math:`w^\top \bar x`, which rewards are centred by.
    standardise_, prompt_effects_ : bool
        Whether columns were standardised, and whether prompts had intercepts.
    prompt_values_ : ndarray of shape (n_prompts,) or None
        These intercepts in nats, by group of the `Comparisons`; not stored.
    prompt_std_ : float
        Prior standard deviation of these intercepts, in nats; 0 without them.
    scale_ : ndarray of shape (d,)
        The columns' standard deviations s, or ones.
    alpha_, whitening_ : float
        The prior used.
    reward_scale_ : float
        The factor used; with it, w is that multiple of the minimiser.
    alphas_, held_out_loss_ : ndarray of shape (n_tried,)
        Penalties tried by "auto", descending, with the held-out loss of each at its
        best scale, in nats; may be empty.
    covariance_ : ndarray of shape (d, d)
        Laplace's posterior covariance of w: the inverse of the Hessian at the mode.
    posterior_ : Posterior or None
        The same in small form.
    tie_parameter_ : float
        Rao and Kupper's theta or Davidson's nu; NaN without a tie model.
    flip_rate_ : float
        Flip rate, given or estimated; the mean over wins where annotators differ.
    annotators_, flip_rates_ : ndarray of shape (n_annotators,)
        The annotators passed to `fit`, sorted, and the flip rate of each; NaN if none
        of their pairs counted.
    n_iter_ : int
    coordinates_ : DiagonalCoordinates or None
        With `warm_start`: in which fits to such data are well conditioned.

    Notes
    -----
    Solved by Newton's method in the eigenbasis of the Hessian at zero; deterministic.
    Separable data have a finite solution for every alpha > 0; with alpha = 0 the fit
    ends when the gradient is small. Without a penalty one-hot items make it [1]_.

    A flip rate and the scale of rewards are nearly confounded: only pairs that are
    almost certain identify them. Where they are not identified, `fit` warns;
    differences between annotators are well determined even then. With flips, each
    win adds at least a twentieth of its expected curvature to the Hessian.

    Where the pairs have blocks, alpha="auto" gives each a prior of its own: blocks are
    scaled to have alike differences, and their penalties have the ratios of most
    evidence. A given alpha is one for all columns.

    Item matrices above 64 MiB are not copied but read in blocks, converted to float64.
    With a given alpha and no posterior, differences of pairs are formed where they are
    no larger than the items, up to 512 MiB.

    References
    ----------
    .. [1] Bradley, Terry (1952). Rank analysis of incomplete block designs: I. The
       method of paired comparisons. Biometrika 39.
    .. [2] Rao, Kupper (1967). Ties in paired-comparison experiments: a generalization
       of the Bradley-Terry model. Journal of the American Statistical Association 62.
    .. [3] Davidson (1970). On extending the Bradley-Terry model to accommodate ties in
       paired comparison experiments. J. of the American Statistical Association 65.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm import Pairs
    >>> from embrm.heads import LinearBradleyTerry
    >>> items = np.array([[0.0], [1.0], [2.0]])
    >>> head = LinearBradleyTerry(alpha=0.1).fit(Pairs(items, [[1, 0], [2, 1]]))
    >>> reward, std = head.reward(items, return_std=True)
    >>> reward.round(2), std.round(2)
    (array([-2.13,  0.  ,  2.13]), array([1.86, 0.  , 1.86]))
    """

    coef_: FloatArray
    mean_: FloatArray
    scale_: FloatArray
    posterior_: Posterior | None
    prompt_values_: FloatArray | None
    coordinates_: DiagonalCoordinates | None
    reads_blocked = True

    _constraints: ClassVar[Constraints] = {
        "alpha": [Real(0), "auto"],
        "reward_scale": [Real(0, closed="neither"), "auto"],
        "whitening": [Real(0, 1, closed="both")],
        "standardise": [bool, "auto"],
        "prompt_effects": [bool, "auto"],
        "link": ["logit", "probit"],
        "ties": ["rao-kupper", "davidson", None],
        "noise": NOISE,
        "warm_start": [bool],
        "posterior": [bool],
        "max_iter": [Integer(1)],
        "tol": [Real(0, closed="neither")],
    }

    _stored: ClassVar[Sequence[Stored]] = (
        StoredArray("coef_", "d"),
        StoredArray("mean_", "d"),
        # Heads of embrm 0.1.0 stored a scale only if they standardised.
        StoredArray("scale_", "d", default=lambda s: np.ones(len(s.arrays["coef"]))),
        StoredValue("standardise_", bool, default=lambda s: "scale" in s.arrays),
        StoredValue("offset_", float),
        StoredValue("alpha_", float),
        StoredValue("whitening_", float),
        StoredValue("reward_scale_", float, default=lambda _: 1.0),
        StoredValue("n_iter_", int),
        StoredArray("alphas_", "tried"),
        StoredArray("held_out_loss_", "tried"),
        *STORED_NOISE,
        StoredValue("tie_parameter_", float, default=lambda _: np.nan),
        # Heads stored before there were effects have none.
        StoredValue("prompt_effects_", bool, default=lambda _: False),
        StoredValue("prompt_std_", float, default=_unknown_prompt_std),
        StoredPart("posterior_", Posterior.from_state, flag="has_posterior"),
        NotStored("prompt_values_"),
        NotStored("coordinates_"),
    )

    def __init__(
        self,
        alpha: float | Literal["auto"] = "auto",
        *,
        reward_scale: float | Literal["auto"] = "auto",
        whitening: float = 0.0,
        standardise: bool | Literal["auto"] = "auto",
        prompt_effects: bool | Literal["auto"] = "auto",
        link: Link = "logit",
        ties: Ties | None = None,
        noise: float | Literal["estimate"] | None = None,
        warm_start: bool = False,
        posterior: bool = True,
        preprocessor: Any = None,
        max_iter: int = 100,
        tol: float = 1e-8,
    ) -> None:
        super().__init__(preprocessor=preprocessor)
        self.alpha = alpha
        self.reward_scale = reward_scale
        self.whitening = whitening
        self.standardise = standardise
        self.prompt_effects = prompt_effects
        self.link = link
        self.ties = ties
        self.noise = noise
        self.warm_start = warm_start
        self.posterior = posterior
        self.max_iter = max_iter
        self.tol = tol

    def partial_fit(
        self,
        pairs: Any,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        margin: ArrayLike | None = None,
        annotator: ArrayLike | None = None,
    ) -> Self:
        """Learn from further comparisons, without the ones learned from before.

        The current posterior is the prior of the update, as if its Gaussian
        approximation were exact; prior and label model are not changed. An unfitted
        head is fitted. Rewards stay centred on the items of the first fit. If prompts
        had intercepts there, those of new pairs get them too, with the same prior.

        Parameters
        ----------
        pairs, y, sample_weight, margin, annotator
            As in `fit`, for the new annotations only. Annotators without a flip rate
            get the mean rate.

        Returns
        -------
        self
        """
        if not hasattr(self, "coef_"):
            return self.fit(
                pairs,
                y,
                sample_weight=sample_weight,
                margin=margin,
                annotator=annotator,
            )
        self._check_parameters()
        names, codes = self._number_annotators(annotator)
        comparisons = make_comparisons(pairs, y, sample_weight, margin, annotator=codes)
        known = dict(zip(self.annotators_.tolist(), self.flip_rates_, strict=True))
        comparisons = with_flip_rates(comparisons, self.flip_rate_, names, known)
        settings = self._settings(comparisons)
        items = self._preprocessed(comparisons.items)
        prompt_std = self._prompt_std(replace(comparisons, items=items))
        comparisons = replace(comparisons, items=self._centred(items))
        update = update_linear(
            self._posterior(),
            self.coef_ * self.scale_,
            comparisons,
            self._label_model().loss(comparisons),
            prompt_std,
            settings,
        )
        self.coef_ = update.coef / self.scale_
        self.offset_ = float(self.mean_ @ self.coef_)
        self.posterior_, self.n_iter_ = update.posterior, update.n_iter
        return self

    @property
    def covariance_(self) -> FloatArray:
        """Posterior covariance of the weights, shape (d, d), in 1 / units of items."""
        check_is_fitted(self)
        covariance = self._posterior().covariance()
        return covariance / self.scale_ / self.scale_[:, None]

    def predict_proba(self, pairs: Any) -> FloatArray:
        """Compute probabilities of shape (n_pairs, 2): second, first preferred.

        Without flips, which belong to the label and not to the preference. Under a
        tie model, half of the probability of a tie is in each column.
        """
        delta = self.decision_function(pairs)
        if self.link == "probit":
            return np.column_stack([ndtr(-delta), ndtr(delta)])
        loss = self._label_model().tie_loss(np.zeros(len(delta)))
        if loss is None:
            return np.column_stack([expit(-delta), expit(delta)])
        wins = [np.exp(-loss.evaluate(logit)[0]) for logit in (-delta, delta)]
        tie = loss.tie_probability(delta)
        return np.column_stack([win + tie / 2 for win in wins])

    def predict_tie_proba(self, pairs: Any) -> FloatArray:
        """Compute the probability of a tie, shape (n_pairs,); 0 without a tie model."""
        delta = self.decision_function(pairs)
        loss = self._label_model().tie_loss(np.zeros(len(delta)))
        return np.zeros(len(delta)) if loss is None else loss.tie_probability(delta)

    def _fit(self, comparisons: Comparisons) -> None:
        settings = self._settings(comparisons)
        noise = model_label_noise(comparisons, self.noise, self._make_plain)
        self.flip_rate_, self.flip_rates_ = noise.flip_rate, noise.flip_rates
        self.annotators_ = noise.annotators
        if self.warm_start and hasattr(self, "coef_"):
            coordinates = self.coordinates_
            start = self.coef_ / (settings.reward_scale or 1.0)
            settings = replace(settings, start=start, coordinates=coordinates)
        fit = fit_linear(noise.comparisons, settings)
        self.coef_, self.mean_, self.n_iter_ = fit.coef, fit.mean, fit.n_iter
        self.offset_ = float(fit.mean @ fit.coef)
        self.standardise_ = fit.scale is not None
        self.scale_ = np.ones(len(fit.coef)) if fit.scale is None else fit.scale
        self.alpha_, self.whitening_ = fit.search.alpha, settings.whitening
        self.reward_scale_ = fit.reward_scale
        self.alphas_, self.held_out_loss_ = fit.search.alphas, fit.search.held_out_loss
        self.tie_parameter_ = fit.labels.tie_parameter
        self.posterior_ = fit.posterior
        self.coordinates_ = fit.search.coordinates if self.warm_start else None
        self.prompt_effects_ = fit.prompt_values is not None
        self.prompt_values_, self.prompt_std_ = fit.prompt_values, fit.prompt_std

    @property
    def _reads_differences(self) -> bool:
        columns = self.standardise is True or self.prompt_effects is True
        basis = (self.preprocessor, self.ties, self.whitening) != (None, None, 0)
        return not (columns or basis or self.posterior or isinstance(self.alpha, str))

    def _settings(self, comparisons: Comparisons) -> FitSettings:
        n_margins = int(np.count_nonzero(comparisons.margin))
        return FitSettings.of(self.get_params(deep=False), n_margins)

    def _prompt_std(self, comparisons: Comparisons) -> float:
        """Return the prior of prompt effects for a further fit, 0 for none."""
        groups = comparisons.groups
        if not self.prompt_effects_ or groups is None:
            return 0.0
        n_prompts = int(groups.max()) + 1
        if not fits_in_memory(comparisons.items, n_prompts):
            warn(
                f"{n_prompts} prompts are too many to have intercepts in one update; "
                "pass the pairs of fewer prompts at a time",
                EmbrmWarning,
            )
            return 0.0
        if np.isnan(self.prompt_std_):
            # The head was stored before this was: take the prior of a first fit.
            return effect_size(comparisons, self.scale_) / float(np.sqrt(self.alpha_))
        return self.prompt_std_

    def _make_plain(self) -> "LinearBradleyTerry":
        """Make an unfitted head like this one, by which to estimate flip rates."""
        given = {"noise": None, "preprocessor": None, "warm_start": False}
        return LinearBradleyTerry(**self.get_params(deep=False) | given)

    def with_selected_params(self, **params: Any) -> "LinearBradleyTerry":
        """Make an unfitted head with the parameters that "auto" selected for this one.

        Parameters
        ----------
        **params
            To be changed, or given in place of what was selected.

        Returns
        -------
        LinearBradleyTerry
            Without label noise of its own.
        """
        known = self.get_params(deep=False) | {"noise": None, "preprocessor": None}
        selected = {
            name: getattr(self, f"{name}_") if value == "auto" else value
            for name, value in known.items()
        }
        return LinearBradleyTerry(**selected | params)

    def as_chosen(self, **params: Any) -> "LinearBradleyTerry":
        """Call `with_selected_params`, which is its new name."""
        warn("as_chosen is now called with_selected_params", FutureWarning)
        return self.with_selected_params(**params)

    def reward_in_training(
        self, comparisons: Comparisons, rows: IntArray
    ) -> FloatArray:
        """Score items as in the fit, with the intercepts of their prompts.

        Parameters
        ----------
        comparisons : Comparisons
            With the items of the fit, maybe with others of its wins.
        rows : ndarray of int
            Which items, of any shape.

        Returns
        -------
        ndarray of the shape of `rows`, in nats
        """
        each, where = np.unique(rows, return_inverse=True)
        reward = self.reward(comparisons.items[each])[where].reshape(rows.shape)
        if self.prompt_values_ is None or comparisons.groups is None:
            return reward
        return np.asarray(reward + self.prompt_values_[comparisons.groups[rows]])

    def _posterior(self) -> Posterior:
        if self.posterior_ is None:
            raise invalid_input(
                expected="a head fitted with a posterior",
                got=f"{self.n_features_in_} dimensions and none kept",
                fix="fit with posterior=True on at most 4,096 dimensions, e.g. "
                "with preprocessor=PCA(1024)",
            )
        return self.posterior_

    def _centred(self, items: FloatArray) -> FloatArray:
        """Write items in the coordinates of the posterior."""
        return np.asarray((items - self.mean_) / self.scale_)

    def _label_model(self) -> LabelModel:
        check_is_fitted(self)
        return LabelModel(self.link, self.ties, self.tie_parameter_)

    def _reward(self, items: FloatArray) -> FloatArray:
        if items.dtype == np.float64:
            return np.asarray(items @ self.coef_ - self.offset_)
        # In blocks: numpy would convert the whole matrix to float64 first.
        starts = range(0, len(items), _ROWS_AT_A_TIME)
        blocks = [items[s : s + _ROWS_AT_A_TIME] @ self.coef_ for s in starts]
        return np.concatenate(blocks) - self.offset_

    def _reward_and_std(self, items: FloatArray) -> tuple[FloatArray, FloatArray]:
        posterior, variance = self._posterior(), np.empty(len(items))
        for start in range(0, len(items), _ROWS_AT_A_TIME):
            part = slice(start, start + _ROWS_AT_A_TIME)
            variance[part] = posterior.variance(self._centred(items[part]))
        return self._reward(items), np.sqrt(variance)

    def _reward_and_delta_std(
        self, items: FloatArray, ids: IntArray
    ) -> tuple[FloatArray, FloatArray]:
        posterior, centred = self._posterior(), self._centred(items)
        variance = posterior.variance_of_differences(centred, ids)
        return self._reward(items), np.sqrt(variance)


def restore_linear(state: HeadState) -> LinearBradleyTerry:
    """Rebuild a fitted linear head that is part of another."""
    return LinearBradleyTerry().set_state(state)
