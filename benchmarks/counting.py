"""Counts of trials that go on where they were stopped."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_EXAMPLES = 20


def keep_counting(
    out: Path, name: str, target: int, until: float, block: Callable[[int], dict]
) -> dict[str, Any]:
    """Run blocks of trials until so many are counted, or time is over.

    A block takes the number of its first trial. It returns counts, "trials" among them,
    and lists of what went wrong. They are added to what is kept under a name, after
    each block, so that a run which was stopped goes on.

    Parameters
    ----------
    out : Path
        JSON file of one object.
    name : str
        Of the counts in it.
    target : int
    until : float
        Of `time.monotonic`.
    block : callable
    """
    while True:
        kept = json.loads(out.read_text()) if out.exists() else {}
        total: dict[str, Any] = kept.setdefault(name, {"trials": 0})
        if total["trials"] >= target or time.monotonic() > until:
            return total
        for key, value in block(total["trials"]).items():
            if isinstance(value, list):
                total[key] = (total.get(key, []) + value)[:_EXAMPLES]
            elif key.startswith("slowest"):
                total[key] = max(total.get(key, 0.0), value)
            else:
                total[key] = total.get(key, 0) + value
        total["measured"] = datetime.now(UTC).isoformat(timespec="seconds")
        fresh = out.with_suffix(".part")
        fresh.write_text(json.dumps(kept, indent=1) + "\n")
        fresh.replace(out)
        print(name, json.dumps(total), flush=True)
