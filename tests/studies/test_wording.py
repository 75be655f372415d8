"""Names of metrics and cells."""

import pandas as pd

from embrm.studies.wording import cells_of, recovery_of


def test_where_all_cells_failed_the_largest_choice_is_named():
    """Contrasts of it are empty, and no error."""
    failed = pd.DataFrame({"best_of_4_recovery": [float("nan")]})
    assert recovery_of(failed) == "best_of_4_recovery"


def test_cells_are_counted_with_their_levels(made_up):
    """Each factor that they vary in."""
    words = cells_of(made_up(parts=("b",)))
    assert words == (
        "108 paired cells: noise 10%, 20%, 40%; budgets 100, 400; heads linear, "
        "logistic; 3 seeds"
    )
