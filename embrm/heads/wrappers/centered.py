"""CenteredReward: rewards in standard deviations of a reference pool."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from embrm._typing import AnyArray, FloatArray, IntArray
from embrm._validation import Constraints
from embrm.exceptions import IntegrityError, invalid_input
from embrm.heads.comparisons import Comparisons, as_pairs
from embrm.heads.state import HeadState, Stored, StoredArray, StoredValue
from embrm.heads.wrappers._nested import HeadWrapper, mean_and_spread

Scope = Literal["global", "domain", "prompt"]


class CenteredReward(HeadWrapper):
    r"""A head whose reward has mean 0 and variance 1 on a reference pool.

    A Bradley-Terry reward is defined up to a constant, and on pairs of one prompt up
    to a constant for each prompt: :math:`r(x, y) + C(x)` has the same likelihood for
    every C. Wherever a reward is used by itself, as in policy optimisation or to
    filter with a threshold, its zero and its unit have to be fixed by
    convention [1]_ [2]_:

    .. math:: r'(x) = (r(x) - \mu_g) / \sigma_g

    with :math:`\mu_g, \sigma_g` mean and standard deviation over the reference items
    of x's group g. After `fit` the reference is the distinct training items, one
    group; `calibrate` sets another reference.

    Parameters
    ----------
    head : str or RewardHead, default="linear"
        A name that `known_heads` lists, or a head, which is cloned.
    scope : {"global", "domain", "prompt"}, default="global"
        What a group is, once `calibrate` was called. "global": all items. "domain":
        mean and deviation for each domain. "prompt": a mean for each prompt, one
        deviation within prompts, since a prompt has too few responses for its own.
    scale : bool, default=True
        Whether to divide by the deviation. If not, rewards stay in the head's nats.
    preprocessor : scikit-learn transformer, optional
        Acts on items before the head sees them.

    Attributes
    ----------
    head_ : RewardHead
        Fitted; its own reward is not changed.
    domains_ : ndarray of shape (n_groups,) or None
        Names of the groups, sorted; None while all items are one group.
    center_, scale_ : ndarray of shape (n_groups,)
        Means, and deviations (ones if `scale` is off), in the head's nats.

    Notes
    -----
    With `scale`, delta is in standard deviations of the reference, so `predict_proba`
    is sharper or flatter than that of the head: take probabilities from `head_`, from
    `scale=False`, or from a `CalibratedReward` around this head.

    Between domains a delta compares the positions of items *among their own domain's
    reference items*, not preferences: same-prompt pairs never compared the domains,
    and the reference sets the zero of each. Only cross-prompt pairs in the training
    data give such a delta a meaning, and then "global" keeps it.

    References
    ----------
    .. [1] Ouyang et al. (2022). Training language models to follow instructions with
       human feedback. arXiv:2203.02155, section 3.5: labeler demonstrations get mean 0.
    .. [2] Ziegler et al. (2019). Fine-tuning language models from human preferences.
       arXiv:1909.08593, section 2.1: mean 0 and variance 1 on the reference policy.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm import Pairs
    >>> from embrm.heads.wrappers.centered import CenteredReward
    >>> items = np.random.default_rng(0).normal(size=(40, 3))
    >>> head = CenteredReward().fit(Pairs(items, np.arange(40).reshape(20, 2)))
    >>> reference = items[:10] + 1.0
    >>> reward = head.calibrate(reference).reward(reference)
    >>> float(abs(reward.mean()).round(6)), float(reward.std().round(6))
    (0.0, 1.0)
    """

    _constraints: ClassVar[Constraints] = {
        "scope": [*get_args(Scope)],
        "scale": [bool],
    }
    _stored: ClassVar[Sequence[Stored]] = (
        *HeadWrapper._stored,
        StoredValue(
            "domains_",
            list,
            default=lambda _: None,
            decode=np.array,
            shape="groups",
        ),
        StoredArray("center_", "groups"),
        StoredArray("scale_", "groups"),
    )

    def __init__(
        self,
        head: Any = "linear",
        scope: Scope = "global",
        *,
        scale: bool = True,
        preprocessor: Any = None,
    ) -> None:
        super().__init__(head, preprocessor=preprocessor)
        self.scope = scope
        self.scale = scale

    @property
    def delta_is_reward_difference(self) -> bool:
        """Whether items can be scored alone: not if their domain has to be known."""
        return self.scope == "global" and self.is_transitive

    def _fit(self, comparisons: Comparisons) -> None:
        self.head_ = self._fit_head(comparisons)
        self._set_groups(self.head_.reward(comparisons.items), None)

    def calibrate(self, X_reference: Any, domains: ArrayLike | None = None) -> Self:
        """Take zero and unit of the reward from a reference pool.

        Parameters
        ----------
        X_reference : array-like of shape (n_items, d), n_items >= 1
            For instance responses of the policy that optimisation starts from.
        domains : array-like of shape (n_items,), optional
            Domain of each item, or its prompt with `scope="prompt"`; needed with
            these two scopes, and no use with "global".

        Returns
        -------
        self

        Raises
        ------
        InvalidInputError
            On items that `reward` refuses, none of them, or missing domains.
        """
        check_is_fitted(self)
        raw = self._raw_reward(X_reference)
        if len(raw) == 0:
            raise invalid_input(
                expected="at least one reference item",
                got="0 items",
                fix="pass the items whose mean reward is to be 0",
            )
        if self.scope == "global":
            self._set_groups(raw, None)
        else:
            self._set_groups(raw, _check_domains(domains, len(raw)))
        return self

    def reward(self, X: Any, domains: ArrayLike | None = None) -> FloatArray:
        """Compute the reward of items, in standard deviations of the reference.

        Parameters
        ----------
        X : array-like of shape (n_items, d)
        domains : array-like of shape (n_items,), optional
            Needed once `calibrate` was given domains.

        Returns
        -------
        ndarray of shape (n_items,), float64
            In the head's nats if `scale` is off.

        Raises
        ------
        InvalidInputError
            If a domain is missing, or was not in the reference pool.
        """
        raw = super().reward(X)
        group = self._groups_of(domains, len(raw))
        return np.asarray((raw - self.center_[group]) / self.scale_[group])

    def decision_function(
        self, pairs: Any, domains: ArrayLike | None = None
    ) -> FloatArray:
        """Compute delta = r(first) - r(second), shape (n_pairs,), in reward's unit.

        Parameters
        ----------
        pairs : Pairs or array-like of shape (n_pairs, 2, d)
        domains : array-like of shape (n_items,), optional
            Of the items of `Pairs`; needed once `calibrate` was given domains. With
            `scope="prompt"` the pairs' own `prompt_ids` are taken.

        Raises
        ------
        InvalidInputError
            If a domain is missing, or the two items of a pair are of domains with
            different units and the head's delta is no difference of rewards.
        """
        check_is_fitted(self)
        if self.domains_ is None and self.head_.is_transitive:
            return super().decision_function(pairs)
        if self.domains_ is None:
            return np.asarray(self._inner_delta(pairs) / self.scale_[0])
        checked = as_pairs(pairs)
        if domains is None and self.scope == "prompt":
            domains = checked.prompt_ids
        names = _check_domains(domains, len(checked.items))
        rows, ids = checked.unique_items()
        if self.head_.is_transitive:
            reward = self.reward(checked.items[rows], names[rows])
            return reward[ids[:, 0]] - reward[ids[:, 1]]
        group = self._groups_of(names[rows], len(rows))[ids]
        return self._cyclic_delta(pairs, group)

    def _cyclic_delta(self, pairs: Any, group: IntArray) -> FloatArray:
        """Centre a delta that is more than a difference of rewards, in one unit."""
        center, scale = self.center_[group], self.scale_[group]
        apart = scale[:, 0] != scale[:, 1]
        if apart.any():
            raise invalid_input(
                expected="pairs within one domain: this head's delta is no "
                "difference of rewards, and domains have units of their own",
                got=f"two domains in pair {int(np.argmax(apart))}",
                fix="use scope='global', or scale=False",
            )
        moved = self._inner_delta(pairs) - (center[:, 0] - center[:, 1])
        return np.asarray(moved / scale[:, 0])

    def _reward(self, items: FloatArray) -> FloatArray:
        return self.head_.reward(items)

    def _raw_reward(self, X: Any) -> FloatArray:
        return super().reward(X)

    def _set_groups(self, raw: FloatArray, names: AnyArray | None) -> None:
        """Set zero and unit of each group from the head's rewards of the reference."""
        if names is None:
            self.domains_: AnyArray | None = None
            group = np.zeros(len(raw), dtype=np.intp)
        else:
            self.domains_, group = np.unique(names, return_inverse=True)
        n_groups = int(group.max()) + 1
        moments = [mean_and_spread(raw[group == g]) for g in range(n_groups)]
        self.center_ = np.array([mean for mean, _ in moments])
        self.scale_ = np.array([spread for _, spread in moments])
        if self.scope == "prompt" and names is not None:
            _, within = mean_and_spread(raw - self.center_[group])
            self.scale_ = np.full(n_groups, within)
        if not self.scale:
            self.scale_ = np.ones(n_groups)

    def _groups_of(self, domains: ArrayLike | None, n_items: int) -> IntArray:
        """Look up the group of each item."""
        if self.domains_ is None:
            return np.zeros(n_items, dtype=np.intp)
        names, inverse = np.unique(
            _check_domains(domains, n_items), return_inverse=True
        )
        known = {name: n for n, name in enumerate(self.domains_.tolist())}
        group = np.array(
            [known.get(name, -1) for name in names.tolist()], dtype=np.intp
        )
        if (group < 0).any():
            raise invalid_input(
                expected=f"items of the {len(known)} {self.scope}s that the "
                "reference pool has",
                got=f"{int((group < 0).sum())} unknown, e.g. "
                f"{str(names[int(np.argmin(group))])[:40]!r}",
                fix="call calibrate again with reference items of these, or use "
                "scope='global'",
            )
        return group[inverse]

    def _set_state(self, state: HeadState) -> None:
        super()._set_state(state)
        if self.domains_ is None and len(self.center_) != 1:
            raise IntegrityError.of(
                expected="the names of the groups of the reference",
                got=f"{len(self.center_)} groups without",
                fix="save the head again",
            )


def _check_domains(domains: ArrayLike | None, n_items: int) -> AnyArray:
    """Check domains: one per item, as numbers or strings."""
    if domains is None:
        raise invalid_input(
            expected="the domain of each item: rewards were centred by domain",
            got="none",
            fix="pass domains=..., or use scope='global'",
        )
    names = np.asarray(domains)
    if names.shape != (n_items,):
        raise invalid_input(
            expected=f"domains of shape ({n_items},), one per item",
            got=f"shape {names.shape}",
            fix="pass the domain of each item",
        )
    return names.astype(str) if names.dtype.kind == "O" else names
