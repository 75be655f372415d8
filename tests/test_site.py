"""The built site is whole: links, search, reference, and nothing from elsewhere.

`make docs` builds it and says where (EMBRM_SITE); else it is built here, if MkDocs is
installed.
"""

import importlib
import inspect
import json
import os
import pkgutil
import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from urllib.parse import quote, unquote, urlsplit

import pytest
import yaml

import embrm
from tests.label.browser import Browser
from tests.pages import ROOT, blocks, links

# Tables and pictures of a study; how they are made again stands on the page.
FINDINGS = {"paper-findings.html", "paper-findings-smollm2.html"}

mkdocs = pytest.importorskip("mkdocs", reason="make docs")
commands = importlib.import_module("docs.website.commands")
pictures = importlib.import_module("docs.website.pictures")
reference = importlib.import_module("docs.website.reference")


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The built site, by `make docs` or now."""
    if "EMBRM_SITE" in os.environ:
        return ROOT / os.environ["EMBRM_SITE"]
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict"]
    done = subprocess.run(
        [*command, "--site-dir", str(out)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


class _Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.targets, self.anchors, self.untold, self.loaded = [], set(), [], []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors |= {found[key] for key in ("id", "name") if found.get(key)}
        if tag == "a" and found.get("href"):
            self.targets.append(found["href"])
        if tag == "img":
            self.targets.append(found["src"])
            if not (found.get("alt") or "").strip():
                self.untold.append(found["src"])
        if tag in ("script", "link", "img", "iframe"):
            self.loaded.append(found.get("src") or found.get("href") or "")


@cache
def parsed(path):
    page = _Page()
    page.feed(path.read_text("utf-8"))
    return page


@pytest.fixture(scope="session")
def pages(site):
    """Every page but that for what is not found."""
    found = [page for page in site.rglob("*.html") if page.name != "404.html"]
    assert len(found) > 60
    return {page: parsed(page) for page in found}


def test_every_link_leads_to_a_page_and_an_anchor(pages):
    """Also those that MkDocs does not check, in what is generated."""
    broken = []
    for path, page in pages.items():
        for target in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            place = (
                (path.parent / unquote(parts.path)).resolve() if parts.path else path
            )
            place = place / "index.html" if place.is_dir() else place
            whole = place.exists() and (
                not parts.fragment
                or place.suffix != ".html"
                or parts.fragment == "__top"
                or unquote(parts.fragment) in parsed(place).anchors
            )
            broken += [] if whole else [f"{path.name}: {target}"]
    assert not broken


def test_nothing_is_loaded_from_elsewhere(pages):
    """Scripts, styles, fonts and pictures are part of the site."""
    foreign = {
        source
        for page in pages.values()
        for source in page.loaded
        if urlsplit(source).netloc
    }
    assert not foreign


def test_every_picture_has_a_text(pages):
    """For those who cannot see it."""
    assert not {source for page in pages.values() for source in page.untold}


def test_every_section_of_the_site_is_there(site):
    """As the tabs of the first page."""
    text = (site / "index.html").read_text("utf-8")
    tabs = re.findall(r'class="md-tabs__link".*?>\s*(.*?)\s*<', text, flags=re.DOTALL)
    assert {"Start", "Guides", "Serve and train", "Concepts"} <= set(tabs)
    assert {"Reference", "Findings", "About"} <= set(tabs)


def test_every_guide_is_in_the_list_beside_a_guide(site):
    """Also one that is the first page of a folder, and no overview."""
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]
    (guides,) = [entry["Guides"] for entry in nav if "Guides" in entry]
    text = (site / "heads.html").read_text("utf-8")
    beside = text[text.index("md-sidebar--primary") : text.index("md-sidebar--second")]
    assert len(guides) > 12
    for title in (name for guide in guides for name in guide):
        assert re.search(rf"md-ellipsis\W+{re.escape(title)}\s", beside), title


@pytest.fixture(scope="session")
def index(site):
    """What the search searches: sections of pages, with title, text and place."""
    found = json.loads((site / "search/search_index.json").read_text("utf-8"))
    return found["docs"]


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("ties", "noise.html#ties"),
        ("length bias", "noise.html#length-bias-and-style"),
        ("OpenRLHF", "serving/openrlhf.html"),
        ("noisy labels", "noise.html"),
        (
            "LinearBradleyTerry",
            "reference/embrm.heads.html#embrm.heads.LinearBradleyTerry",
        ),
        ("embrm mine", "commands/embrm-mine.html"),
    ],
)
def test_the_search_finds(index, query, place):
    """All words of the query stand in the title of the section one would want."""
    words = set(query.lower().split())
    titles = {
        entry["location"]: set(re.findall(r"[\w.]+", entry["title"].lower()))
        for entry in index
    }
    assert words <= titles[place]
    # The library that searches ranks titles before texts.
    assert len([one for one in titles if words <= titles[one]]) <= 12


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """One for all pages; it ends with the last."""
    opened = Browser(tmp_path_factory.mktemp("browser"))
    yield opened
    opened.close()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("query", "page"),
    [
        ("ties", "noise.html"),
        ("length bias", "noise.html"),
        ("OpenRLHF", "serving/openrlhf.html"),
        ("noisy labels", "noise.html"),
    ],
)
def test_the_search_shows_the_page_in_a_browser(site, browser, query, page):
    """From a file, without a server and without a network."""
    url = (site / "index.html").resolve().as_uri()
    found = "document.querySelectorAll('a.md-search-result__link')"
    browser.open(f"{url}?q={quote(query)}", ready=f"{found}.length > 0")
    links = browser.run(f"[...{found}].map(link => link.getAttribute('href'))")
    assert any(page in link for link in links[:8]), links[:8]
    assert all(one.startswith(("file:", "blob:", "data:")) for one in browser.requests)


@pytest.mark.browser
@pytest.mark.parametrize(
    "page", ["index", "first-model", "heads", "cross-prompt", "reference/embrm.heads"]
)
def test_a_page_can_be_read_on_a_phone(site, browser, page):
    """At 360 pixels tables and code scroll by themselves, the page does not."""
    url = (site / f"{page}.html").resolve().as_uri()
    browser.open(url, 360, 740, ready="document.readyState === 'complete'")
    assert browser.run("document.documentElement.scrollWidth") <= 360


def public_names():
    """Names of every `__all__` of a public package, found without the generator."""
    names = ["embrm"]
    names += [
        module.name
        for module in pkgutil.walk_packages(embrm.__path__, "embrm.")
        if module.ispkg
        and "._" not in module.name
        and not module.name.startswith(("embrm.cli", "embrm.web"))
    ]
    for name in names:
        module = importlib.import_module(name)
        for one in getattr(module, "__all__", ()):
            value = getattr(module, one)
            if not inspect.ismodule(value) and one != "__version__":
                yield f"{name}.{one}"


def test_every_public_name_has_an_entry(pages, site):
    """Under its own path, or under that of the package which exports it first."""
    names = list(public_names())
    assert len(names) > 250
    places = reference.places()
    missing = [name for name in names if name not in places]
    anchors = set().union(*(page.anchors for page in pages.values()))
    missing += [name for name in names if places[name].path not in anchors]
    assert not missing


def test_what_pages_and_docstrings_import_has_an_entry():
    """No reader is told of a name that the reference does not know."""
    # Contributors are told of what is not for users, too.
    pages = [
        page for page in (ROOT / "docs").rglob("*.md") if "contrib" not in str(page)
    ]
    texts = [page.read_text("utf-8") for page in pages]
    texts += [(ROOT / "README.md").read_text("utf-8")]
    missing = set()
    for text in texts:
        code = "\n".join([*blocks(text, "python"), *blocks(text, "py"), text])
        for module, names in re.findall(
            r"^(?:>>> )?from (embrm[\w.]*) import ([\w, ]+|\([^)]*\))",
            code,
            re.MULTILINE,
        ):
            for name in re.findall(r"\w+", names):
                known = {f"{module}.{name}", name} & set(reference.places())
                if not known and not _is_module(f"{module}.{name}"):
                    missing.add(f"{module}.{name}")
    assert not missing


def _is_module(name):
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def test_every_page_of_the_reference_has_an_example(site):
    """Docstrings' sessions run in the tests of their modules."""
    found = [*(site / "reference").glob("embrm*.html")]
    assert len(found) >= 30
    without = {page.name for page in found if 'class="gp"' not in page.read_text()}
    assert without == set()


