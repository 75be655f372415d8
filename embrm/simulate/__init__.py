"""Simulation lab: which pairs to annotate, by what annotator, at what noise.

preferences = simulate(pool, SamePrompt(), BradleyTerryAnnotator(), n_pairs=10_000)
head.fit(preferences.pairs, preferences.y)
"""

from embrm.simulate.annotation import Annotation, Annotator, gold_scale
from embrm.simulate.annotators import (
    BradleyTerryAnnotator,
    CallableAnnotator,
    FlipAnnotator,
    LapseAnnotator,
    PerfectAnnotator,
    ThurstoneAnnotator,
    TieAnnotator,
)
from embrm.simulate.biased import AnnotatorPanel, BiasedAnnotator
from embrm.simulate.design import PairingDesign
from embrm.simulate.kwise import (
    BestVersusWorst,
    DiverseResponses,
    KWise,
    SimilarResponses,
)
from embrm.simulate.pairing import (
    CrossPrompt,
    MixedPrompt,
    RankWindow,
    SamePrompt,
    Tournament,
)
from embrm.simulate.registry import AccuracyCurve, make_annotator, make_design
from embrm.simulate.simulation import (
    Diversity,
    SimulatedPreferences,
    calibrate,
    gold_error,
    simulate,
)
from embrm.simulate.theory import (
    SameAndCross,
    TheoryCheck,
    proposition_14,
    proposition_15,
    sample_contrast,
    theorem_16,
)

__all__ = [
    "AccuracyCurve",
    "Annotation",
    "Annotator",
    "AnnotatorPanel",
    "BestVersusWorst",
    "BiasedAnnotator",
    "BradleyTerryAnnotator",
    "CallableAnnotator",
    "CrossPrompt",
    "DiverseResponses",
    "Diversity",
    "FlipAnnotator",
    "KWise",
    "LapseAnnotator",
    "MixedPrompt",
    "PairingDesign",
    "PerfectAnnotator",
    "RankWindow",
    "SameAndCross",
    "SamePrompt",
    "SimilarResponses",
    "SimulatedPreferences",
    "TheoryCheck",
    "ThurstoneAnnotator",
    "TieAnnotator",
    "Tournament",
    "calibrate",
    "gold_error",
    "gold_scale",
    "make_annotator",
    "make_design",
    "proposition_14",
    "proposition_15",
    "sample_contrast",
    "simulate",
    "theorem_16",
]
