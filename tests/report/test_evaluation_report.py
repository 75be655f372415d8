"""EvaluationReport: its words, figures and warnings."""

import json

import numpy as np
import pandas as pd
import pytest

from embrm import RewardModel
from embrm.datasets import read_preferences
from embrm.report import evaluation_report, report_of_model


def preferences(n, **columns):
    rows = [
        {
            "prompt": f"question {k}",
            "chosen": f"an answer <b>{k}</b> " + "x" * (k % 7),
            "rejected": f"no {k}" + "y" * (k % 5),
        }
        | {name: values[k % len(values)] for name, values in columns.items()}
        for k in range(n)
    ]
    return read_preferences(rows)


@pytest.fixture(scope="module")
def report():
    rng = np.random.default_rng(0)
    data = preferences(400, language=["en", "de"])
    delta = rng.normal(0.8, 1, size=400)
    reward = np.zeros(len(data.items))
    ends = data.pairs[["first", "second"]].to_numpy()
    reward[ends[:, 0]] = delta
    return evaluation_report(data, delta, reward, by="language", name="the head")


def test_it_opens_with_the_verdict(report):
    """Accuracy with interval, against length, and calibration, in words."""
    found = report.evaluation.order_consistency
    assert report.verdict.startswith(f"The head orders {found.estimate:.1%} of 400")
    assert "Preferring the longer response gives" in report.verdict
    page = report.to_html()
    assert page.index("The head orders") < page.index("<img") < page.index("<table")


def test_the_figures_are_those_of_the_evaluation(report):
    """As a frame, in Markdown, and in notebooks."""
    found = report.evaluation.order_consistency
    summary = report.summary()
    assert summary.loc["order_consistency", "estimate"] == found.estimate
    for text in (report.to_markdown(), report._repr_html_(), report.to_html()):
        assert f"{found.estimate:.3f}" in text
    summary.loc["order_consistency"] = 0
    assert report.summary().loc["order_consistency", "estimate"] == found.estimate


def test_subsets_stand_in_a_table_with_their_test(report):
    """And in the first picture."""
    markdown = report.to_markdown()
    assert "## By language" in markdown
    assert "subsets by language do not differ beyond noise" in markdown


def test_the_page_is_written_and_needs_nothing(report, tmp_path):
    """One file, no script, no address."""
    page = report.to_html(tmp_path / "new" / "report.html")
    assert (tmp_path / "new" / "report.html").read_text("utf-8") == page
    assert "<script" not in page
    assert "http" not in page
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    assert len(page) < 3_000_000
    report.to_markdown(tmp_path / "report.md")
    assert (tmp_path / "report.md").read_text("utf-8").startswith("# Evaluation")


@pytest.mark.parametrize(
    ("n", "delta", "options", "words"),
    [
        (20, 1.0, {}, "Only 20 pairs"),
        (20, 1.0, {}, "Only 20 prompts"),
        (200, 1.0, {"n_seen": 7}, "7 of 200 pairs have a prompt that the head"),
        (200, 0.0, {}, "200 pairs have equal rewards"),
    ],
)
def test_what_weakens_the_figures_is_said(n, delta, options, words):
    """Few pairs, few prompts, leakage, ties."""
    report = evaluation_report(preferences(n), np.full(n, delta), **options)
    assert any(words in warning for warning in report.warnings)
    assert words in report.to_html()


def test_cut_texts_are_said():
    """They are known from the embedding."""
    data = preferences(200)
    embedded = RewardModel("hashing:16").embed(data.texts)
    cut = type(embedded)(
        **{**vars(embedded), "n_truncated": 5, "n_response_truncated": 2}
    )
    report = evaluation_report(data, np.ones(200), embedded=cut)
    assert "5 of 400 texts were longer" in report.warnings[0]


def test_guessing_is_called_guessing():
    """Where the interval holds one half."""
    delta = np.random.default_rng(0).normal(size=300)
    assert (
        "cannot be told from guessing"
        in evaluation_report(preferences(300), delta).verdict
    )


def test_people_stand_beside_the_head():
    """Where several labelled the same pairs."""
    data = read_preferences(
        [
            {"prompt": f"q{k}", "chosen": "yes", "rejected": "no", "annotator": who}
            for k in range(60)
            for who in ("ann", "bob")
        ]
    )
    report = evaluation_report(data, np.ones(len(data)))
    assert "People agree with the majority of the others in 100.0%" in report.verdict
    assert "a person, by the others' majority" in report.to_markdown()


def test_a_model_makes_its_own_report():
    """With encoder and head among the facts."""
    data = preferences(60)
    model = RewardModel("hashing:32").fit(data)
    report = report_of_model(model, data, n_seen=60)
    assert "LinearBradleyTerry" in report.to_markdown()
    assert report.audit is not None
    json.dumps(report.evaluation.to_json())


def test_evaluations_show_as_tables_in_notebooks():
    """Not as a raw dataclass."""
    model = RewardModel("hashing:32").fit(preferences(40))
    shown = model.evaluate(
        pd.DataFrame(
            {"prompt": ["new"] * 4, "chosen": list("abcd"), "rejected": list("wxyz")}
        )
    )._repr_html_()
    assert "<table" in shown
    assert "order consistency" in shown
