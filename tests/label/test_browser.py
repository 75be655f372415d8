"""People judge in a browser: by keyboard, on a phone, through kills and cuts."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from embrm.label.app import create_app
from tests.label.browser import Browser
from tests.label.conftest import make_texts

pytestmark = pytest.mark.browser
SHOWN = "document.getElementById('t1').textContent"
COUNT = "parseInt(document.getElementById('count').textContent)"
STATE = "document.getElementById('state').textContent"


@pytest.fixture
def browse(tmp_path):
    """Open browsers; each is closed in the end."""
    opened = []

    def start(url, *size):
        opened.append(Browser(tmp_path / f"browser{len(opened)}"))
        opened[-1].open(url, *size)
        return opened[-1]

    yield start
    for browser in opened:
        browser.close()


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_session_by_keyboard(out, make_queue, running, browse):
    """50 pairs, tie, both bad, skip, undo, help, a held key; no request elsewhere."""
    url = running(create_app(make_queue(out, texts=make_texts(9))))
    page = browse(f"{url}/?annotator=ann")
    for n, key in enumerate("12" * 24 + "0b"):
        page.press(key)
        page.until(f"{COUNT} === {n + 1} && {STATE}.startsWith('Saved')")
    page.press("s")
    page.until(f"{STATE} === 'Saved: skip. Undo with u.'")
    page.press("u")
    page.until(f"{STATE}.startsWith('Taken back')")
    page.press("u")
    page.until(f"{COUNT} === 49")
    page.hold("1", 5)
    page.until(f"{COUNT} === 50")
    page.press("u")
    page.until(f"{COUNT} === 49")
    page.press("?")
    page.until("document.getElementById('help').open")
    assert [row["winner"] for row in rows_of(out)][-1] == "tie"
    assert len(rows_of(out)) == 49
    assert {row["annotator"] for row in rows_of(out)} == {"ann"}
    assert all(row["seconds"] > 0 for row in rows_of(out))
    assert all(request.startswith((url, "data:")) for request in page.requests)
    assert page.complaints == []


def test_a_phone_shows_one_response_above_the_other(out, make_queue, running, browse):
    """At 360 pixels nothing is wider than the screen."""
    url = running(create_app(make_queue(out)))
    page = browse(f"{url}/?annotator=ann", 360, 740)
    assert page.run("document.documentElement.scrollWidth") <= 360
    places = page.run(
        "[...document.querySelectorAll('.sides section')]"
        ".map(s => s.getBoundingClientRect()).map(r => [r.left, r.top])"
    )
    assert places[0][0] == places[1][0]
    assert places[0][1] < places[1][1]
    page.run("document.querySelector('[data-win=second]').click()")
    page.until(f"{COUNT} === 1")
    page.open(f"{url}/?annotator=ann", 640, 360)
    bar = "document.querySelector('.bar').getBoundingClientRect().height"
    assert page.run(bar) < 360 / 4


def test_texts_are_text_long_ones_are_folded_and_hebrew_runs_to_the_left(
    out, make_queue, running, browse
):
    """Markup, code and formulas stay as they were written."""
    code = (
        "# Title\n```py\nif a < b:\n    print('$x^2$')\n```\n<img src=x onerror=boom()>"
    )
    texts = [("שלום, מה שלומך?", code), ("שלום, מה שלומך?", "line\n" * 200)]
    url = running(create_app(make_queue(out, texts=texts)))
    page = browse(f"{url}/?annotator=ann")
    shown = page.run("[t1, t2].map(t => t.textContent)")
    assert sorted(shown) == sorted([code, "line\n" * 200])
    assert page.run("document.images.length") == 0
    at = shown.index("line\n" * 200) + 1
    fold = f"document.querySelector('[data-of=t{at}]')"
    assert not page.run(f"{fold}.hidden")
    side = ["first", "second"][at - 1]
    for wanted in (f"Show all of the {side} response", "Show less of"):
        assert page.run(f"{fold}.getAttribute('aria-label')").startswith(wanted)
        page.run(f"{fold}.click()")
    page.run(f"{fold}.click()")
    assert page.run(f"t{at}.scrollHeight <= t{at}.clientHeight + 4")
    assert page.run("document.getElementById('t0').matches(':dir(rtl)')")
    assert page.complaints == []


def test_two_tabs_a_reload_and_a_lost_network_do_no_harm(
    out, make_queue, running, browse
):
    """Each pair counts once; what was judged offline arrives."""
    url = running(create_app(make_queue(out)))
    one = browse(f"{url}/?annotator=ann")
    two = browse(f"{url}/?annotator=ann")
    assert one.run(SHOWN) == two.run(SHOWN)
    one.press("1")
    one.until(f"{COUNT} === 1")
    two.press("2")
    two.until("document.getElementById('state').className === 'bad'")
    two.until(f"{SHOWN} === {json.dumps(one.run(SHOWN))}")
    one.open(f"{url}/?annotator=ann")
    assert one.run(SHOWN) == two.run(SHOWN)
    one.offline(True)
    one.press("0")
    one.until(f"{STATE}.startsWith('No connection')")
    assert len(rows_of(out)) == 1
    one.offline(False)
    one.until(f"{COUNT} === 2")
    assert len(rows_of(out)) == 2


def test_keyboard_focus_and_names_reach_everything(out, make_queue, running, browse):
    """In the order in which things are read; every control says what it does."""
    url = running(create_app(make_queue(out)))
    page = browse(f"{url}/?annotator=ann")
    names = page.names()
    assert all(name for role, name in names if role in ("button", "combobox"))
    for name in ("Help: keys", "First", "Second", "Tie", "Both bad", "Skip", "Undo"):
        assert ("button", name) in names
    reached = []
    for _ in range(12):
        page.press("Tab")
        reached.append(page.run("document.activeElement.textContent.trim()"))
    for name in ("First1", "Second2", "Tie0", "Both badb", "Skips", "Undou"):
        assert name in reached
    assert reached.index("First1") < reached.index("Undou")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_of_texts_is_at_least_that_of_wcag(
    scheme, out, make_queue, running, browse
):
    """4.5 to 1, measured on the colours that the browser has computed."""
    url = running(create_app(make_queue(out)))
    page = browse(f"{url}/?annotator=ann")
    page.prefer(scheme)
    dark = page.run("matchMedia('(prefers-color-scheme: dark)').matches")
    assert dark == (scheme == "dark")
    found = page.run(
        """(() => {
        const lum = c => { const v = c.match(/[\\d.]+/g).slice(0, 3).map(x => {
            x /= 255; return x <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4; });
          return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
        const back = e => { for (; e; e = e.parentElement) {
            const c = getComputedStyle(e).backgroundColor;
            if (!/rgba\\(.*, 0\\)/.test(c)) return c; } return "rgb(255,255,255)"; };
        const all = "h1,h2,.text,.soft,button:enabled,summary";
        return [...document.querySelectorAll(all)].map(e => {
            const a = lum(getComputedStyle(e).color), b = lum(back(e));
            return (Math.max(a, b) + .05) / (Math.min(a, b) + .05); }); })()"""
    )
    assert min(found) >= 4.5


def test_the_panel_says_in_words_what_can_be_known(out, make_queue, running, browse):
    """Too few prompts, an interval, more labels than the pool holds, and reached."""
    queue = make_queue(out, texts=make_texts(9))
    for _ in range(50):
        queue.judge("ann", queue.next("ann").key, "first", {})
    url = running(create_app(queue))

    def facts(n_labels, half):
        figure = {"n_labels": n_labels, "n": 9, "n_prompts": 6 if half else 4}
        low, high = (0.75 - half, 0.75 + half) if half else (None, None)
        queue.note_measured(
            figure | {"order_consistency": 0.75, "low": low, "high": high}
        )
        page.open(f"{url}/?annotator=ann")
        return page.run("document.getElementById('facts').textContent")

    page = browse(f"{url}/?annotator=ann")
    assert "75%; too few prompts for an interval (4)" in facts(8, None)
    for n_labels in (10, 20, 30):
        assert "Labels left until ±2 pointsnot yet" in facts(n_labels, n_labels**-0.5)
    found = facts(40, 0.1)
    assert "75% (95%: 65% to 85%, 9 labels of 6 prompts)" in found
    assert "±2 pointsmore than this pool holds (4 pairs left)" in found
    queue.curve.clear()
    for n_labels in (41, 43, 45, 47):
        found = facts(n_labels, 0.146 * n_labels**-0.5)
    assert "±2 pointsabout 4" in found  # (0.146 / 0.02) squared, less 50
    assert "±2 pointsreached" in facts(50, 0.019)


SERVER = """
import sys
from pathlib import Path
from embrm.label.app import run
from tests.label.conftest import build_queue

queue = build_queue(Path(sys.argv[1]))
run(queue, lambda url: print(url, flush=True), annotator="ann", port=int(sys.argv[2]))
"""


def test_a_session_goes_on_after_kill_minus_nine(out, browse):
    """In mid-session, with the page open: it tries again until the server is back."""

    def serve(port):
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(out), str(port)], stdout=subprocess.PIPE
        )
        return process, process.stdout.readline().decode().strip()

    server, url = serve(0)
    try:
        page = browse(url)
        for n in range(5):
            page.press("1")
            page.until(f"{COUNT} === {n + 1}")
        os.kill(server.pid, signal.SIGKILL)
        server.wait(10)
        server.stdout.close()
        page.press("2")
        page.until(f"{STATE}.startsWith('No connection')")
        server, again = serve(int(url.split(":")[2].split("/")[0]))
        assert again == url
        page.until(f"{COUNT} === 6")
        for n in range(6, 10):
            page.press("1")
            page.until(f"{COUNT} === {n + 1}")
    finally:
        server.terminate()
        server.wait(20)
        server.stdout.close()
    time.sleep(0)
    rows = rows_of(out)
    assert len({row["pair_id"] for row in rows}) == len(rows) == 10
