"""Every parameter of a wrong type is refused in embrm's own words."""

import inspect

import numpy as np
import pytest

import embrm.evaluate as evaluate
from embrm.exceptions import InvalidInputError

RNG = np.random.default_rng(0)
DELTA = RNG.normal(size=60)
PROMPTS = np.repeat(np.arange(20), 3)
GOLD = RNG.normal(size=60)
LENGTHS = RNG.integers(1, 9, size=(60, 2))
CURVE = evaluate.overoptimisation_curve(GOLD, GOLD + DELTA, PROMPTS, n_resamples=50)

ARGUMENTS = {
    evaluate.PromptGroupKFold: (),
    evaluate.PromptResampler: (PROMPTS,),
    evaluate.best_of_n_curve: (GOLD, DELTA, PROMPTS),
    evaluate.calibration_interval: (DELTA, None, PROMPTS),
    evaluate.compare_heads: ({"one": DELTA, "other": -DELTA},),
    evaluate.evaluate_deltas: (DELTA,),
    evaluate.expected_calibration_error: (DELTA,),
    evaluate.farthest_accurate_kl: (CURVE,),
    evaluate.fit_overoptimisation: (CURVE,),
    evaluate.length_correlation: (GOLD, DELTA, PROMPTS),
    evaluate.length_matched_order_consistency: (DELTA, LENGTHS),
    evaluate.order_consistency_by_delta: (DELTA,),
    evaluate.overoptimisation_curve: (GOLD, DELTA, PROMPTS),
    evaluate.pick_quality: (GOLD, DELTA, PROMPTS),
    evaluate.pool_best_of_n_kl: (GOLD, PROMPTS, 2),
    evaluate.prompt_bootstrap: (DELTA, PROMPTS),
    evaluate.prompt_bootstrap_statistic: (np.sum, PROMPTS),
    evaluate.prompt_rank_correlation: (GOLD, DELTA, PROMPTS),
    evaluate.prompt_train_test_split: (PROMPTS,),
    evaluate.reliability_curve: (DELTA,),
}
NO_SETTINGS = {"y", "groups", "lengths", "sample_weight", "gold", "reward"}
SETTINGS = [
    pytest.param(function, parameter.name, id=f"{function.__name__}-{parameter.name}")
    for function, arguments in ARGUMENTS.items()
    for parameter in list(inspect.signature(function).parameters.values())[
        len(arguments) :
    ]
    if parameter.name not in NO_SETTINGS | {"shuffle", "prompt_ids"}
    # A splitter looks at its seed when it splits, as those of scikit-learn do.
    if (function, parameter.name) != (evaluate.PromptGroupKFold, "random_state")
]


@pytest.mark.parametrize(("function", "name"), SETTINGS)
@pytest.mark.parametrize(
    "value", ["x", {}, np.ones((2, 2)), -1], ids=["text", "dict", "array", "-1"]
)
def test_a_setting_of_a_wrong_type_is_refused(function, name, value):
    """With what was expected, what was got and what to do: no foreign error."""
    with pytest.raises(InvalidInputError, match=r"expected .*; got .*\. Fix: "):
        _ = function(*ARGUMENTS[function], **{name: value})
