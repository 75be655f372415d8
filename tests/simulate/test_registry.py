"""Annotators and designs by word."""

import inspect

import numpy as np
import pytest

import embrm.simulate
from embrm import CandidatePool
from embrm.exceptions import InvalidInputError
from embrm.simulate import (
    AccuracyCurve,
    Annotator,
    PairingDesign,
    make_annotator,
    make_design,
)
from embrm.simulate.registry import (
    ANNOTATORS,
    DESIGNS,
    annotator_from_spec,
    design_from_spec,
    name_and_params,
    with_lengths,
)

ANNOTATOR_SPECS = {
    "bradley-terry": {"bradley-terry": {"beta": 2.0, "scale": "within_prompt_std"}},
    "thurstone": {"thurstone": {"sigma": 0.5}},
    "perfect": "perfect",
    "flip": {"flip": {"rate": 0.1}},
    "lapse": {"lapse": {"base": "bradley-terry", "rate": 0.1}},
    "tie": {"tie": {"threshold": 0.2}},
    "biased": {"biased": {"base": {"thurstone": {}}, "position": 0.3}},
    "callable": {"callable": {"xi": "hyperbolic"}},
    "panel": {
        "panel": {
            "annotators": ["bradley-terry", {"flip": {"rate": 0.2}}],
            "shares": [1, 3],
            "votes": 3,
            "aggregate": "majority",
        }
    },
}
DESIGN_SPECS = {
    "same-prompt": "same-prompt",
    "cross-prompt": {"cross-prompt": None},
    "mixed-prompt": {"mixed-prompt": {"share": 0.5}},
    "rank-window": {"rank-window": {"low": 0, "high": -1}},
    "similar-responses": {"similar-responses": {"metric": "euclidean"}},
    "diverse-responses": {"diverse-responses": {"share": 0.5}},
    "k-wise": {"k-wise": {"k": 3}},
    "best-versus-worst": {"best-versus-worst": {"n": 4, "replacement": True}},
    "tournament": "tournament",
}


def concrete(base: type) -> set[type]:
    public = (getattr(embrm.simulate, name) for name in embrm.simulate.__all__)
    classes = (one for one in public if inspect.isclass(one) and issubclass(one, base))
    return {one for one in classes if not inspect.isabstract(one)}


@pytest.mark.parametrize(
    ("base", "words"), [(Annotator, ANNOTATORS), (PairingDesign, DESIGNS)]
)
def test_every_public_class_has_a_word(base, words):
    """Whoever adds an annotator or a design names it here, too."""
    assert concrete(base) == set(words.values())


@pytest.mark.parametrize("word", ANNOTATORS)
def test_every_annotator_annotates_when_made_by_word(word):
    """The parameters arrive, nested annotators and curves included."""
    annotator = annotator_from_spec(ANNOTATOR_SPECS[word])
    assert type(annotator) is ANNOTATORS[word]
    labels = annotator.annotate([-1.0, 0.5, 2.0], [[0, 1], [1, 2], [2, 0]], 0).y
    assert labels.shape == (3,)


@pytest.mark.parametrize("word", DESIGNS)
def test_every_design_draws_when_made_by_word(word, pool):
    """The parameters arrive, and fit a pool."""
    design = design_from_spec(DESIGN_SPECS[word])
    assert type(design) is DESIGNS[word]
    assert design.draw(pool, 5, 0).shape == (5, 2)


def test_parameters_arrive_as_given():
    """A nested annotator is the one that its word names."""
    panel = annotator_from_spec(ANNOTATOR_SPECS["panel"])
    assert (panel.annotators[0].beta, panel.annotators[1].rate) == (1.0, 0.2)
    assert make_design("rank-window", low=4, high=5).high == 5
    assert make_annotator("lapse", base=panel.annotators[0], rate=0.5).base.beta == 1.0


