"""Annotators and pairing designs by name, as grids and command lines name them."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from embrm._typing import FloatArray
from embrm.exceptions import InvalidInputError, invalid_input
from embrm.simulate.annotation import Annotator
from embrm.simulate.annotators import (
    AnnotatorPanel,
    BiasedAnnotator,
    BradleyTerryAnnotator,
    CallableAnnotator,
    FlipAnnotator,
    LapseAnnotator,
    PerfectAnnotator,
    ThurstoneAnnotator,
    TieAnnotator,
)
from embrm.simulate.pairing import (
    BestVersusWorst,
    CrossPrompt,
    DiverseResponses,
    KWise,
    MixedPrompt,
    PairingDesign,
    RankWindow,
    SamePrompt,
    SimilarResponses,
    Tournament,
)

ANNOTATORS: MappingProxyType[str, type[Annotator]] = MappingProxyType(
    {
        "bradley-terry": BradleyTerryAnnotator,
        "thurstone": ThurstoneAnnotator,
        "perfect": PerfectAnnotator,
        "flip": FlipAnnotator,
        "lapse": LapseAnnotator,
        "tie": TieAnnotator,
        "biased": BiasedAnnotator,
        "callable": CallableAnnotator,
        "panel": AnnotatorPanel,
    }
)
"""The annotators by name."""

DESIGNS: MappingProxyType[str, type[PairingDesign]] = MappingProxyType(
    {
        "same-prompt": SamePrompt,
        "cross-prompt": CrossPrompt,
        "mixed-prompt": MixedPrompt,
        "rank-window": RankWindow,
        "similar-responses": SimilarResponses,
        "diverse-responses": DiverseResponses,
        "k-wise": KWise,
        "best-versus-worst": BestVersusWorst,
        "tournament": Tournament,
    }
)
"""The pairing designs by name."""


@dataclass(frozen=True)
class AccuracyCurve:
    r"""P(correct) as a function of :math:`|\Delta|`, by name: a xi for `"callable"`.

    Parameters
    ----------
    name : {"exponential", "hyperbolic", "cauchy"}
        :math:`1 - e^{-|\Delta|} / 2`, :math:`1 - 1 / (2 (1 + |\Delta|))`, and
        :math:`1/2 + \arctan(|\Delta|) / \pi`, the last two with heavy tails: errors on
        clear pairs, too.

    Examples
    --------
    >>> AccuracyCurve("hyperbolic")(np.array([0.0, 1.0]))
    array([0.5 , 0.75])
    """

    name: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or self.name not in _CURVES:
            raise invalid_input(
                f"the name of an accuracy curve: {', '.join(_CURVES)}",
                repr(self.name)[:60],
                "use one of these; any other function can be passed in Python, as "
                "CallableAnnotator(xi)",
            )

    def __call__(self, distance: FloatArray) -> FloatArray:
        """Compute P(correct) of absolute scaled differences."""
        return _CURVES[self.name](distance)


def make_annotator(name: str, **params: Any) -> Annotator:
    """Make an annotator by name.

    Parameters
    ----------
    name : str
        One of `ANNOTATORS`.
    **params
        Its parameters. Annotators among them (`base`, and the list `annotators` of a
        panel) are given as `annotator_from_spec` takes them; the `xi` of "callable"
        is the name of an `AccuracyCurve`.

    Returns
    -------
    Annotator

    Raises
    ------
    InvalidInputError
        If the name or a parameter is unknown; the message lists the known ones.

    Examples
    --------
    >>> make_annotator("bradley-terry", beta=2.0)
    BradleyTerryAnnotator(beta=2.0, scale='std')
    >>> make_annotator("lapse", base="perfect", rate=0.1)
    LapseAnnotator(base=PerfectAnnotator(scale='std'), rate=0.1)
    """
    cls = _look_up(name, ANNOTATORS, "an annotator")
    made: Annotator = _construct(
        name,
        cls,
        {key: _annotator_value(key, value) for key, value in params.items()},
    )
    return made


def make_design(name: str, **params: Any) -> PairingDesign:
    """Make a pairing design by name.

    Parameters
    ----------
    name : str
        One of `DESIGNS`.
    **params
        Its parameters.

    Returns
    -------
    PairingDesign

    Raises
    ------
    InvalidInputError
        If the name or a parameter is unknown; the message lists the known ones.

    Examples
    --------
    >>> make_design("mixed-prompt", share=0.5)
    MixedPrompt(share=0.5, replacement=False)
    """
    cls = _look_up(name, DESIGNS, "a pairing design")
    made: PairingDesign = _construct(name, cls, params)
    return made


def annotator_from_spec(spec: Any) -> Annotator:
    """Make an annotator from what a YAML file says: see `name_and_params`.

    Examples
    --------
    >>> annotator_from_spec({"flip": {"rate": 0.1}})
    FlipAnnotator(rate=0.1, scale='std')
    """
    name, params = name_and_params(spec, "an annotator")
    return make_annotator(name, **params)


def design_from_spec(spec: Any) -> PairingDesign:
    """Make a pairing design from what a YAML file says: see `name_and_params`.

    Examples
    --------
    >>> design_from_spec("same-prompt")
    SamePrompt(replacement=False)
    """
    name, params = name_and_params(spec, "a pairing design")
    return make_design(name, **params)


def with_lengths(annotator: Annotator, lengths: FloatArray) -> Annotator:
    """Tell the biased among annotators the lengths of responses, of which no text is.

    Parameters
    ----------
    annotator : Annotator
        May hold others, as a panel does.
    lengths : ndarray of shape (n_items,)
        Of the items of the pool that it will annotate, in any unit.

    Returns
    -------
    Annotator
        The same where no covariate is "length".

    Examples
    --------
    >>> biased = make_annotator("biased", base="perfect", covariate="length")
    >>> with_lengths(biased, np.array([10.0, 20.0])).covariate
    array([10., 20.])
    """
    if isinstance(annotator, AnnotatorPanel):
        members: Any = [with_lengths(one, lengths) for one in annotator.annotators]
        return replace(annotator, annotators=members)
    if isinstance(annotator, BiasedAnnotator | LapseAnnotator):
        base: Any = with_lengths(annotator.base, lengths)
        annotator = replace(annotator, base=base)
    if isinstance(annotator, BiasedAnnotator) and isinstance(annotator.covariate, str):
        return replace(annotator, covariate=lengths)
    return annotator


def name_and_params(spec: Any, what: str) -> tuple[str, dict[str, Any]]:
    """Part a name, or a mapping from one name to its parameters.

    Parameters
    ----------
    spec : str or mapping of str to mapping
        `"same-prompt"` or `{"mixed-prompt": {"share": 0.5}}`.
    what : str
        What is named, for the error.

    Returns
    -------
    name : str
    params : dict

    Raises
    ------
    InvalidInputError
        If the spec has another form.

    Examples
    --------
    >>> name_and_params({"mixed-prompt": {"share": 0.5}}, "a pairing design")
    ('mixed-prompt', {'share': 0.5})
    """
    if isinstance(spec, str):
        return spec, {}
    if isinstance(spec, Mapping) and len(spec) == 1:
        ((name, params),) = spec.items()
        params = {} if params is None else params
        named = isinstance(params, Mapping) and all(isinstance(p, str) for p in params)
        if isinstance(name, str) and named:
            return name, dict(params)
    got = f"{len(spec)} keys" if isinstance(spec, Mapping) else type(spec).__name__
    if isinstance(spec, Mapping) and len(spec) == 1:
        got = f"{str(next(iter(spec)))[:40]}: {repr(next(iter(spec.values())))[:40]}"
    raise invalid_input(
        f"{what} as a name, or as one name with its parameters",
        got,
        "write NAME, or {NAME: {PARAMETER: VALUE}}",
    )


def _look_up(name: Any, known: Mapping[str, Any], what: str) -> Any:
    if not isinstance(name, str) or name not in known:
        kind = what.partition(" ")[2]
        raise invalid_input(
            f"the name of {what}",
            f"unknown {kind} {str(name)[:40]!r}; known: {', '.join(known)}",
            "use one of the known names",
        )
    return known[name]


def _construct(name: str, cls: Any, params: Mapping[str, Any]) -> Any:
    """Call the constructor, with an error that lists its parameters."""
    known = inspect.signature(cls).parameters
    unknown = [key for key in params if key not in known]
    needed = [key for key, one in known.items() if one.default is one.empty]
    missing = [key for key in needed if key not in params]
    truths = [field.name for field in fields(cls) if field.type is bool]
    untrue = [key for key in truths if not isinstance(params.get(key, False), bool)]
    expected = f"parameters of '{name}': {', '.join(known) or 'none'}"
    if unknown:
        got = f"unknown {', '.join(unknown)[:80]}"
        raise invalid_input(expected, got, "check the spelling, or leave it out")
    if missing:
        raise invalid_input(expected, f"no {', '.join(missing)}", "give it a value")
    if untrue:
        got = f"{untrue[0]}: {params[untrue[0]]!r}"[:60]
        raise invalid_input(
            f"{untrue[0]} of '{name}' that is true or false", got, "use one"
        )
    try:
        return cls(**params)
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidInputError):
            raise
        # What a list or text in the place of a number leads to.
        raise invalid_input(
            expected, str(error)[:80], "check the types of the values"
        ) from error


def _annotator_value(key: str, value: Any) -> Any:
    """Make the annotators and the curve that stand among the parameters."""
    if key == "base" and not isinstance(value, Annotator):
        return annotator_from_spec(value)
    if key == "annotators" and isinstance(value, list | tuple):
        return [_annotator_value("base", member) for member in value]
    if key == "xi" and not callable(value):
        return AccuracyCurve(value)
    return value


_CURVES: MappingProxyType[str, Callable[[FloatArray], FloatArray]] = MappingProxyType(
    {
        "exponential": lambda distance: 1 - 0.5 * np.exp(-distance),
        "hyperbolic": lambda distance: 1 - 0.5 / (1 + distance),
        "cauchy": lambda distance: 0.5 + np.arctan(distance) / np.pi,
    }
)
