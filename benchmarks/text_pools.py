"""Pools of real English text with real vectors and made-up gold, to choose defaults on.

    python benchmarks/text_pools.py [--cache DIR] [--out FILE]
        [--heads plain,linear,...] [--n-pools 14] [--sizes 500,2000,10000] [--minutes M]

The texts are docstrings of installed Python packages: a prompt is the name and first
line of a class or module, its responses are the docstrings of the members, cut to a
random number of paragraphs. They are read with `ast`, nothing is imported. The vectors
are MiniLM's. Gold is made up from the text by rules that are not linear in the
vectors; a part of it no text shows (the quality of who "wrote" the response, and
chance). Nothing here comes from the data that results are judged by.

Every head sees the same pairs; what counts is order consistency with gold on pairs of
unseen prompts, as paired differences to the first head, with standard errors over
tasks. The synthetic pool of `heads_data.py` is the counter-example: there the reward
lies in the columns that vary most. A half-done run goes on where it was stopped.
"""

import argparse
import ast
import hashlib
import json
import re
import sysconfig
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from itertools import product
from pathlib import Path

import numpy as np
from demo import describe_machine
from heads_data import make_task, synthetic_pool

from embrm import CandidatePool
from embrm.embed import SentenceTransformerEncoder, embed_items
from embrm.heads import (
    LinearBradleyTerry,
    SiameseBradleyTerry,
    make_head,
    order_consistency,
)

PACKAGES = ("scipy", "sklearn", "torch", "pandas", "matplotlib", "networkx")
PACKAGES += ("statsmodels", "sympy", "numpy", "lightgbm", "transformers", "ray")
PACKAGES += ("sentence_transformers", "pyarrow", "boto3", "botocore", "hypothesis")
PACKAGES += ("xgboost",)
N_PROMPTS = 600
RESPONSES = (8, 20)
LONGEST = 1500
CACHE = Path.home() / ".cache" / "embrm-text-pools"
WORD = re.compile(r"[a-z]+")
SHARES = {"unseen": (0.05, 0.3), "writer": (0.0, 0.2), "prompt": (0.3, 1.5)}


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts of (prompt, response), the number of each one's prompt, and vectors."""

    texts: list[tuple[str, str]]
    prompt: np.ndarray
    package: np.ndarray
    vectors: np.ndarray


def read_groups() -> Iterator[tuple[str, str, list[str]]]:
    """Yield (package, prompt, docstrings of members) of each well documented scope."""
    places = sysconfig.get_paths()
    roots = [(Path(places["purelib"]) / name, name) for name in PACKAGES]
    roots.append((Path(places["stdlib"]), "stdlib"))
    for root, package in roots:
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).parts
            if "site-packages" in parts or {"tests", "test"} & set(parts):
                continue
            try:
                tree = ast.parse(path.read_text(encoding="utf-8"))
            except (SyntaxError, UnicodeDecodeError, ValueError):
                continue
            name = ".".join([package, *parts[:-1], path.stem])
            scopes = [(name, tree)]
            scopes += [
                (f"{name}.{node.name}", node)
                for node in tree.body
                if isinstance(node, ast.ClassDef)
            ]
            for scope, node in scopes:
                docs = [text for text in map(docstring, node.body) if len(text) > 40]
                yield package, f"{scope}: {first_line(docstring(node))}", docs


def docstring(node: ast.AST) -> str:
    known = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return (ast.get_docstring(node) or "") if isinstance(node, known) else ""


def first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:200]


@cache
def load_texts(directory: Path = CACHE) -> Texts:
    """Gather the texts and embed them, once."""
    rng = np.random.default_rng(20_261_121)
    fewest, most = RESPONSES
    groups, seen = [], set()
    for package, prompt, docs in read_groups():
        cut = [shorten(text, int(rng.integers(1, 6))) for text in dict.fromkeys(docs)]
        new = [text for text in dict.fromkeys(cut) if text not in seen]
        if len(new) >= fewest:
            seen.update(new)
            groups.append((package, prompt, new))
    chosen = rng.permutation(len(groups))[:N_PROMPTS]
    texts, prompts, packages = [], [], []
    for number, k in enumerate(sorted(chosen)):
        package, prompt, docs = groups[k]
        for at in rng.permutation(len(docs))[:most]:
            texts.append((prompt, docs[at]))
            prompts.append(number)
            packages.append(package)
    vectors = embed_items(texts, SentenceTransformerEncoder(), directory).vectors
    return Texts(
        texts, np.array(prompts), np.array(packages), vectors.astype(np.float32)
    )


