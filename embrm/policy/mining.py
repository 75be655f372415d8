"""Mine a file of responses: score each once, select, write what trainers read.

The source is read twice: texts are scored in passing, and only numbers are kept of
them; what was selected is written when it comes by again. That is about 140 bytes for
each response, however long, and whatever their order. Vectors, which diversity needs,
are kept in a temporary file. A card beside the file says what was selected by what.
"""

import hashlib
import json
import tempfile
from array import array
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

import numpy as np

from embrm._typing import BoolArray, FloatArray, IntArray, RandomState, Text
from embrm._validation import check_choice, check_count
from embrm.datasets._building import check_unicode
from embrm.datasets.formats import RowReader, read_responses, respelt
from embrm.datasets.sources import open_source
from embrm.datasets.tables import native
from embrm.exceptions import DataError, InvalidInputError
from embrm.messages import prompt_key
from embrm.policy.preference_files import TRAINING_FORMATS, demonstration_row, pair_row
from embrm.policy.selection import (
    CHOOSE_TYPES,
    ITEM_STRATEGIES,
    PAIR_STRATEGIES,
    Candidates,
    select_items,
    select_pairs,
)

STRATEGIES = (*PAIR_STRATEGIES, *ITEM_STRATEGIES)
"""Of pairs, then of single responses."""

_LIMITS = """\
What is chosen is what the model rewards, its errors included: the best of many is
where a reward is most often wrong. Compare lengths and the share outside the hull
before training, and measure the trained policy by something else than this reward."""


class Scored(NamedTuple):
    """What is known of some texts.

    Attributes
    ----------
    reward : ndarray of shape (n,)
    std : ndarray of shape (n,) or None
    vectors : ndarray of shape (n, d) or None
        Kept in a temporary file where diversity is asked for.
    outside : ndarray of bool of shape (n,) or None
        Whether each lies outside the hull of the training data.
    """

    reward: FloatArray
    std: FloatArray | None = None
    vectors: FloatArray | None = None
    outside: BoolArray | None = None


class Score(Protocol):
    """Scores texts; what `mine` is given."""

    def __call__(self, texts: list[Text], /) -> Scored:
        """Score (prompt, response) texts."""
        ...


@dataclass(frozen=True)
class MiningRule:
    """What is selected, and how it is written.

    Parameters
    ----------
    strategy : str, default="best-vs-worst"
        One of `PAIR_STRATEGIES`, which give preferences, or of `ITEM_STRATEGIES`, which
        give demonstrations; or a name of RLHFlow.
    format : {"trl", "openrlhf", "llama-factory", "axolotl"}, default="trl"
    caution, length_penalty, diversity : float, default=0
        As in `Candidates`; lengths are in characters.
    min_margin, n, p, eta
        As in `select_pairs` and `select_items`.
    random_state : int, default=0
    """

    strategy: str = "best-vs-worst"
    format: str = "trl"
    caution: float = 0.0
    length_penalty: float = 0.0
    diversity: float = 0.0
    min_margin: float = 0.0
    n: int = 1
    p: float = 0.25
    eta: float = 1.0
    random_state: RandomState = 0

    def check(self) -> None:
        """Refuse names that are unknown, before anything is read."""
        check_choice(self.strategy, "strategy", (*STRATEGIES, *CHOOSE_TYPES))
        check_choice(self.format, "format", tuple(TRAINING_FORMATS))

    @property
    def makes_pairs(self) -> bool:
        """Whether the result is of pairs; else it is of demonstrations."""
        return self.strategy not in ITEM_STRATEGIES


