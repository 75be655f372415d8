"""Run the grids of a study, one split of the prompts after the other."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from embrm.studies.levels import noise_name
from embrm.studies.parts import Part
from embrm.studies.splits import Split

if TYPE_CHECKING:
    import pandas as pd

_NO_DIVERSITY = "all"


def run_part(
    part: Part,
    splits: Sequence[Split],
    directory: Path,
    *,
    n_jobs: int,
    show: bool | None = None,
) -> "pd.DataFrame":
    """Compute the cells that a directory does not have; return the table of all.

    Parameters
    ----------
    part : Part
    splits : sequence of Split
    directory : Path
        Where finished cells are kept; grids may share it.
    n_jobs : int
        Cells at a time.
    show : bool, optional
        False silences the progress bars, one for each split.

    Returns
    -------
    pandas.DataFrame
        As of `Experiment.run`, with these columns before it: part; noise, the error
        rate that the annotator's name stands for; diversity, which the designs of
        study c have before a comma.
    """
    import pandas as pd

    frames = []
    for split in splits:
        experiment = part.experiment(split)
        frames.append(experiment.run(directory, n_jobs=n_jobs, progress=show))
    return tidy(pd.concat(frames, ignore_index=True), part)


def tidy(frame: "pd.DataFrame", part: Part) -> "pd.DataFrame":
    """Add what the levels of a grid stand for.

    Examples
    --------
    >>> import pandas as pd
    >>> part = Part("c", "", {}, (0.05, 0.25), False, (100,), {}, 10)
    >>> cells = {"design": ["similar, same-prompt"], "annotator": ["errs 25%"]}
    >>> tidy(pd.DataFrame(cells), part)[["part", "noise", "diversity", "design"]]
      part  noise diversity       design
    0    c   0.25   similar  same-prompt
    """
    made = frame.copy()
    rates = {noise_name(rate): rate for rate in part.noise}
    words = made["design"].str.rpartition(", ")
    made["design"] = words[2]
    diversity = words[0].where(words[0] != "", _NO_DIVERSITY)
    made.insert(0, "part", part.name)
    made.insert(1, "noise", made["annotator"].map(rates))
    made.insert(2, "diversity", diversity)
    return made