def shorten(text: str, n_paragraphs: int) -> str:
    return "\n\n".join(text.split("\n\n")[:n_paragraphs])[:LONGEST]


@dataclass(frozen=True)
class Reading:
    """What a rule looks at."""

    prompt: str
    response: str
    seed: int

    @property
    def words(self) -> list[str]:
        return WORD.findall(self.response.lower()) or ["x"]

    @property
    def asked(self) -> set[str]:
        return set(WORD.findall(self.prompt.lower()))

    def value(self, word: str) -> float:
        """Value of a word, drawn at random once for each seed."""
        return word_value(word, self.seed)


@cache
def word_value(word: str, seed: int) -> float:
    digest = hashlib.blake2b(f"{seed} {word}".encode(), digest_size=8).digest()
    return float(np.random.default_rng(list(digest)).normal())


def length(text: Reading) -> float:
    """Longer is better until it is long enough."""
    return 1 - np.exp(-len(text.response) / 400)


def readable(text: Reading) -> float:
    """Short sentences of short words."""
    found = text.words
    sentences = max(1, len(re.findall(r"[.!?:](\s|$)", text.response)))
    letters = sum(map(len, found)) / len(found)
    return -np.log(len(found) / sentences + 2) - letters / 3


def code(text: Reading) -> float:
    """Some code and numbers, not all of it."""
    marks = [not (c.isalpha() or c.isspace()) for c in text.response]
    return -abs(sum(marks) / len(marks) - 0.15)


def lexicon(text: Reading) -> float:
    """Every word has a value of its own, drawn at random; their mean, bent."""
    values = [text.value(word) for word in sorted(set(text.words))]
    return float(np.tanh(sum(values) / np.sqrt(len(values) + 4)))


def to_the_point(text: Reading) -> float:
    """Repeats the prompt's words, and not its own."""
    found, asked = text.words, text.asked
    return len(asked & set(found)) / (1 + len(asked)) + len(set(found)) / len(found)


def depends(text: Reading) -> float:
    """Length is good for some prompts and bad for others, by their words."""
    phase = sum(text.value(word) for word in sorted(text.asked))
    return np.sin(phase) * np.log(len(text.response)) + 0.5 * code(text)


RULES: dict[str, Callable[[Reading], float]] = {
    rule.__name__: rule
    for rule in (length, readable, code, lexicon, to_the_point, depends)
}
GOLDS = (*RULES, "mixture")


def make_pool(gold: str, seed: int, directory: Path = CACHE) -> CandidatePool:
    """Make the pool whose gold is one rule, or a random mixture of them all.

    Parameters
    ----------
    gold : str
        One of `GOLDS`.
    seed : int
        Draws what the rule leaves open, and the shares of gold that are unseen, the
        writer's and the prompt's.
    directory : Path
        Where vectors are kept.
    """
    data = load_texts(directory)
    rng = np.random.default_rng([seed, GOLDS.index(gold)])
    share = {name: rng.uniform(*span) for name, span in SHARES.items()}
    if gold == "mixture":
        parts = [standard(rule_values(name, seed, directory)) for name in RULES]
        seen = standard(rng.normal(size=len(parts)) @ np.array(parts))
    else:
        seen = standard(rule_values(gold, seed, directory))
    writer = rng.normal(size=20)[rng.integers(20, size=len(seen))]
    value = np.sqrt(1 - share["unseen"] - share["writer"]) * seen
    value += np.sqrt(share["unseen"]) * rng.standard_t(4, size=len(seen)) / np.sqrt(2)
    value += np.sqrt(share["writer"]) * writer
    value += share["prompt"] * rng.normal(size=data.prompt.max() + 1)[data.prompt]
    return CandidatePool(data.vectors, data.prompt, gold=6 * value)


@cache
def rule_values(name: str, seed: int, directory: Path) -> np.ndarray:
    rule = RULES[name]
    texts = load_texts(directory).texts
    return np.array([rule(Reading(*text, seed)) for text in texts])


def standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