@dataclass(frozen=True, eq=False)
class Mined:
    """What was mined, in numbers.

    Attributes
    ----------
    rule : MiningRule
    n_items, n_prompts, n_written : int
    left_out : dict of str to int
        Rows and prompts that gave nothing, by reason.
    reward : dict of str to float
        Mean reward of all candidates, and of what was chosen and rejected.
    length : dict of str to float
        The same of lengths in characters.
    outside : dict of str to float
        Shares outside the hull of the training data; empty where that is unknown.
    margin : dict of str to float
        Mean, smallest and largest margin of pairs.
    """

    rule: MiningRule
    n_items: int
    n_prompts: int
    n_written: int
    left_out: dict[str, int]
    reward: dict[str, float]
    length: dict[str, float]
    outside: dict[str, float]
    margin: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return names and numbers, ready for JSON."""
        named = {"strategy": self.rule.strategy, "format": self.rule.format}
        counts = ("n_items", "n_prompts", "n_written")
        tables = ("left_out", "reward", "length", "outside", "margin")
        return named | {name: getattr(self, name) for name in (*counts, *tables)}


@dataclass(eq=False)
class _Facts:
    """Numbers that are kept of each item."""

    reward: "array[float]" = field(default_factory=lambda: array("d"))
    std: "array[float]" = field(default_factory=lambda: array("d"))
    length: "array[int]" = field(default_factory=lambda: array("q"))
    prompt: "array[int]" = field(default_factory=lambda: array("Q"))
    outside: bytearray = field(default_factory=bytearray)
    vectors: IO[bytes] | None = None
    dim: int = 0

    def add(self, texts: list[Text], scored: Scored, *, keep_vectors: bool) -> None:
        self.reward.extend(scored.reward.tolist())
        self.length.extend(len(response) for _, response in texts)
        self.prompt.extend(_hash(prompt) for prompt, _ in texts)
        if scored.std is not None:
            self.std.extend(scored.std.tolist())
        if scored.outside is not None:
            self.outside.extend(scored.outside.astype(np.uint8).tobytes())
        if keep_vectors and scored.vectors is not None:
            self.vectors = self.vectors or tempfile.TemporaryFile()  # noqa: SIM115
            self.dim = scored.vectors.shape[1]
            self.vectors.write(scored.vectors.astype(np.float32).tobytes())

    def candidates(self, rule: MiningRule) -> Candidates:
        return Candidates(
            np.array(self.reward),
            np.array(self.prompt, dtype=np.uint64),
            std=np.array(self.std) if self.std else None,
            caution=rule.caution,
            length=np.array(self.length),
            length_penalty=rule.length_penalty,
            vectors=self._mapped(),
            diversity=rule.diversity,
        )

    def _mapped(self) -> FloatArray | None:
        if self.vectors is None:
            return None
        self.vectors.flush()
        shape = (len(self.reward), self.dim)
        return np.memmap(self.vectors, dtype=np.float32, mode="r", shape=shape)

    def close(self) -> None:
        if self.vectors is not None:
            self.vectors.close()


def mine(
    source: Any,
    score: Score,
    out: Path,
    rule: MiningRule | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    rows_at_once: int = 2048,
) -> Mined:
    """Select among the responses of a file, and write a training file.

    Parameters
    ----------
    source : path, frame or list of dicts
        Rows with a prompt and a response, both sides of a pair or a list of responses.
        It is read twice: a generator or standard input will not do.
    score : callable
        Takes (prompt, response) texts and returns `Scored`.
    out : Path
        JSON lines to write; complete, or not there.
    rule : MiningRule, optional
    columns : mapping of str to str, optional
        embrm's names to yours.
    rows_at_once : int >= 1, default=2048
        Rows whose texts are held and scored at once.

    Returns
    -------
    Mined

    Raises
    ------
    DataError
        If no row can be read, or nothing is selected.
    InvalidInputError
        If the rule is of unknown names or of ranges that do not hold.

    Examples
    --------
    >>> import tempfile
    >>> rows = [{"prompt": "Say hi", "response": text} for text in ("Hi!", "No.", "")]
    >>> count = lambda texts: Scored(np.array([float(t.count("!")) for _, t in texts]))
    >>> with tempfile.TemporaryDirectory() as place:
    ...     mined = mine(rows, count, Path(place, "pairs.jsonl"))
    ...     print(Path(place, "pairs.jsonl").read_text()[-19:-1])
    }], "margin": 1.0}
    >>> mined.n_written, mined.left_out
    (1, {'empty response': 1})
    """
    rule = rule or MiningRule()
    rule.check()
    check_count(rows_at_once, "rows_at_once")
    left_out: dict[str, int] = {}
    with closing(_Facts()) as facts:
        for texts in _batches(source, columns, rows_at_once, left_out):
            facts.add(texts, score(texts), keep_vectors=rule.diversity > 0)
        if not facts.reward:
            raise _nothing_read(left_out)
        pool = facts.candidates(rule)
        ids, margin = _selected(pool, rule, left_out)
    texts_again = _texts(source, columns, dict[str, int]())
    n_written = _write(texts_again, ids, margin, rule, Path(out), left_out)
    return _figures(rule, facts, pool, ids, margin, n_written, left_out)


def _nothing_read(left_out: Mapping[str, int]) -> DataError:
    words = ", ".join(f"{n} with {why}" for why, n in left_out.items())
    return DataError.of(
        expected="rows with a prompt and a response",
        got=f"no row that can be read: {words}" if words else "no row",
        fix="name your columns: columns={'prompt': 'your name for it'}",
        reason="no rows",
    )


def _selected(
    pool: Candidates, rule: MiningRule, left_out: dict[str, int]
) -> tuple[IntArray, FloatArray]:
    """Select rows (n, 2) of pairs with their margins, or (n, 1) of single responses."""
    seed = rule.random_state
    if rule.makes_pairs:
        selected = select_pairs(
            pool, rule.strategy, min_margin=rule.min_margin, random_state=seed
        )
        ids, margin = selected.ids, selected.margin
        left_out |= selected.left_out
    else:
        rows = select_items(
            pool, rule.strategy, n=rule.n, p=rule.p, eta=rule.eta, random_state=seed
        )
        ids, margin = rows[:, None], np.empty(0)
    if not len(ids):
        words = ", ".join(f"{n} {why}" for why, n in left_out.items())
        raise DataError(f"nothing was selected: {words}", reason="nothing selected")
    return ids, margin


def _texts(
    source: Any, columns: Mapping[str, str] | None, left_out: dict[str, int]
) -> Iterator[list[Text]]:
    """Yield the responses of each row; count those that cannot be read, by reason."""
    theirs = dict(columns or {})
    for _, row in open_source(source).rows:
        reader = RowReader()
        try:
            if isinstance(row, DataError):
                raise row
            named = {k: native(v) for k, v in respelt(row, theirs).items()}
            read_responses(named, reader)
            check_unicode(named)
        except (DataError, InvalidInputError) as error:
            reason = getattr(error, "reason", "malformed messages")
            left_out[reason] = left_out.get(reason, 0) + 1
            continue
        yield [(item["prompt"], item["response"]) for item in reader.items]


def _batches(
    source: Any,
    columns: Mapping[str, str] | None,
    rows_at_once: int,
    left_out: dict[str, int],
) -> Iterator[list[Text]]:
    held: list[Text] = []
    for texts in _texts(source, columns, left_out):
        held += texts
        if len(held) >= rows_at_once:
            yield held
            held = []
    if held:
        yield held


def _write(
    texts: Iterator[list[Text]],
    ids: IntArray,
    margin: FloatArray,
    rule: MiningRule,
    out: Path,
    left_out: dict[str, int],
) -> int:
    """Write rows when the last of their texts comes by; return how many."""
    wanted: dict[int, int] = {
        int(item): place for place, row in enumerate(ids) for item in row
    }
    waiting: dict[int, Text] = {}
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f"{out.name}.partial")
    item = n_written = 0
    with partial.open("w", encoding="utf-8") as stream:
        for row in texts:
            for text in row:
                place = wanted.get(item)
                if place is not None:
                    waiting[item] = text
                    if all(int(other) in waiting for other in ids[place]):
                        both = [waiting.pop(int(other)) for other in ids[place]]
                        n_written += _write_row(
                            stream, both, margin, place, rule, left_out
                        )
                item += 1
    partial.replace(out)
    return n_written


def _write_row(
    stream: Any,
    texts: list[Text],
    margin: FloatArray,
    place: int,
    rule: MiningRule,
    left_out: dict[str, int],
) -> int:
    (prompt, chosen), *rest = texts
    if rest and rest[0][1] == chosen:
        left_out["equal responses"] = left_out.get("equal responses", 0) + 1
        return 0
    try:
        if not rest:
            row = demonstration_row(prompt, chosen, format=rule.format)
        else:
            row = pair_row(
                prompt,
                chosen,
                rest[0][1],
                format=rule.format,
                margin=float(margin[place]),
            )
    except DataError as error:
        left_out[error.reason] = left_out.get(error.reason, 0) + 1
        return 0
    stream.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
    return 1


def _figures(
    rule: MiningRule,
    facts: _Facts,
    pool: Candidates,
    ids: IntArray,
    margin: FloatArray,
    n_written: int,
    left_out: dict[str, int],
) -> Mined:
    groups: dict[str, Any] = {"all": slice(None), "chosen": ids[:, 0]}
    if ids.shape[1] > 1:
        groups["rejected"] = ids[:, 1]

    def means(values: Any) -> dict[str, float]:
        return {name: float(np.mean(values[at])) for name, at in groups.items()}

    spread = {}
    if len(margin):
        ends = {"smallest": margin.min(), "largest": margin.max()}
        spread = {"mean": margin.mean(), **ends}
    outside = np.frombuffer(bytes(facts.outside), dtype=np.uint8)
    return Mined(
        rule=rule,
        n_items=len(facts.reward),
        n_prompts=len(np.unique(pool.codes)),
        n_written=n_written,
        left_out=left_out,
        reward=means(pool.reward),
        length=means(np.array(facts.length)),
        outside=means(outside) if len(outside) else {},
        margin={name: float(value) for name, value in spread.items()},
    )


def _hash(prompt: Any) -> int:
    key = prompt_key(prompt).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little")


def mining_card(mined: Mined, out: Path, facts: Mapping[str, str]) -> str:
    """Write the card of a mined file in Markdown.

    Parameters
    ----------
    mined : Mined
    out : Path
        The file.
    facts : mapping of str to str
        What else is known: the model, the encoder's digest, which reward, the source.

    Examples
    --------
    >>> from embrm.policy.mining import Mined, MiningRule
    >>> mined = Mined(MiningRule(), 3, 1, 1, {}, {"all": 0.0}, {}, {}, {"mean": 1.0})
    >>> print(mining_card(mined, Path("pairs.jsonl"), {"model": "m"}).splitlines()[0])
    # Preferences mined by reward: pairs.jsonl
    """
    rule = mined.rule
    kind = "Preferences" if rule.makes_pairs else "Demonstrations"
    how = TRAINING_FORMATS[rule.format]
    use = how.use_pairs if rule.makes_pairs else how.use_demonstrations
    lines = [f"# {kind} mined by reward: {out.name}", ""]
    lines += [f"- {name}: `{value}`" for name, value in facts.items()]
    lines += [f"- strategy: `{rule.strategy}`, format: `{rule.format}`"]
    lines += [
        f"- {name.replace('_', ' ')}: {value:g}"
        for name, value in _settings(rule).items()
    ]
    lines += [
        f"- rows: {mined.n_written:,}, of {mined.n_items:,} responses",
        f"- prompts: {mined.n_prompts:,}",
        *(f"- left out: {n:,} {why}" for why, n in mined.left_out.items()),
        "",
        "| mean | all | chosen | rejected |",
        "|---|---:|---:|---:|",
    ]
    tables = {"reward (nats)": (mined.reward, ".3f")}
    tables["length (characters)"] = (mined.length, ".0f")
    tables["outside the training hull"] = (mined.outside, ".1%")
    for name, (values, form) in tables.items():
        cells = [
            format(values[key], form) if key in values else "-"
            for key in ("all", "chosen", "rejected")
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    if mined.margin:
        spread = ", ".join(f"{k} {v:.3f}" for k, v in mined.margin.items())
        lines += ["", f"Margins, in nats: {spread}."]
    lines += ["", "## How to train on it", "", "```", use.format(file=out.name), "```"]
    lines += ["", _LIMITS, ""]
    return "\n".join(lines)


def _settings(rule: MiningRule) -> dict[str, float]:
    """List settings that are not at their default."""
    plain = MiningRule()
    names = ("caution", "length_penalty", "diversity", "min_margin", "n", "p", "eta")
    changed = {name: float(getattr(rule, name)) for name in names}
    return {k: v for k, v in changed.items() if v != getattr(plain, k)}
