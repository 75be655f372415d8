"""LabelQueue: who judges which pair next, and what is known from the judgements."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from embrm.active import LabelLoop
from embrm.active.candidates import pair_keys
from embrm.exceptions import InvalidInputError, invalid_input
from embrm.label.journal import Journal, append_line, write_lines
from embrm.label.tasks import WINNERS, Task, Texts, is_swapped, propose_tasks


@dataclass(frozen=True)
class QueueSettings:
    """How a queue is run.

    Parameters
    ----------
    batch : int, default=16
        Pairs that are proposed at a time.
    overlap : float in [0, 1), default=0.1
        Share of an annotator's pairs that another has judged, where there is one.
    attention : float in [0, 1), default=0.05
        Share that repeats an own pair with the sides swapped.
    attention_after : int, default=5
        Judgements that lie between a pair and its repeat at least.
    lease_seconds : float, default=1800
        After which a pair that someone left unjudged goes to others.
    seed : int, default=0
        Of the sides, and of which pairs are repeated.
    """

    batch: int = 16
    overlap: float = 0.1
    attention: float = 0.05
    attention_after: int = 5
    lease_seconds: float = 1800.0
    seed: int = 0


@dataclass(frozen=True)
class Shown:
    """A pair on someone's screen.

    Attributes
    ----------
    key : str
        The id of the task, and of a repeat with "~1" behind it.
    task : Task
    kind : {"new", "overlap", "attention"}
    swapped : bool
        Whether the second item stands first (left, or above).
    since : float
        When it was first shown, in seconds of the epoch.
    """

    key: str
    task: Task
    kind: str
    swapped: bool
    since: float


class LabelQueue:
    """Hands out pairs, takes judgements, and undoes them; safe between threads.

    Parameters
    ----------
    loop : LabelLoop
        Over the pool of `texts`.
    texts : Texts
    out : Path
        Table of labels, one JSON line each; the journal lies beside it, as
        NAME.journal.jsonl, and the table can be made from it again.
    settings : QueueSettings, optional
    clock : callable, optional
        Returns seconds of the epoch.

    Attributes
    ----------
    measured : dict
        Figures of the head of the last fit, as `measure` has them.
    curve : list of dict
        Such figures after each fit of all sessions: the budget curve.
    """

    def __init__(
        self,
        loop: LabelLoop,
        texts: Texts,
        out: Path,
        settings: QueueSettings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.loop, self.texts, self.out = loop, texts, out
        self.settings = QueueSettings() if settings is None else settings
        self.lock = threading.RLock()
        self._clock = clock
        self._tasks: dict[str, Task] = {}
        self._waiting: list[str] = []
        self._shown: dict[str, Shown] = {}
        self._judged: dict[str, dict[str, dict[str, Any]]] = {}
        self._order: list[dict[str, Any]] = []
        self._undone: dict[str, str | None] = {}
        self.measured: dict[str, Any] = {"n": 0, "n_prompts": 0} | dict.fromkeys(
            ("order_consistency", "low", "high")
        )
        self.curve: list[dict[str, Any]] = []
        self.journal = Journal(journal_of(out))
        for event in self.journal.events:
            self._replay(event)
        self._hand_over()
        self.write_table()

    def next(self, annotator: str) -> Shown | None:
        """Show an annotator the next pair: the same one until it is judged.

        Returns
        -------
        Shown or None
            None where there is no pair left.
        """
        with self.lock:
            shown = self._shown.get(annotator)
            if shown is None:
                shown = self._choose(annotator)
                if shown is not None:
                    # Or a judgement that arrives after a restart would be of nothing.
                    event = {
                        "event": "shown",
                        "annotator": annotator,
                        **asdict(shown),
                        "time": shown.since,
                    }
                    self.journal.append(event)
                    self._replay(event)
            return shown

    def judge(
        self, annotator: str, key: str, winner: str, details: Mapping[str, Any]
    ) -> bool:
        """Take a judgement; it is on disk when this returns.

        Parameters
        ----------
        annotator, key : str
            Who judged, and the `key` of what was shown.
        winner : {"first", "second", "tie", "both bad", "skip"}
            "first" is what stood first on the screen.
        details : mapping
            Further columns, such as `seconds` and `comment`.

        Returns
        -------
        bool
            False where the same judgement had been taken before, as happens when an
            answer is lost and the page sends again.

        Raises
        ------
        InvalidInputError
            If this pair was judged otherwise, or was not shown to the annotator.
        """
        with self.lock:
            before = self._judged.get(annotator, {}).get(key)
            if before is not None:
                if before["screen"] == winner:
                    return False
                raise _refused("judged already, in another way", "undo it first")
            shown = self._shown.get(annotator)
            if shown is None or shown.key != key:
                raise _refused("not on this annotator's screen", "ask for the next")
            event = self._event(annotator, shown, winner, details)
            self.journal.append(event)
            self._replay(event)
            if event["event"] == "label" and event["kind"] != "attention":
                self._learn(event)
                append_line(self.out, self._row(event))
            return True

    def undo(self, annotator: str, request: str | None = None) -> Shown | None:
        """Take back an annotator's last judgement, and show that pair again.

        Parameters
        ----------
        annotator : str
        request : str, optional
            Names this request: sent again, as when its answer was lost, it takes back
            nothing more.

        Returns
        -------
        Shown or None
            None where there is nothing to take back.
        """
        with self.lock:
            if request is not None and self._undone.get(annotator) == request:
                return self.next(annotator)
            mine = [e for e in self._order if e["annotator"] == annotator]
            if not mine:
                return None
            event = {
                "event": "undo",
                "key": mine[-1]["key"],
                "annotator": annotator,
                "time": self._clock(),
                "request": request,
            }
            self.journal.append(event)
            self._replay(event)
            self._hand_over()
            self.write_table()
            return self._shown[annotator]

    def labels(self, *, repeats: bool = False) -> list[dict[str, Any]]:
        """List the judgements that stand, skips left out, in order of time."""
        with self.lock:
            return [
                event
                for event in self._order
                if event["event"] == "label"
                and (repeats or event["kind"] != "attention")
            ]

    def write_table(self) -> None:
        """Write the table of labels from the journal."""
        write_lines(self.out, [self._row(event) for event in self.labels()])

    def drop_waiting(self) -> None:
        """Forget proposals that no one has seen, as a new belief has better ones."""
        with self.lock:
            self._waiting.clear()

    def n_pairs_left(self) -> int:
        """Count the pairs of the pool that have no label yet."""
        with self.lock:
            n = len(self.loop.pool)
            return self.loop.n_pairs - len(np.unique(pair_keys(self.loop.ids, n)))

    def note_measured(self, point: Mapping[str, Any]) -> None:
        """Keep figures of a new fit, as a point of the budget curve."""
        with self.lock:
            self.measured = dict(point)
            before = self.curve[-1]["n_labels"] if self.curve else 0
            if point["low"] is None or point["n_labels"] == before:
                return
            # A fit may end after the session.
            if not self.journal.closed:
                event = {"event": "measured", "time": self._clock(), **point}
                self.journal.append(event)
                self._replay(event)

    def close(self) -> None:
        """Write the table, and let go of the journal; once is enough."""
        with self.lock:
            if self.journal.closed:
                return
            self.write_table()
            self.journal.close()

    def _choose(self, annotator: str) -> Shown | None:
        mine = self._judged.get(annotator, {})
        # By chance, but the same at a reload: no pair can be had by asking again.
        n = sum(e["annotator"] == annotator for e in self._order)
        chance = random.Random(f"{self.settings.seed}/{annotator}/{n}")  # noqa: S311
        draw = chance.random()
        if draw < self.settings.attention:
            repeat = self._repeat(annotator, chance)
            if repeat is not None:
                return repeat
        if draw < self.settings.attention + self.settings.overlap:
            others = self._of_others(annotator)
            if others:
                return self._show(annotator, chance.choice(others), "overlap")
        self._release()
        while True:
            if not self._waiting and not self._propose():
                return None
            key = self._waiting.pop(0)
            if key not in mine:
                return self._show(annotator, self._tasks[key], "new")

    def _show(self, annotator: str, task: Task, kind: str, repeat: int = 0) -> Shown:
        key = f"{task.id}~{repeat}" if repeat else task.id
        swapped = is_swapped(self.settings.seed, task.id, annotator, repeat)
        return Shown(key, task, kind, swapped, self._clock())

    def _repeat(self, annotator: str, chance: random.Random) -> Shown | None:
        """Find a pair that this annotator judged a while ago, to show it again."""
        mine = [e for e in self.labels(repeats=True) if e["annotator"] == annotator]
        keys = {e["key"] for e in mine}
        old = mine[: max(0, len(mine) - self.settings.attention_after)]
        fresh = [e for e in old if "~" not in e["key"] and f"{e['key']}~1" not in keys]
        if not fresh:
            return None
        task = self._tasks[chance.choice(fresh)["key"]]
        return self._show(annotator, task, "attention", 1)

    def _of_others(self, annotator: str) -> list[Task]:
        """List what one other annotator has judged, and this one has not."""
        counts = Counter(event["key"] for event in self.labels())
        mine = self._judged.get(annotator, {})
        on_screen = {shown.key for shown in self._shown.values()}
        return [
            self._tasks[key]
            for key, n in counts.items()
            if n == 1 and key not in mine and key not in on_screen
        ]

    def _release(self) -> None:
        """Give pairs that someone has left on the screen to others."""
        now = self._clock()
        for name, shown in list(self._shown.items()):
            if now - shown.since > self.settings.lease_seconds:
                del self._shown[name]
                if shown.kind == "new":
                    self._waiting.insert(0, shown.key)

    def _propose(self) -> bool:
        """Ask the strategy for more pairs; say whether there are any."""
        seen = {k for judged in self._judged.values() for k in judged if "~" not in k}
        seen |= {s.task.id for s in self._shown.values()}
        labelled = {(int(i), int(j)) for i, j in self.loop.ids}
        tasks = [self._tasks[key] for key in seen]
        pending = [
            (t.first, t.second) for t in tasks if (t.first, t.second) not in labelled
        ]
        found = propose_tasks(
            self.loop,
            self.texts,
            self.settings.batch,
            np.array(pending, dtype=np.intp).reshape(-1, 2),
        )
        self._tasks |= {task.id: task for task in found}
        self._waiting += [task.id for task in found]
        return bool(found)

    def _event(
        self, annotator: str, shown: Shown, winner: str, details: Mapping[str, Any]
    ) -> dict[str, Any]:
        skipped = winner == "skip"
        if not skipped and winner not in WINNERS:
            raise _refused(f"no answer: {winner[:20]!r}", "send one of the answers")
        turned = {"first": "second", "second": "first"}
        return {
            "event": "skip" if skipped else "label",
            "key": shown.key,
            "annotator": annotator,
            "screen": winner,
            "winner": turned.get(winner, winner) if shown.swapped else winner,
            "position": "second first" if shown.swapped else "first first",
            "kind": shown.kind,
            "time": self._clock(),
            "task": shown.task.to_json(),
            **details,
        }

    def _replay(self, event: dict[str, Any]) -> None:
        """Do in memory what an event says."""
        if event["event"] == "measured":
            self.curve.append(event)
            return
        annotator, key = event["annotator"], event["key"]
        if event["event"] == "undo":
            undone = self._judged[annotator].pop(key)
            self._undone[annotator] = event.get("request")
            self._order.remove(undone)
            task = self._tasks[undone["task"]["id"]]
            swapped = undone["position"] == "second first"
            back = Shown(key, task, undone["kind"], swapped, event["time"])
            before = self._shown.get(annotator)
            if before is not None and before.kind == "new":
                self._waiting.insert(0, before.key)
            self._shown[annotator] = back
            return
        task = Task(**event["task"])
        self._tasks[task.id] = task
        if event["event"] == "shown":
            sides, since = event["swapped"], event["since"]
            self._shown[annotator] = Shown(key, task, event["kind"], sides, since)
            return
        self._judged.setdefault(annotator, {})[key] = event
        self._order.append(event)
        self._shown.pop(annotator, None)

    def _learn(self, event: Mapping[str, Any]) -> None:
        task = event["task"]
        self.loop.add(
            [[task["first"], task["second"]]],
            [WINNERS[event["winner"]]],
            is_random=[task["strategy"] == "random"],
            held_out=[task["held_out"]],
        )

    def _hand_over(self) -> None:
        """Give the loop the labels that stand."""
        self.loop.forget_labels()
        for event in self.labels():
            self._learn(event)

    def _row(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Write a label as a row of the table, which `embrm fit` reads."""
        task = Task(**event["task"])
        skipped = ("event", "key", "task", "screen", "winner", "kind")
        others = {name: v for name, v in event.items() if name not in skipped}
        return {
            "prompt": self.texts.prompt(task.first),
            "first": self.texts.response(task.first),
            "second": self.texts.response(task.second),
            "winner": event["winner"],
            **others,
            "pair_id": task.id,
            "strategy": task.strategy,
            "propensity": task.propensity,
            "held_out": task.held_out,
        }


def journal_of(out: Path) -> Path:
    """Name the journal of a table of labels.

    Examples
    --------
    >>> journal_of(Path("my.jsonl")).name
    'my.journal.jsonl'
    """
    return out.with_name(f"{out.stem}.journal.jsonl")


def _refused(got: str, fix: str) -> InvalidInputError:
    return invalid_input(
        expected="a judgement of the pair on the screen", got=got, fix=fix
    )