@pytest.mark.parametrize(
    ("make", "words"), [(make_annotator, ANNOTATORS), (make_design, DESIGNS)]
)
def test_an_unknown_word_lists_the_known_ones(make, words):
    """All of them, so that nobody has to look them up."""
    with pytest.raises(InvalidInputError, match=r"unknown .* 'bt'; known: ") as caught:
        make("bt")
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("make", "spec", "words"),
    [
        (annotator_from_spec, {"flip": {"rat": 1}}, "'flip': rate, scale; got unknown"),
        (annotator_from_spec, "flip", "'flip': rate, scale; got no rate"),
        (annotator_from_spec, {"flip": {"rate": "a"}}, "flipped labels in"),
        (annotator_from_spec, {"lapse": {"base": "bt", "rate": 0}}, "annotator 'bt'"),
        (
            annotator_from_spec,
            {"panel": {"annotators": ["perfect"], "shares": {"a": 1}}},
            "expected numeric shares; got dtype object",
        ),
        (annotator_from_spec, {"callable": {"xi": "steep"}}, "curve: exponential, "),
        (annotator_from_spec, {"callable": {"xi": [1]}}, "curve: exponential, "),
        (design_from_spec, {"mixed-prompt": {"shares": 1}}, "share, replacement; got"),
        (design_from_spec, {"same-prompt": {"replacement": "no"}}, "true or false"),
        (design_from_spec, {"k-wise": None}, "got no k"),
    ],
)
def test_wrong_parameters_name_the_accepted_ones(make, spec, words):
    """The word and its parameters stand in the message."""
    with pytest.raises(InvalidInputError, match=words):
        make(spec)


@pytest.mark.parametrize("spec", [None, 3, ["a"], {}, {"a": 1}, {"a": {}, "b": {}}])
def test_a_spec_of_another_form_is_refused(spec):
    """The message shows how to write one."""
    with pytest.raises(InvalidInputError, match=r"NAME: \{PARAMETER: VALUE\}"):
        name_and_params(spec, "an annotator")


@pytest.mark.parametrize("name", ["exponential", "hyperbolic", "cauchy"])
def test_accuracy_curves_rise_from_chance_to_certainty(name):
    """They are what an annotator calls xi, and are equal if their names are."""
    curve = AccuracyCurve(name)
    values = curve(np.linspace(0, 50, 101))
    assert values[0] == 0.5
    assert (np.diff(values) >= 0).all()
    assert 0.98 < values[-1] <= 1
    assert curve == AccuracyCurve(name)
    assert repr(curve) == f"AccuracyCurve(name='{name}')"


def test_a_length_bias_by_word_sees_the_texts_of_the_pool():
    """`covariate: length` is looked up in the pool."""
    pool = CandidatePool(np.eye(2), [0, 0], [0, 0], [("p", "long text"), ("p", "x")])
    spec = {"biased": {"base": "perfect", "covariate": "length", "strength": 1.0}}
    bound = annotator_from_spec(spec).for_pool(pool)
    assert bound.probabilities([0.0], [[0, 1]]).tolist() == [1.0]


@pytest.mark.parametrize("holder", ["biased", "lapse", "panel"])
def test_lengths_stand_in_for_texts(holder):
    """However deep the biased annotator is in others."""
    biased = {"biased": {"base": "perfect", "covariate": "length", "strength": 1.0}}
    spec = {
        "biased": biased,
        "lapse": {"lapse": {"base": biased, "rate": 0.0}},
        "panel": {"panel": {"annotators": [biased]}},
    }[holder]
    made = with_lengths(annotator_from_spec(spec), np.array([90.0, 10.0]))
    pool = CandidatePool(np.eye(2), [0, 0], gold=[0, 0])
    assert made.for_pool(pool).probabilities([0.0], [[0, 1]]).tolist() == [1.0]


def test_annotators_without_a_length_bias_do_not_change():
    """There is nothing to tell them."""
    lapse = make_annotator("lapse", base="bradley-terry", rate=0.1)
    assert with_lengths(lapse, np.ones(3)) == lapse