def test_no_page_is_without_an_example(pages, site):
    """But for those that only lead on, and the rules for people.

    That examples run is tested where they are: tests/test_docs.py and its kin.
    """
    without = {
        page.relative_to(site).as_posix()
        for page in pages
        if "<pre" not in page.read_text("utf-8")
    }
    assert without <= {"code-of-conduct.html", "gallery/index.html", *FINDINGS}


def test_every_command_has_a_page_with_an_example(site):
    """Its options are those of `--help`; the example is from the tour, which runs."""
    names = commands.commands()
    assert len(names) > 20
    for name, command in names.items():
        text = (site / f"commands/embrm-{name.replace(' ', '-')}.html").read_text()
        assert f"embrm {name}" in text
        for parameter in command.params:
            assert parameter.opts[0] in text, f"{name}: {parameter.opts[0]}"
    tour = (ROOT / "docs" / commands.EXAMPLES).read_text("utf-8")
    shown = commands.examples(tour)
    assert {name for name in names if not shown.get(name)} == set()


def test_every_public_display_has_a_picture(site):
    """In the reference, beside its parameters."""
    displays = {name.rpartition(".")[2] for name in public_names()}
    displays = {name for name in displays if name.endswith("Display")}
    displays |= {"AlignmentDisplay", "ParetoDisplay", "PolicyDisplay"}
    assert displays == set(pictures.PICTURES)
    for name in displays:
        assert (site / f"reference/{name}.png").read_bytes()[:4] == b"\x89PNG"


