"""Which scripts texts are written in: a cheap stand-in for their language.

English and French are both Latin; Chinese, Japanese, Russian and Arabic are told apart.
"""

import numpy as np
import pandas as pd

_MOST_TEXTS = 20_000
_MOST_CHARACTERS = 500

_SCRIPTS = (
    (0x0041, "Latin"),
    (0x0250, "other"),
    (0x0370, "Greek"),
    (0x0400, "Cyrillic"),
    (0x0530, "Armenian"),
    (0x0590, "Hebrew"),
    (0x0600, "Arabic"),
    (0x0700, "other"),
    (0x0750, "Arabic"),
    (0x0780, "other"),
    (0x0900, "Devanagari"),
    (0x0980, "Bengali"),
    (0x0A00, "Gurmukhi"),
    (0x0A80, "Gujarati"),
    (0x0B00, "other"),
    (0x0B80, "Tamil"),
    (0x0C00, "Telugu"),
    (0x0C80, "Kannada"),
    (0x0D00, "Malayalam"),
    (0x0D80, "Sinhala"),
    (0x0E00, "Thai"),
    (0x0E80, "Lao"),
    (0x0F00, "Tibetan"),
    (0x1000, "Burmese"),
    (0x10A0, "Georgian"),
    (0x1100, "Hangul"),
    (0x1200, "Ethiopic"),
    (0x13A0, "other"),
    (0x1780, "Khmer"),
    (0x1800, "other"),
    (0x1E00, "Latin"),
    (0x1F00, "Greek"),
    (0x2000, "other"),
    (0x3040, "kana"),
    (0x3100, "other"),
    (0x3130, "Hangul"),
    (0x3190, "other"),
    (0x31F0, "kana"),
    (0x3200, "other"),
    (0x3400, "Han"),
    (0xA000, "other"),
    (0xAC00, "Hangul"),
    (0xD7B0, "other"),
    (0xF900, "Han"),
    (0xFB00, "other"),
    (0xFB50, "Arabic"),
    (0xFE00, "other"),
    (0xFE70, "Arabic"),
    (0xFEFF, "other"),
    (0xFF21, "Latin"),
    (0xFF66, "kana"),
    (0xFFA0, "other"),
    (0x20000, "Han"),
    (0x30000, "other"),
)
"""Where blocks of Unicode begin, and the script of their letters."""
_STARTS = np.array([0, *(start for start, _ in _SCRIPTS)])
_NAMES = np.array(["other", *(name for _, name in _SCRIPTS)])


def script_shares(texts: "pd.Series[str]") -> dict[str, float]:
    """Compute the share of texts by the script of most of their letters.

    Parameters
    ----------
    texts : Series of str
        Of more than 20,000, so many at equal distances are looked at, and of each the
        first 500 characters.

    Returns
    -------
    dict of str to float
        Largest first. Japanese is "kana" as soon as a tenth of the letters is; a text
        without letters, "no letters".

    Examples
    --------
    >>> script_shares(pd.Series(["Yes.", "Да.", "はい、元気です。", "2 + 2"]))
    {'Latin': 0.25, 'Cyrillic': 0.25, 'kana': 0.25, 'no letters': 0.25}
    """
    step = max(-(-len(texts) // _MOST_TEXTS), 1)
    scripts = pd.Series([_script(text) for text in texts.iloc[::step]], dtype=object)
    shares = scripts.value_counts(normalize=True)
    return {str(name): float(share) for name, share in shares.items()}


def _script(text: str) -> str:
    letters = "".join(filter(str.isalpha, text[:_MOST_CHARACTERS]))
    if not letters:
        return "no letters"
    if letters.isascii():
        return "Latin"
    points = np.frombuffer(letters.encode("utf-32-le", "replace"), dtype="<u4")
    at = np.searchsorted(_STARTS, points, side="right") - 1
    names, counts = np.unique(_NAMES[at], return_counts=True)
    if counts[names == "kana"].sum() * 10 >= len(points):
        return "kana"
    return str(names[np.argmax(counts)])
