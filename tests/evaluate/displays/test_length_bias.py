"""Length bias pictures: reward against length, each beside those of its prompt."""

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

from embrm.evaluate import length_correlation
from embrm.evaluate.displays import LengthBiasDisplay
from embrm.exceptions import InvalidInputError


@pytest.fixture(scope="module")
def case():
    """Two rewards of 60 prompts with 10 responses: one loves length, one does not."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(50, 2000, size=600)
    before = lengths / 300 + rng.normal(size=600) + np.repeat(rng.normal(size=60), 10)
    return (
        {"before": before, "after": rng.normal(size=600)},
        lengths,
        np.repeat(range(60), 10),
    )


@pytest.fixture
def display(case) -> LengthBiasDisplay:
    return LengthBiasDisplay.from_predictions(*case, n_bins=5, n_resamples=200)


def test_a_biased_reward_rises_and_a_fair_one_does_not(display):
    """From the shortest bin to the longest."""
    before, after = display.rewards["before"].mean, display.rewards["after"].mean
    assert np.all(np.diff(before) > 0)
    assert abs(after[-1] - after[0]) < 0.5 < before[-1] - before[0]


def test_bins_are_means_of_centred_rewards(case):
    """One bin holds all, and the mean of what is centred is zero."""
    display = LengthBiasDisplay.from_predictions(*case, n_bins=1, n_resamples=5)
    assert display.length == pytest.approx([1])
    assert display.rewards["before"].mean == pytest.approx([0], abs=1e-12)


def test_the_level_of_prompts_does_not_matter(case, display):
    """A prompt's own constant cancels, in reward and in length."""
    rewards, lengths, prompts = case
    scale = np.repeat(np.random.default_rng(1).integers(1, 9, size=60), 10)
    shifted = {name: reward + 10 * scale for name, reward in rewards.items()}
    other = LengthBiasDisplay.from_predictions(
        shifted, lengths * scale, prompts, n_bins=5, n_resamples=200
    )
    np.testing.assert_allclose(other.length, display.length)
    np.testing.assert_allclose(
        other.rewards["before"].mean, display.rewards["before"].mean
    )


def test_correlations_are_those_of_the_metric(case, display):
    """Spearman, within prompts."""
    rewards, lengths, prompts = case
    expected = length_correlation(rewards["before"], lengths, prompts).mean
    assert display.correlations["before"] == pytest.approx(expected)


def test_equal_lengths_stay_in_one_bin():
    """However many bins are asked for."""
    display = LengthBiasDisplay.from_predictions(
        {"r": [1, 2, 3, 4]}, [10, 10, 10, 10], list("aabb"), n_resamples=5
    )
    assert display.length.tolist() == [1]


def test_a_constant_reward_is_flat():
    """It has no standard deviation to be divided by."""
    display = LengthBiasDisplay.from_predictions(
        {"r": [1, 1, 1, 1]}, [10, 20, 10, 30], list("aabb"), n_bins=2, n_resamples=5
    )
    assert display.rewards["r"].mean.tolist() == [0, 0]


def test_the_picture_names_each_reward_with_its_correlation(display, tmp_path):
    """Axes are labelled with their unit."""
    ax = display.plot().ax_
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert words[0].startswith("before: Spearman 0.8")
    assert words[1].startswith("after: Spearman ")
    assert ax.get_xlabel() == "length (multiple of the prompt's mean)"
    assert ax.get_ylabel() == "reward less the prompt's mean\n(standard deviations)"
    display.figure_.savefig(tmp_path / "length.png")


def test_it_draws_on_axes_that_are_given(display):
    """plot(ax) uses them and returns the display."""
    figure, ax = mpl.pyplot.subplots()
    assert display.plot(ax) is display
    assert display.figure_ is figure


def test_a_reward_is_needed():
    """The error says what to pass."""
    with pytest.raises(InvalidInputError, match="reward of at least one head"):
        LengthBiasDisplay.from_predictions({}, [1.0], ["a"])


def test_an_empty_response_is_refused():
    """It has no length to be a multiple."""
    with pytest.raises(InvalidInputError, match="another value at item 1"):
        LengthBiasDisplay.from_predictions({"r": [1, 2]}, [5, 0], ["a", "a"])