HEADS: dict[str, Callable[[], object]] = {
    "plain": lambda: LinearBradleyTerry(standardise=False, posterior=False),
    "standardised": lambda: LinearBradleyTerry(standardise=True, posterior=False),
    "linear": lambda: LinearBradleyTerry(posterior=False),
    **{
        word: partial(make_head, word, random_state=0)
        for word in ("siamese", "logistic", "mlp", "boosted")
    },
    "siamese-alone": lambda: SiameseBradleyTerry(linear_start=False, random_state=0),
    "siamese-8": lambda: SiameseBradleyTerry(ensemble_size=8, random_state=0),
}
CELLS = tuple(product((0.0, 0.3, 0.4), ("same", "cross")))


def wanted_tasks(n_pools: int, sizes: list[int]) -> Iterator[dict]:
    """Every gold in turn, each at a third of the cells; then the synthetic pool."""
    for k, n in product(range(n_pools), sizes):
        for cell, (error, pairing) in enumerate(CELLS):
            if (k + cell + n // 500) % 3 == 0:
                gold, seed = GOLDS[k % len(GOLDS)], 100 + k // len(GOLDS)
                yield {
                    "gold": gold,
                    "seed": seed,
                    "n": n,
                    "error": error,
                    "pairing": pairing,
                }
    for error, pairing in CELLS:
        yield {
            "gold": "synthetic",
            "seed": 0,
            "n": 2000,
            "error": error,
            "pairing": pairing,
        }


def compare(wanted: dict, names: list[str], directory: Path) -> dict[str, float]:
    """Fit every head to one task; return order consistencies."""
    if wanted["gold"] == "synthetic":
        pool = cached_synthetic_pool()
    else:
        pool = make_pool(wanted["gold"], wanted["seed"], directory)
    task = make_task(
        pool, wanted["n"], wanted["error"], wanted["pairing"], wanted["seed"]
    )
    first, second = task.test_ids.T
    found = {}
    for name in names:
        reward = HEADS[name]().fit(task.pairs, task.y).reward(pool.items)
        found[name] = float(
            order_consistency(reward[first] - reward[second], task.test_y)
        )
    return found


@cache
def cached_synthetic_pool() -> CandidatePool:
    return synthetic_pool()


def summarise(rows: list[dict], names: list[str]) -> list[dict]:
    """Mean consistency, and the paired difference to the first head, by cell."""
    groups = {"text": [r for r in rows if r["gold"] != "synthetic"]}
    groups["synthetic"] = [r for r in rows if r["gold"] == "synthetic"]
    for error, pairing in CELLS:
        groups[f"text, {error:.0%} {pairing}"] = [
            row
            for row in groups["text"]
            if (row["error"], row["pairing"]) == (error, pairing)
        ]
    summary = []
    for (place, members), name in product(groups.items(), names):
        if not members:
            continue
        values = np.array([row["consistency"][name] for row in members])
        gap = values - [row["consistency"][names[0]] for row in members]
        summary.append(
            {
                "tasks": place,
                "n_tasks": len(members),
                "head": name,
                "consistency": round(float(values.mean()), 4),
                f"less {names[0]}": round(float(gap.mean()), 4),
                "standard error": round(float(gap.std() / np.sqrt(len(gap))), 4),
            }
        )
    return summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--heads", default="plain,standardised,linear,logistic,mlp")
    parser.add_argument("--n-pools", type=int, default=14)
    parser.add_argument("--sizes", default="500,2000,10000")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results/text_pools.json")
    )
    arguments = parser.parse_args()
    names = arguments.heads.split(",")
    sizes = [int(n) for n in arguments.sizes.split(",")]
    rows = (
        json.loads(arguments.out.read_text())["rows"] if arguments.out.exists() else []
    )
    rows = [row for row in rows if set(names) <= set(row["consistency"])]
    done = [{k: v for k, v in row.items() if k != "consistency"} for row in rows]
    warnings.simplefilter("ignore")
    begun = time.monotonic()
    for wanted in wanted_tasks(arguments.n_pools, sizes):
        if wanted in done or time.monotonic() - begun > 60 * arguments.minutes:
            continue
        found = compare(wanted, names, arguments.cache)
        rows.append(wanted | {"consistency": found})
        print(wanted, {name: round(value, 4) for name, value in found.items()})
        result = {
            "measured": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": describe_machine(),
            "summary": summarise(rows, names),
            "rows": rows,
        }
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(summarise(rows, names), indent=1))


if __name__ == "__main__":
    main()
