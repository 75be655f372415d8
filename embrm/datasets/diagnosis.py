"""Look before you fit: what preference data hold, and what may be wrong with them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import AnyArray, FittedTexts, IntArray
from embrm.datasets import diagnosis_words as words
from embrm.datasets._comparison_graph import (
    ComparisonGraph,
    Connectivity,
    Contradictions,
    Cycles,
    PairsFound,
)
from embrm.datasets._diagnosis_facts import (
    Annotators,
    Labels,
    LengthImbalance,
    Spread,
    Truncation,
    annotators_of,
    length_imbalance,
    script_shares,
    spreads,
    tallies,
    truncation_of,
)
from embrm.datasets._diagnosis_prompts import (
    DistinctPrompts,
    Leakage,
    NearDuplicates,
    find_leakage,
    find_near_duplicates,
)
from embrm.datasets.label_errors import find_label_errors
from embrm.datasets.near_duplicates import THRESHOLD
from embrm.datasets.preferences import Preferences, ReadReport
from embrm.datasets.tables import native
from embrm.exceptions import invalid_input
from embrm.messages import prompt_text

_MOST_EXAMPLES = 3
_MOST_ERRORS = 10


@dataclass(frozen=True)
class Example:
    """One comparison as it was read.

    Attributes
    ----------
    source_row : int
        Row of the source, from 0.
    prompt, first, second : str
        `second` is "" where the data have items only.
    label : float or None
        Probability that first is preferred; None where the data have items only.
    probability : float or None
        Held-out probability of the label, where a model was asked.
    known : dict of str to value
        What else is known of an item: its score, its rank or its label.
    """

    source_row: int
    prompt: str
    first: str
    second: str = ""
    label: float | None = None
    probability: float | None = None
    known: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class SuspiciousLabels:
    """Labels that a head, not fitted on them, finds improbable.

    Attributes
    ----------
    n, n_judged : int
        How many look wrong, of how many.
    threshold : float
        See `LabelErrors`.
    source_rows : list of int
        Of all, the least probable label first.
    examples : list of Example
        The first ten.
    """

    n: int
    n_judged: int
    threshold: float
    source_rows: list[int]
    examples: list[Example]


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What preference data hold, and what to look at before a head is fitted.

    Attributes
    ----------
    read_report : ReadReport
        Format, columns, rows read, kept and left out.
    examples : list of Example
        The first three rows as they were read.
    n_pairs, n_items, n_prompts : int
        Prompts that differ in white space at their ends, or in Unicode form alone, are
        one.
    n_spellings : int
        Prompts that differ from another in that alone.
    pairs_per_prompt, items_per_prompt, characters : Spread or None
        `characters` are those of responses; None where there is nothing to count.
    tallies : dict of str to dict of str to int
        How often each language, subset and source is named, where they are.
    spreads : dict of str to Spread
        Of weights and margins, where there are any.
    labels : Labels
    length : LengthImbalance or None
    repeats : PairsFound
        Pairs that say again what an earlier one says.
    contradictions : Contradictions
    cycles : Cycles
    connectivity : Connectivity
    near_duplicates : NearDuplicates or None
        None where they were not looked for.
    leakage : list of Leakage
    annotators : Annotators or None
    scripts : dict of str to float
        Share of responses by script.
    beyond : dict of int to float
        Share of items that are probably longer than so many tokens, at four characters
        each.
    truncation : Truncation or None
        What an encoder cuts, where one was named.
    suspicious : SuspiciousLabels or None
        Where a model was asked.
    """

    read_report: ReadReport
    examples: list[Example]
    n_pairs: int
    n_items: int
    n_prompts: int
    n_spellings: int
    pairs_per_prompt: Spread | None
    items_per_prompt: Spread | None
    characters: Spread | None
    tallies: dict[str, dict[str, int]]
    spreads: dict[str, Spread]
    labels: Labels
    length: LengthImbalance | None
    repeats: PairsFound
    contradictions: Contradictions
    cycles: Cycles
    connectivity: Connectivity
    near_duplicates: NearDuplicates | None
    leakage: list[Leakage]
    annotators: Annotators | None
    scripts: dict[str, float]
    beyond: dict[int, float]
    truncation: Truncation | None
    suspicious: SuspiciousLabels | None

    @property
    def findings(self) -> list[words.Finding]:
        """What to look at before fitting, the gravest first."""
        return words.findings(self)

    @property
    def columns(self) -> dict[str, str]:
        """The use of every column of the source, where the reader says it."""
        return dict(self.read_report.columns)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict.

        `source_row` and `source_rows` count rows of the source from 0; the printed
        form counts from 1.
        """
        report = self.read_report
        return {
            **asdict(self),
            "beyond": {str(limit): share for limit, share in self.beyond.items()},
            "read_report": report.to_json(),
            "format": report.format,
            "why": report.why,
            "notes": list(report.notes),
            "columns": self.columns,
            "findings": [asdict(finding) for finding in self.findings],
        }

    def __str__(self) -> str:
        return words.as_text(self)

    def _repr_html_(self) -> str:
        """Show in a notebook."""
        return words.as_html(self)


def diagnose(
    preferences: Preferences,
    *,
    against: Preferences | Mapping[str, Preferences] | None = None,
    near_threshold: float | None = THRESHOLD,
    fitted: FittedTexts | None = None,
    probability: ArrayLike | None = None,
) -> Diagnosis:
    """Look at preference data before a head is fitted on them.

    Parameters
    ----------
    preferences : Preferences
        As `read_preferences` gives them. Data of ratings alone have no pairs yet; what
        is about pairs is then empty.
    against : Preferences or mapping of str to Preferences, optional
        Other data, by name, to look for the same prompts in: a test set, a benchmark.
    near_threshold : float in [0.5, 1] or None, default=0.8
        Jaccard index from which prompts are near-duplicates; None does not look for
        them. See `near_duplicate_groups`.
    fitted : FittedTexts, optional
        What an encoder's limit leaves of each item, as its `fit_texts` says.
    probability : array-like of shape (n_pairs,) in [0, 1], optional
        P(first preferred) of a head that was not fitted on the pair's prompt, NaN
        where there is none: finds labels that look wrong.

    Returns
    -------
    Diagnosis
        Printed, it is a report of 80 columns that begins with what to look at.

    Raises
    ------
    InvalidInputError
        If an argument has the wrong shape or range.

    Examples
    --------
    >>> from embrm.datasets import read_preferences
    >>> rows = [
    ...     {"prompt": "2+2?", "chosen": "4", "rejected": "5"},
    ...     {"prompt": "2+2? ", "chosen": "5", "rejected": "4"},
    ... ]
    >>> diagnosis = diagnose(read_preferences(rows))
    >>> diagnosis.contradictions.n
    1
    >>> diagnosis.n_prompts
    1
    """
    items, pairs = preferences.items, preferences.pairs
    prompts = DistinctPrompts(preferences)
    of_item = prompts.of_item
    graph = ComparisonGraph(of_item, items["response"], pairs)
    ids = pairs[["first", "second"]].to_numpy(np.intp)
    lengths = items["response"].str.len().to_numpy(np.int64)
    rows = pairs["source_row"].to_numpy()
    return Diagnosis(
        read_report=preferences.read_report,
        examples=_examples(preferences),
        n_pairs=len(pairs),
        n_items=len(items),
        n_prompts=len(prompts.texts),
        n_spellings=prompts.n_spellings,
        pairs_per_prompt=_per_group(of_item[ids[:, 0]]),
        items_per_prompt=_per_group(of_item),
        characters=Spread.of(lengths) if len(lengths) else None,
        tallies=tallies(items, pairs),
        spreads=spreads(pairs),
        labels=Labels.of(preferences.y),
        length=length_imbalance(lengths, ids, preferences.y, of_item),
        repeats=graph.repeats(),
        contradictions=graph.contradictions(),
        cycles=graph.cycles(),
        connectivity=graph.connectivity(),
        near_duplicates=find_near_duplicates(prompts.texts, near_threshold),
        leakage=[
            find_leakage(preferences, prompts, name, other, near_threshold)
            for name, other in _named(against).items()
        ],
        annotators=annotators_of(items, pairs, graph),
        scripts=script_shares(items["response"]),
        beyond=_beyond(lengths + prompts.lengths[of_item]),
        truncation=_truncation(fitted, preferences, ids, rows),
        suspicious=_suspicious(preferences, probability),
    )


def _examples(preferences: Preferences) -> list[Example]:
    if len(preferences):
        firsts = preferences.pairs.drop_duplicates("source_row").index[:_MOST_EXAMPLES]
        return [_example(preferences, int(at)) for at in firsts]
    shown = preferences.items.iloc[:_MOST_EXAMPLES]
    columns = [name for name in ("score", "rank", "label") if name in shown]
    return [
        Example(
            int(row["source_row"]),
            prompt_text(row["prompt"]),
            row["response"],
            known={name: native(row[name]) for name in columns},
        )
        for _, row in shown.iterrows()
    ]


def _example(
    preferences: Preferences, at: int, probability: float | None = None
) -> Example:
    pair = preferences.pairs.iloc[at]
    first = preferences.items.iloc[int(pair["first"])]
    second = preferences.items.iloc[int(pair["second"])]
    return Example(
        int(pair["source_row"]),
        prompt_text(first["prompt"]),
        first["response"],
        second["response"],
        float(pair["y"]),
        probability,
    )


def _per_group(groups: IntArray) -> Spread | None:
    counts = np.bincount(groups)
    return Spread.of(counts[counts > 0]) if len(groups) else None


def _beyond(n_characters: IntArray) -> dict[int, float]:
    """Guess the share of items beyond common limits in tokens."""
    limits = (256, 512, 2048, 8192) if len(n_characters) else ()
    return {limit: float((n_characters > 4 * limit).mean()) for limit in limits}


def _named(
    against: Preferences | Mapping[str, Preferences] | None,
) -> Mapping[str, Preferences]:
    if against is None:
        return {}
    if isinstance(against, Preferences):
        return {against.read_report.source: against}
    return against


def _truncation(
    fitted: FittedTexts | None, preferences: Preferences, ids: IntArray, rows: AnyArray
) -> Truncation | None:
    if fitted is None or not len(preferences.items):
        return None
    if len(fitted.codes) != len(preferences.items):
        raise invalid_input(
            expected=f"what is left of each of {len(preferences.items)} items",
            got=f"{len(fitted.codes)} entries",
            fix="fit .texts of these very preferences, all of them, in order",
        )
    return truncation_of(fitted, ids, rows)


def _suspicious(
    preferences: Preferences, probability: ArrayLike | None
) -> SuspiciousLabels | None:
    if probability is None:
        return None
    errors = find_label_errors(preferences.y, probability)
    rows = preferences.pairs["source_row"].to_numpy()[errors.pairs]
    shown = zip(errors.pairs[:_MOST_ERRORS], errors.probability, strict=False)
    return SuspiciousLabels(
        len(errors),
        errors.n_judged,
        errors.threshold,
        rows.tolist(),
        [_example(preferences, int(at), float(p)) for at, p in shown],
    )
