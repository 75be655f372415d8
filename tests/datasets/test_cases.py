"""Small inputs from people who do this job: read right, or refused in one line."""

import runpy
import warnings

import pandas as pd
import pytest

from embrm import RewardModel
from embrm.datasets import read_preferences
from embrm.exceptions import DataError, InvalidInputError, MisreadWarning

pytestmark = pytest.mark.realdata

# Case: format, pairs, distinct prompts, y of the first pairs.
READ = {
    "02": ("pairs", 6, 6, [1, 1]),
    "03": ("pairs", 6, 6, [1, 1]),
    "05": ("arena-one-hot", 6, 6, [1, 0]),
    "06": ("arena", 6, 6, [1, 0]),
    "07": ("pku-saferlhf", 6, 6, [1, 0]),
    "08": ("shp", 6, 6, [0, 1]),
    "09": ("nectar", 18, 6, [1, 1]),
    "15": ("webgpt", 6, 6, [1, 0]),
    "18": ("trl", 7, 7, [1, 1]),
    "19b": ("trl", 6, 6, [1, 1]),
    "21": ("pairs", 7, 6, [1, 1]),
    "22f": ("pairs", 6, 6, [1, 1]),
    "23": ("pairs", 12, 6, [1, 1]),
    "30": ("pairs", 18, 6, [1, 1]),
    "31": ("label-studio", 6, 6, [1, 1]),
    "35": ("two-responses", 6, 6, [1, 0]),
    "40": ("pairs", 6, 6, [1, 1]),
    "43": ("pairs", 6, 6, [1, 1]),
    "46": ("trl", 6, 6, [1, 1]),
    "56": ("pairs", 6, 6, [1, 1]),
    "64": ("rewardbench", 12, 12, [1, 1]),
    "68": ("pairs", 6, 6, [1, 1]),
    "69": ("pku-saferlhf", 2, 2, [0, 0]),
}


@pytest.fixture
def case(shared_data):
    """Return the path of a case by its number."""

    def find(number):
        (path,) = (shared_data / "cases").glob(f"{number}_*")
        return path

    return find


def _read(path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MisreadWarning)
        return read_preferences(path, **options)


@pytest.mark.parametrize("number", READ)
def test_a_case_is_read_as_it_is_meant(case, number):
    """Format, pairs, prompts and the first labels are right, and no row is lost."""
    read = _read(case(number))
    name, n_pairs, n_prompts, labels = READ[number]
    assert read.read_report.format == name
    assert (len(read), read.items["prompt_id"].nunique()) == (n_pairs, n_prompts)
    assert read.y[:2].tolist() == labels
    assert read.read_report.n_left_out == 0
    assert all(read.read_report.columns.values())


def test_prompts_have_all_their_columns(case):
    """Instruction and input, system and question, and never the answers' own words."""
    assert _read(case("02")).items["prompt"][0].startswith("Answer the question.\nHow")
    first = _read(case("40")).to_frame().iloc[0]
    assert [turn["role"] for turn in first["prompt"]] == ["system", "user"]
    assert first["first"] == "The answer is 56."
    assert _read(case("68")).to_frame()["first"][0].startswith("Yes, tea")
    assert _read(case("09")).items["prompt"][0] == "How do I keep basil alive indoors?"
    assert _read(case("08")).items["prompt"][0] == "How do I keep basil alive indoors?"


def test_what_goes_along_can_be_used_on_request(case):
    """Scores as a margin, the safer response as the label, the ratio as a weight."""
    columns = {"margin": "chosen_reward - rejected_reward"}
    assert _read(case("03"), columns=columns).margin.tolist() == [7.0] * 6
    safer = _read(case("07"), columns={"winner": "safer_response_id"})
    assert safer.y.tolist() == [1.0] * 6
    assert _read(case("08"), columns={"weight": "score_ratio"}).weight[0] == 4.0


def test_ties_of_an_arena_can_be_told_apart(case):
    """Tie and both bad are ties; the column `tie` says which."""
    read = _read(case("06"))
    ties = read.pairs[read.pairs["y"] == 0.5]
    assert len(ties) == (read.pairs["tie"].notna()).sum() > 0
    assert {"tie", "both bad"} >= set(ties["tie"])
    assert (_read(case("05")).y == 0.5).any()