def test_docstrings_become_markdown():
    """Fields, formulas, sessions and links of a docstring in numpydoc's form."""
    docstrings = importlib.import_module("docs.website.docstrings")
    text = docstrings.docstring_to_markdown(
        "Do it by :math:`x^2`.\n\n"
        "Parameters\n----------\na : int\n    As `b`.\n\n"
        "Examples\n--------\n>>> 1 + 1\n2\n",
        lambda name: f"[{name}]",
    )
    assert "Do it by $x^2$." in text
    assert "`a` : int\n:   As [b]." in text
    assert "```pycon\n>>> 1 + 1\n2\n```" in text


def test_names_on_the_pages_lead_to_the_reference(site):
    """A class that a guide names is one click from its parameters."""
    text = (site / "noise.html").read_text("utf-8")
    assert 'href="reference/embrm.heads.html#embrm.heads.LinearBradleyTerry"' in text
    text = (site / "serving/trl.html").read_text("utf-8")
    assert 'href="../reference/embrm.integrations.html#' in text


def test_links_out_of_docs_lead_into_the_site(site):
    """To the page of the repository's root, or to a copy of the file."""
    assert links((ROOT / "docs/README.md").read_text("utf-8"))
    assert 'href="security.html"' in (site / "index.html").read_text("utf-8")
    assert (site / "files/deploy/Containerfile").exists()


def test_formulas_are_drawn_by_the_browser(pages):
    """As MathML: no script and no font; none is left as it was written."""
    texts = {page.name: page.read_text("utf-8") for page in pages}
    assert texts["bradley-terry.html"].count("<math") > 5
    code = re.compile(r"<(pre|code|script)\b.*?</\1>", re.DOTALL)
    left = {
        f"{name}: {found[0]}"
        for name, text in texts.items()
        if (found := re.search(r"\$\$|\\[a-z]{3,}.{20}", code.sub("", text)))
    }
    assert not left
