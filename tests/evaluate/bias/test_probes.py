"""Changes that should not matter, and responses that are no answers."""

import numpy as np
import pandas as pd
import pytest

from embrm.evaluate.bias import audit_kinds, audit_perturbations, position_bias
from embrm.exceptions import InvalidInputError

ITEMS = pd.DataFrame(
    {
        "prompt": [f"q{n}" for n in range(12)],
        "response": [f"Answer {n} is {'so ' * n}on." for n in range(12)],
    }
)


def test_a_reward_of_length_rises_with_what_is_added():
    """And falls with nothing."""
    table = audit_perturbations(lambda f: f["response"].str.len(), ITEMS)
    assert table.loc[["said twice", "padded", "emoji"], "up"].tolist() == [1.0] * 3
    assert table.loc["lower case", "shift"] == 0.0
    assert table.loc["lower case", "up"] == 0.5
    assert table.loc["padded", "low"] > 0.7


def test_responses_to_one_prompt_make_no_interval_narrower():
    """Ten copies of each say as much as one."""
    lengths = lambda f: f["response"].str.len()  # noqa: E731
    once = audit_perturbations(lengths, ITEMS)
    often = audit_perturbations(lengths, pd.concat([ITEMS] * 10, ignore_index=True))
    pd.testing.assert_frame_equal(
        once[["up", "low", "high"]], often[["up", "low", "high"]]
    )


def test_arguments_in_the_wrong_order_are_named():
    """The frame comes second."""
    with pytest.raises(InvalidInputError, match="then the frame"):
        audit_perturbations(ITEMS, lambda f: f["response"].str.len())


def test_own_changes_can_be_probed():
    """Such as paraphrases, by look-up."""
    paraphrases = {text: text.replace("Answer", "Reply") for text in ITEMS["response"]}
    table = audit_perturbations(
        lambda f: f["response"].str.contains("Answer"),
        ITEMS,
        {"paraphrase": paraphrases.get, "nothing": str},
    )
    assert list(table.index) == ["paraphrase"]
    assert table.loc["paraphrase", "up"] == 0.0


PAIRS = pd.DataFrame(
    {
        "prompt": [f"topic{n}" for n in range(20)],
        "chosen": [f"A good text on topic{n} it is" for n in range(20)],
        "rejected": [f"bad topic{n}" for n in range(20)],
    }
)


def test_a_reward_that_ignores_the_prompt_is_found():
    """It cannot tell an answer to another prompt."""
    table = audit_kinds(lambda f: f["response"].str.len().clip(upper=25), PAIRS)
    assert table.loc["rejected", "below_chosen"] == 1.0
    assert table.loc["another prompt's answer", "below_chosen"] == 0.5
    assert table.loc["no answer", "below_chosen"] < 0.6


def test_a_reward_that_looks_for_the_prompt_beats_non_answers():
    """All but the rejected response, which names the topic too."""
    table = audit_kinds(
        lambda f: [
            p in r and r.startswith("A good")
            for p, r in zip(f["prompt"], f["response"], strict=True)
        ],
        PAIRS,
    )
    assert (table["below_chosen"] > 0.9).all()
    assert list(table.index) == [
        "rejected",
        "off-distribution",
        "another prompt's answer",
        "no answer",
    ]


def test_one_prompt_has_no_other():
    """It is refused, and so are missing columns."""
    with pytest.raises(InvalidInputError, match="two prompts or more"):
        audit_kinds(len, PAIRS.iloc[:1])
    with pytest.raises(InvalidInputError, match="no response among"):
        audit_perturbations(len, ITEMS[["prompt"]])


def test_a_judge_that_follows_the_position_is_inconsistent():
    """Pairs judged once do not count."""
    rng = np.random.default_rng(0)
    ids = np.repeat(np.arange(200), 2)
    first = pd.DataFrame(
        {"id": ids, "order": [0, 1] * 200, "winner": np.tile(["A", "B"], 200)}
    )
    assert position_bias(first)["consistent"] == 0.0
    fair = first.assign(winner=np.repeat(rng.choice(["A", "B"], 200), 2))
    assert position_bias(fair)["consistent"] == 1.0
    assert (
        position_bias(pd.concat([fair, fair.iloc[:1].assign(id=999)]))["n_pairs"] == 200
    )
    with pytest.raises(InvalidInputError, match="judged in two orders"):
        position_bias(fair[fair["order"] == 0])
