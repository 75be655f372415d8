"""A diagnosis: every fact is right, every finding is there, the words are clean."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm._typing import FittedTexts
from embrm.datasets import diagnose, read_preferences
from embrm.datasets.diagnosis_words import clean, one_line
from embrm.evaluate import prompt_bootstrap
from embrm.exceptions import InvalidInputError


def pair(prompt, chosen, rejected, **more):
    """A row of the format pairs."""
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected, **more}


def kinds(diagnosis):
    """What the findings are about."""
    return [finding.kind for finding in diagnosis.findings]


def test_repeats_are_counted_once_each_way_round():
    """A turned pair with a turned label says the same; the first of them counts."""
    rows = [
        pair("a", "x", "y"),
        pair("a", "x", "y"),
        pair("a", "y", "x", y=0.0),
        pair("a", "x", "z"),
        pair("b", "x", "y"),
    ]
    repeats = diagnose(read_preferences(rows)).repeats
    assert (repeats.n, repeats.source_rows) == (2, (1, 2))


def test_the_same_label_of_another_annotator_is_no_repeat():
    """A second opinion is not a copy; a second one of the same person is."""
    rows = [pair("a", "x", "y", annotator=who) for who in ("ann", "bob", "ann")]
    assert diagnose(read_preferences(rows)).repeats.source_rows == (2,)


def test_contradictions_are_two_items_labelled_both_ways():
    """Counted by what they are about, and by pairs; ties contradict nothing."""
    rows = [
        pair("a", "x", "y"),
        pair("a", "y", "x"),
        pair("a", "x", "y"),
        pair("b", "x", "y"),
        pair("b", "x", "y", y=0.5),
    ]
    diagnosis = diagnose(read_preferences(rows))
    found = diagnosis.contradictions
    assert (found.n, found.n_pairs, found.source_rows) == (1, 3, (0, 1, 2))
    assert found.n_by_one_annotator is None
    assert "contradictions" in kinds(diagnosis)


def test_contradictions_of_one_annotator_are_counted_apart():
    """Two people may disagree; one who labels both ways made a mistake."""
    rows = [
        pair("a", "x", "y", annotator="ann"),
        pair("a", "y", "x", annotator="bob"),
        pair("b", "x", "y", annotator="ann"),
        pair("b", "y", "x", annotator="ann"),
    ]
    found = diagnose(read_preferences(rows)).contradictions
    assert (found.n, found.n_by_one_annotator) == (2, 1)


def test_cycles_are_circles_of_three_or_more():
    """A contradiction alone is none, and a chain is none."""
    rows = [
        *(pair("a", *edge) for edge in ("xy", "yz", "zx")),
        *(pair("b", *edge) for edge in ("xy", "yx", "yz")),
        *(pair("c", *edge) for edge in ("xy", "yz", "xz")),
    ]
    cycles = diagnose(read_preferences(rows)).cycles
    assert (cycles.n, cycles.n_items, cycles.n_pairs) == (1, 3, 3)
    assert cycles.source_rows == (0, 1, 2)


def test_parts_of_a_prompt_that_no_comparison_connects_are_found():
    """x and y, z and w are compared, but no one of the former with one of these."""
    rows = [pair("a", "x", "y"), pair("a", "z", "w"), pair("b", "x", "y")]
    diagnosis = diagnose(read_preferences(rows))
    parts = diagnosis.connectivity
    assert (parts.n_parts, parts.n_prompts_apart, parts.n_cross_prompt) == (3, 1, 0)
    assert "connectivity" in kinds(diagnosis)


def test_prompts_that_differ_in_blanks_or_unicode_form_are_one():
    """Composed and decomposed letters, blanks and line ends."""
    rows = [
        pair(p, "x", "y") for p in ("\u00f6sten?", "o\u0308sten?", " \u00f6sten?\n")
    ]
    diagnosis = diagnose(read_preferences(rows))
    assert diagnosis.n_prompts == 1
    assert diagnosis.repeats.n == 2


def test_near_duplicate_prompts_are_counted_and_shown():
    """The group, its members, and a finding that says what to do."""
    sea = "Write a short poem about the sea at night"
    rows = [pair(p, "x", "y") for p in (sea, f"{sea}!", "Name a fruit")]
    diagnosis = diagnose(read_preferences(rows))
    near = diagnosis.near_duplicates
    assert (near.n_groups, near.n_prompts) == (1, 2)
    assert near.examples == [[sea, f"{sea}!"]]
    assert "--group-near-duplicates" in str(diagnosis).replace("\n    ", " ")
    assert diagnose(read_preferences(rows), near_threshold=None).near_duplicates is None


def test_prompts_of_another_file_are_leakage():
    """Exactly shared, nearly shared, and the pairs that have either."""
    sea = "Write a short poem about the sea at night"
    own = [pair(p, "x", "y") for p in ("Name a fruit", sea, "Is it so?")]
    other = read_preferences(
        [pair(p, "u", "v") for p in ("Name a fruit ", f"{sea}, please")]
    )
    diagnosis = diagnose(read_preferences(own), against={"test": other})
    (leak,) = diagnosis.leakage
    assert (leak.n_prompts, leak.n_shared, leak.n_near) == (3, 1, 1)
    assert (leak.n_pairs, leak.source_rows) == (2, (0, 1))
    assert diagnosis.findings[0].kind == "leakage"
    assert diagnosis.findings[0].grave


def test_labels_are_counted_by_the_side_that_is_preferred():
    """Soft labels count on their side."""
    rows = [pair("a", "x", f"y{n}", y=y) for n, y in enumerate([1, 0.8, 0, 0.5])]
    labels = diagnose(read_preferences(rows)).labels
    counts = labels.n_first, labels.n_second, labels.n_ties, labels.n_soft
    assert counts == (2, 1, 1, 1)


def test_a_position_that_is_favoured_is_found():
    """Nine of ten firsts, beyond what chance gives; chosen first always is none."""
    mixed = [pair(f"p{n}", "x", "y", y=float(n % 10 > 0)) for n in range(100)]
    always = [pair(f"p{n}", "x", "y") for n in range(100)]
    assert "position" in kinds(diagnose(read_preferences(mixed)))
    assert "position" not in kinds(diagnose(read_preferences(always)))


def test_the_length_baseline_is_that_of_evaluate_with_nearly_its_interval():
    """The share is the same; the interval agrees with resampled prompts."""
    rng = np.random.default_rng(0)
    rows = [
        pair(
            f"prompt {n % 40}",
            "x" * int(rng.integers(5, 60)),
            "y" * int(rng.integers(1, 40)),
        )
        for n in range(400)
    ]
    preferences = read_preferences(rows)
    length = diagnose(preferences).length
    longer = np.array(
        [(np.sign(len(row["chosen"]) - len(row["rejected"])) + 1) / 2 for row in rows]
    )
    truth = prompt_bootstrap(longer, [row["prompt"] for row in rows])
    assert length.longer_preferred == pytest.approx(truth.estimate)
    assert length.low == pytest.approx(truth.low, abs=0.02)
    assert length.high == pytest.approx(truth.high, abs=0.02)
    assert "length" in kinds(diagnose(preferences))


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from([0, 0.5, 1]), st.integers(0, 5)), min_size=1))
def test_intervals_of_shares_stay_within_0_and_1_and_hold_the_estimate(rows):
    """Also of one group, and where all values are equal."""
    # The preferred response is shorter than, as long as or longer than the other.
    chosen = {0: "x", 0.5: "xx", 1: "xxx"}
    pairs = [pair(f"prompt {prompt}", chosen[value], "yy") for value, prompt in rows]
    length = diagnose(read_preferences(pairs), near_threshold=None).length
    share = np.mean([value for value, _ in rows])
    assert 0 <= length.low <= share + 1e-12
    assert share - 1e-12 <= length.high <= 1
    assert length.low < length.high


def test_annotators_are_counted_with_their_agreement():
    """Labels of the same two responses by both, whichever is first."""
    rows = []
    for n in range(20):
        rows.append(pair(f"p{n}", "x", "y", annotator="ann"))
        turned = pair(f"p{n}", "y", "x", annotator="bob", y=float(n % 5 == 0))
        rows.append(turned)
    who = diagnose(read_preferences(rows)).annotators
    assert (who.n, who.counts) == (2, {"ann": 20, "bob": 20})
    assert who.n_labelled_by_several == 20
    # Sixteen of twenty agree; ann never labels the other way: chance gives 0.82.
    assert who.alpha_labels == pytest.approx(1 - 8 / (2 * 36 * 4 / 39))


def test_annotators_that_are_numbers_are_named_as_numbers():
    """Also where some are missing, which makes floats of them."""
    rows = [
        pair("a", "x", f"y{n}", annotator=who) for n, who in enumerate([7, 7, None])
    ]
    who = diagnose(read_preferences(rows)).annotators
    assert (who.counts, who.n_unnamed) == ({"7": 2}, 1)


def test_ratings_of_one_item_by_several_annotators_agree_or_not():
    """Items are the same text, whoever rated it."""
    rows = [
        {"prompt": f"p{n}", "response": "x", "score": float(n + shift), "annotator": a}
        for n in range(5)
        for a, shift in (("ann", 0), ("bob", 0.1))
    ]
    diagnosis = diagnose(read_preferences(rows))
    assert diagnosis.n_pairs == 0
    assert diagnosis.annotators.n_rated_by_several == 5
    assert diagnosis.annotators.alpha_ratings > 0.99
    assert "known     score 0.0" in str(diagnosis)


def test_pairs_that_an_encoder_cannot_tell_apart_are_found():
    """Both items cut, and the same tokens left."""
    preferences = read_preferences([pair("a", "x", "y"), pair("b", "x", "y")])
    fitted = FittedTexts(
        limit=8,
        n_tokens=np.array([8, 8, 5, 5]),
        is_cut=np.array([True, True, False, False]),
        codes=np.array([0, 0, 1, 2]),
    )
    diagnosis = diagnose(preferences, fitted=fitted)
    cut = diagnosis.truncation
    assert (cut.n_cut, cut.n_identical, cut.source_rows) == (2, 1, (0,))
    assert diagnosis.findings[0].kind == "identical"
    with pytest.raises(InvalidInputError, match="what is left of each of 4 items"):
        diagnose(preferences, fitted=fitted._replace(codes=np.array([0])))


def test_labels_that_look_wrong_come_with_their_rows():
    """The least probable first, with texts and probability."""
    rows = [pair(f"p{n}", f"good {n}", f"bad {n}") for n in range(10)]
    probability = np.full(10, 0.9)
    probability[[3, 7]] = 0.1, 0.02
    diagnosis = diagnose(read_preferences(rows), probability=probability)
    wrong = diagnosis.suspicious
    assert (wrong.n, wrong.n_judged, wrong.source_rows) == (2, 10, [7, 3])
    assert wrong.examples[0].first == "good 7"
    assert wrong.examples[0].probability == pytest.approx(0.02)
    assert "held-out probability 0.020" in str(diagnosis)


def test_languages_subsets_weights_and_margins_are_shown_where_they_are():
    """The commonest values, and how numbers are spread."""
    rows = [
        pair("a", "x", f"y{n}", language="English" if n % 3 else "French", weight=n / 4)
        for n in range(6)
    ]
    rows += [pair("b", "x", f"z{n}", subset=f"part {n}") for n in range(12)]
    diagnosis = diagnose(read_preferences(rows))
    assert diagnosis.tallies["language"] == {"English": 4, "French": 2}
    assert diagnosis.tallies["subset"]["others"] == 4
    assert diagnosis.spreads["weight"].most == 1.25
    assert "  language          English 4, French 2" in str(diagnosis)
    assert "  weight            0 to 1.2, median" in str(diagnosis)


def test_scripts_are_told_apart_by_their_letters():
    """Signs and numbers belong to none."""
    texts = ["Yes", "Да", "是的", "はい、そうです", "네", "نعم", "हाँ", "42", "Straße"]
    rows = [{"prompt": "Hi", "response": text, "score": 1} for text in texts]
    shares = diagnose(read_preferences(rows)).scripts
    names = ["Latin", "Cyrillic", "Han", "kana", "Hangul", "Arabic", "Devanagari"]
    assert set(shares) == {*names, "no letters"}
    assert shares["Latin"] == pytest.approx(2 / 9)


def test_the_use_of_every_column_and_the_reason_of_the_format_are_shown():
    """As the reader reports them; those not used are a finding."""
    preferences = read_preferences([pair("a", "x", "y")])
    report = preferences.read_report
    report.columns = {"prompt": "prompt", "question": "not used"}
    report.why = "the columns prompt, chosen, rejected"
    report.notes = ["a word of the reader"]
    diagnosis = diagnose(preferences)
    text = str(diagnosis)
    assert "  question  not used" in text
    assert "recognised by: the columns prompt, chosen, rejected" in text
    assert "note: a word of the reader" in text
    (finding,) = [f for f in diagnosis.findings if f.kind == "columns"]
    assert finding.message.startswith("Column 'question' is not used.")
    assert diagnosis.to_json()["columns"] == report.columns


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc "),
            st.sampled_from("xyzw"),
            st.sampled_from("xyzw"),
            st.sampled_from([0.0, 0.4, 0.5, 1.0]),
            st.sampled_from(["ann", "bob", None]),
        ).filter(lambda row: row[0] != " " and row[1] != row[2]),
        min_size=1,
        max_size=25,
    )
)
def test_repeats_contradictions_and_cycles_are_those_of_a_plain_count(rows):
    """Counted one by one, by reachability, for any pairs of few texts."""
    preferences = read_preferences(
        [pair(p, a, b, y=y, annotator=who) for p, a, b, y, who in rows]
    )
    diagnosis = diagnose(preferences)
    said = [
        (p, *sorted((a, b)), y if a < b else 1 - y, who) for p, a, b, y, who in rows
    ]
    repeats = sum(
        one in said[:at] and one[-1] is not None for at, one in enumerate(said)
    )
    if all(who is None for *_, who in rows):
        repeats = len(said) - len(set(said))
    assert diagnosis.repeats.n == repeats
    wins = {(p, a, b) for p, a, b, y, _ in rows if y > 0.5}
    wins |= {(p, b, a) for p, a, b, y, _ in rows if y < 0.5}
    both = {(p, *sorted((a, b))) for p, a, b in wins if (p, b, a) in wins}
    assert diagnosis.contradictions.n == len(both)
    assert diagnosis.contradictions.n_pairs == sum(one[:3] in both for one in said)
    above = {one for one in wins if (one[0], *sorted(one[1:])) not in both}
    reach = set(above)
    for _ in range(4):
        reach |= {
            (p, a, d) for p, a, b in reach for q, c, d in above if (p, b) == (q, c)
        }
    assert diagnosis.cycles.n_items == len({(p, a) for p, a, b in reach if a == b})
    labels = diagnosis.labels
    assert labels.n_first + labels.n_second + labels.n_ties == len(rows)
    json.dumps(diagnosis.to_json(), allow_nan=False)


HOSTILE = "\x1b[31mred\x1b[0m \x07\u202eevil\u202c \x9b2J <script>alert(1)</script>"


def hostile():
    """Texts, names and annotators that would steer a terminal or a browser."""
    rows = [
        pair(f"{HOSTILE} {n}", HOSTILE + "x" * 300, "界" * 200, annotator=HOSTILE)
        for n in range(3)
    ]
    preferences = read_preferences([*rows, pair("b", "x", "y", annotator="bob")])
    preferences.read_report.columns = {HOSTILE: "ignored"}
    return preferences


def test_the_text_is_clean_and_fits_80_columns():
    """Whatever the data hold; wide characters count twice."""
    from rich.cells import cell_len

    preferences = hostile()
    text = str(diagnose(preferences, against={HOSTILE: preferences}))
    assert all(line.isprintable() for line in text.splitlines())
    assert max(map(cell_len, text.splitlines())) <= 80
    assert "\\x1b[31mred" in text


def test_the_html_of_a_notebook_is_escaped():
    """No tag of the data survives."""
    page = diagnose(hostile())._repr_html_()
    assert "<script" not in page
    assert "alert(1)&lt;/script&gt;" in page
    assert "\x1b" not in page


def test_json_is_plain_and_whole():
    """Everything can be written, and nothing is not a number."""
    preferences = hostile()
    values = diagnose(
        preferences, against=preferences, probability=[0.9, 0.1, 0.9, 0.9]
    ).to_json()
    again = json.loads(json.dumps(values, allow_nan=False))
    assert again["format"] == "pairs"
    assert again["n_pairs"] == 4
    assert again["examples"][0]["source_row"] == 0
    assert {finding["kind"] for finding in again["findings"]} >= {"leakage"}


def test_data_that_hold_no_pair_and_no_item_are_diagnosed_too():
    """Whatever a reader can return."""
    one = diagnose(read_preferences([{"prompt": "a", "response": "x", "score": 1.0}]))
    assert (one.n_pairs, one.length, one.pairs_per_prompt) == (0, None, None)
    preferences = read_preferences([pair("a", "x", "y")])
    nothing = preferences.sample_prompts(1)
    nothing = type(nothing)(
        nothing.items.iloc[:0], nothing.pairs.iloc[:0], nothing.read_report
    )
    assert diagnose(nothing).n_items == 0
    assert "0 of" not in str(diagnose(nothing)).split("Size")[0]


@settings(max_examples=60)
@given(st.text(max_size=200), st.integers(12, 80))
def test_a_line_has_no_more_columns_than_asked_for(text, width):
    """And nothing in it that does not print."""
    from rich.cells import cell_len

    line = one_line(text, width)
    assert line.isprintable()
    assert cell_len(line) <= width


@settings(max_examples=60)
@given(st.text())
def test_what_prints_is_not_changed(text):
    """Clean text is itself; cleaning again changes nothing."""
    assert clean(clean(text)) == clean(text)
    assert clean(text) == text or not text.isprintable()
