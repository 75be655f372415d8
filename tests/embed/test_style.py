"""Style features count what they say they count."""

import numpy as np
import pytest

from embrm.embed import STYLE_FEATURES, BatchReport, StyleEncoder


def style(response, feature):
    value = float(
        StyleEncoder().encode([("Why?", response)])[0, STYLE_FEATURES.index(feature)]
    )
    is_count = STYLE_FEATURES.index(feature) < STYLE_FEATURES.index("refusal")
    return round(np.expm1(value)) if is_count else value


MARKDOWN = """# Title

Some **bold** text, and **more**. Is it?
- one
  * two
1. three
2) four

```python
x = 10
```
See https://example.com!"""

COUNTS = [
    (MARKDOWN, "headings", 1),
    (MARKDOWN, "bold", 2),
    (MARKDOWN, "list_items", 4),
    (MARKDOWN, "code_blocks", 1),
    (MARKDOWN, "links", 1),
    (MARKDOWN, "lines", 10),
    (MARKDOWN, "question_marks", 1),
    (MARKDOWN, "exclamation_marks", 1),
    (MARKDOWN, "sentences", 4),
    (MARKDOWN, "digits", 4),
    ("Two Words", "words", 2),
    ("Two Words", "capitals", 2),
    ("Two Words", "characters", 9),
    ("- only", "list_items", 1),
    ("123. a", "list_items", 1),
    ("1234. a", "list_items", 0),
    ("-not", "list_items", 0),
    ("#tag", "headings", 0),
    ("  \n\n", "lines", 0),
    ("你好。好吗\uff1f", "words", 4),
    ("你好。好吗\uff1f", "sentences", 2),
    ("你好。好吗\uff1f", "question_marks", 1),
    ("안녕 world", "words", 3),
    ("", "words", 0),
]


@pytest.mark.parametrize(("response", "feature", "expected"), COUNTS)
def test_counts(response, feature, expected):
    """By hand; Chinese, Japanese and Korean characters count as words."""
    assert style(response, feature) == expected


@pytest.mark.parametrize(
    ("response", "refuses"),
    [
        ("I'm sorry, but I can't help.", 1.0),
        ("I\u2019m sorry.", 1.0),
        ("  As an AI language model, I", 1.0),
        ("抱歉\uff0c我不能", 1.0),
        ("Sure! I cannot wait.", 0.0),
    ],
)
def test_refusals_are_told_by_their_opening(response, refuses):
    """Elsewhere the same words may be harmless."""
    assert style(response, "refusal") == refuses


def test_shares_are_of_letters_and_of_words():
    """Half of the letters are Greek; a third of the words is a repetition."""
    assert style("abc αβγ", "foreign_share") == pytest.approx(0.5)
    assert style("élan", "foreign_share") == 0.0
    assert style("a b a", "repetition") == pytest.approx(1 / 3)
    assert style("哈哈哈哈", "repetition") == pytest.approx(3 / 4)


def test_every_text_is_counted_by_itself():
    """Neighbours, order and batches change nothing; odd characters are no error."""
    texts = [
        "",
        "x",
        "\ud800",
        "- a\n- b",
        MARKDOWN,
        "\x00\r\n",
        "\U0001d518nicode 😀",
    ] * 3
    encoder = StyleEncoder()
    together = encoder.encode([("p", text) for text in texts])
    alone = np.vstack([encoder.encode([("q", text)]) for text in texts])
    np.testing.assert_array_equal(together, alone)
    assert together.dtype == np.float32
    assert together.shape == (21, encoder.dim)
    assert np.isfinite(together).all()


def test_batches_are_reported():
    """For the progress bar."""
    seen = []
    StyleEncoder().encode([("p", "r")] * 3, on_batch=seen.append)
    assert seen == [BatchReport(n_texts=3)]


def test_the_fingerprint_names_the_features():
    """Other features would be another encoder."""
    fingerprint = StyleEncoder().fingerprint
    assert fingerprint.fields["features"] == list(STYLE_FEATURES)
    assert (fingerprint.dim, fingerprint.dtype) == (16, "float32")
