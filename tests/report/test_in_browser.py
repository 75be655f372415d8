"""Reports in a real browser, where one is installed: nothing overflows or complains."""

import re
import shutil
import subprocess

import numpy as np
import pytest

from embrm.evaluate import compare
from embrm.report import comparison_report, leaderboard_report

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--enable-logging=stderr"),
)
# The page itself has no script: the copy under test measures itself.
MEASURE = """
<script>
addEventListener("load", () => {
  const page = document.documentElement;
  const broken = [...document.images].filter(i => !i.complete || !i.naturalWidth);
  const fetched = performance.getEntriesByType("resource")
    .filter(e => !e.name.startsWith("data:"));
  document.title = [page.scrollWidth, innerWidth, broken.length, fetched.length];
});
</script>
"""


@pytest.fixture(scope="module")
def pages(board, preferences, embedded):
    from embrm.embed import make_encoder

    fingerprint = make_encoder("hashing:64").fingerprint
    heads = {"a head with a long name " * 3: np.ones(40), "another": -np.ones(40)}
    return {
        "leaderboard": leaderboard_report(
            board, preferences, {"hashing": (embedded, fingerprint)}
        ),
        "comparison": comparison_report(compare(heads)),
    }


if BROWSER is not None:

    @pytest.mark.parametrize("width", [360, 1280])
    @pytest.mark.parametrize("name", ["leaderboard", "comparison"])
    def test_a_page_fits_and_is_silent(pages, name, width, tmp_path):
        """No overflow, no broken picture, no request, no console message."""
        page = tmp_path / "page.html"
        page.write_text(pages[name].to_html() + MEASURE, encoding="utf-8")
        shown = subprocess.run(
            [
                BROWSER,
                *FLAGS,
                f"--user-data-dir={tmp_path / 'profile'}",
                f"--window-size={width},900",
                "--dump-dom",
                page.as_uri(),
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        title = re.search(r"<title>(.*?)</title>", shown.stdout)[1]
        scrolled, inner, broken, fetched = map(int, title.split(","))
        assert scrolled <= inner
        assert (broken, fetched) == (0, 0)
        assert "CONSOLE" not in shown.stderr