@pytest.mark.parametrize(
    ("number", "note"),
    [
        ("21", "pairs contradict each other"),
        ("22f", "columns are separated by ';'"),
        ("46", "messages were written as JSON in text"),
        ("49", "compared within each annotator"),
        ("56", "the column 'label' (0) stands beside chosen and rejected"),
        ("69", "better_response_id never takes its other value"),
        ("03", "can be the margin"),
    ],
)
def test_what_is_notable_is_said(case, number, note):
    """It is in the read report, which is printed."""
    report = _read(case(number)).read_report
    assert any(note in said for said in report.notes)
    assert note in str(report)


@pytest.mark.parametrize("number", ["56", "69"])
def test_what_may_be_misread_is_a_warning(case, number):
    """A clean log would be a lie."""
    with pytest.warns(MisreadWarning):
        read_preferences(case(number))


def test_a_weight_that_is_missing_is_one(case):
    """Null and bare NaN are missing."""
    assert _read(case("43")).weight.tolist() == [1.0, 1.0, 1.0, 2.5, 0.0, 1.0]


def test_good_and_bad_answers_are_items(case):
    """Messages with a label need no pair."""
    items = _read(case("25")).items
    assert items["label"].tolist().count(True) == len(items) / 2 == 6


def test_ratings_are_compared_within_each_annotator(case):
    """Strict and mild annotators are not mixed."""
    rated = _read(case("49"))
    apart = rated.prefer_by_score()
    assert set(apart.pairs["annotator"]) == set(rated.items["annotator"])
    mixed = rated.prefer_by_score(within_annotator=False)
    assert len(mixed) > len(apart)


def test_the_lowest_rank_is_best(case):
    """A column called rank is never a score, unless its direction is said."""
    ranked = _read(case("51")).prefer_by_score("rank")
    better = ranked.items["response"][ranked.pairs["first"][ranked.y == 1]]
    assert "The answer is 56." in set(better)
    with pytest.raises(
        InvalidInputError, match="pass lower_is_better=True or lower_is"
    ):
        _read(case("51"), columns={"score": "rank"})
    told = _read(case("51"), columns={"score": "rank"}, lower_is_better=True)
    assert (told.prefer_by_score().pairs["y"] == ranked.pairs["y"]).all()


def test_scores_are_no_ranks(case):
    """The fix that is proposed keeps their direction."""
    with pytest.raises(DataError, match=r"columns=\{'scores': 'ranking'\}"):
        _read(case("53"))
    columns = {"scores": "ranking"}
    scored = _read(case("53"), columns=columns, lower_is_better=False)
    scored = scored.prefer_by_score()
    better = scored.items["response"][scored.pairs["first"][scored.y == 1]]
    assert "The answer is 56." in set(better)


def test_items_without_a_label_are_scored_and_not_fitted(case):
    """What is missing is said in one short line."""
    with pytest.raises(DataError, match="what says how good 'response' is") as caught:
        _read(case("48"))
    assert len(str(caught.value)) < 300
    model = RewardModel(encoder="hashing:64").fit(case("40"))
    assert len(model.reward(case("48"))) == len(model.reward(case("47"))) == 12


def test_columns_reward_and_rank_survive(case):
    """Scoring adds columns and replaces none."""
    model = RewardModel(encoder="hashing:64").fit(case("40"))
    with pytest.raises(InvalidInputError, match="without the columns that are added"):
        model.rank(case("63"))
    ranked = model.rank(case("63"), names=("mine", "place"))
    given = pd.read_json(case("63"), lines=True)
    assert ranked["reward"].tolist() == given["reward"].tolist()
    assert ranked["rank"].tolist() == given["rank"].tolist()


def test_blanks_at_the_end_do_not_hide_a_leak(case):
    """The leak check of evaluate goes by the same prompts as the groups."""
    model = RewardModel(encoder="hashing:64").fit(case("30"))
    rows = pd.read_json(case("30"), lines=True)
    other = read_preferences(rows.assign(prompt=rows["prompt"].str.strip() + " \n"))
    assert model.seen_pairs(other).all()


@pytest.mark.filterwarnings("ignore::embrm.exceptions.LeftOutWarning")
@pytest.mark.parametrize("number", ["66", "67"])
def test_scripts_of_users_run(case, number, capsys):
    """GroupKFold takes the groups, and frames of polars are read."""
    runpy.run_path(str(case(number)))
    printed = capsys.readouterr().out
    assert "expected" not in printed


@pytest.mark.parametrize("name", ["dupkey.jsonl", "date.parquet", "cols.jsonl"])
def test_hostile_files_are_refused_in_one_typed_line(shared_data, name):
    """Nothing but a DataError, which names the file."""
    with pytest.raises(DataError, match=name) as caught:
        read_preferences(shared_data / "cases" / "hostile" / name)
    assert "\n" not in str(caught.value)
