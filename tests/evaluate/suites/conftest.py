"""Score tables, written as mappings."""

import pandas as pd
import pytest


@pytest.fixture
def rewards():
    """Make a score table of {id: {item: reward}}; a list is of one item's indices."""

    def table(by_id, **columns):
        records = []
        for identity, items in by_id.items():
            for item, value in items.items():
                listed = isinstance(value, list)
                for k, reward in enumerate(value if listed else [value]):
                    name = f"{item}[{k}]" if listed else item
                    records.append({"id": identity, "item": name, "reward": reward})
        return pd.DataFrame(records).assign(**columns)

    return table


@pytest.fixture
def verdicts():
    """Make a judge's table of {id: (winner, winner of the swapped order)}."""

    def table(by_id):
        return pd.DataFrame(
            [
                {"id": identity, "order": order, "winner": winner}
                for identity, winners in by_id.items()
                for order, winner in zip(("AB", "BA"), winners, strict=False)
            ]
        )

    return table
