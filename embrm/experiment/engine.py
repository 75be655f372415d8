"""Experiment: quality of reward models over a grid of ways to collect labels."""

import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from joblib import Parallel, delayed, effective_n_jobs

from embrm._validation import check_choice, check_count, check_level
from embrm.embed.progress import progress_bar
from embrm.exceptions import InvalidInputError, invalid_input
from embrm.experiment._cell import Cell, Failure, clear_caches, one_thread, run_cell
from embrm.experiment._storage import (
    CellRecord,
    CellStore,
    remove_leftovers,
    write_pool,
)
from embrm.experiment.evaluator import EvaluationSettings
from embrm.experiment.factors import (
    AtErrorRate,
    Factor,
    annotators_of,
    counts_of,
    designs_of,
    digest_of,
    heads_of,
)
from embrm.experiment.grid import Factors, Grid, RunPaths
from embrm.pool import CandidatePool, require_gold
from embrm.simulate.annotation import Annotator
from embrm.simulate.design import PairingDesign

SECONDS = ("fit_seconds", "score_seconds")
"""The columns that two runs of the same cells do not have in common."""


class Experiment:
    """Simulate, fit and score every combination of the levels of five factors.

    One cell: `design` draws `budget` pairs of the training pool, `annotator` labels
    them, `head` is fitted on that, and ranks the responses of the test pool. A seed
    draws the same pairs and labels for every head, and every head is evaluated
    on the same test pairs: differences between rows of one seed are paired.

    Parameters
    ----------
    train_pool, test_pool : CandidatePool
        With gold, of different prompts. Only gold is used of the test pool's labels,
        and every two responses to one prompt are a test pair.
    designs : mapping of str to PairingDesign, or sequence of them
        A sequence names its levels itself, e.g. "RankWindow(low=4, high=5)". A
        labelling strategy is a level as `embrm.active.StrategyDesign`.
    annotators : mapping of str to Annotator or AtErrorRate, or sequence of them
        `AtErrorRate(annotator, 0.3)` sets the noise so that 30% of the labels err on
        each design's pairs, by `calibrate(..., random_state=0)`.
    budgets : sequence of int >= 1
        Numbers of pairs.
    heads : mapping of str to head or name, or sequence of them
        Names as in `embrm.heads.registry.make_head`. Every `random_state` in a head,
        however deep, is set to the cell's seed.
    seeds : sequence of int >= 0, default=(0,)
        Each is the `random_state` of `simulate` and of the heads.
    best_of_n : sequence of int >= 1, default=(2, 4, 8, 16)
        Sizes of the choice for which the gold of the pick is computed.
    level : float in (0, 1), default=0.95
        Of the intervals.
    n_resamples : int >= 1, default=1000
        Of the test prompts, for the intervals.
    allow_shared_prompts : bool, default=False
        Whether prompt ids may occur in both pools: where they are mere numbers, equal
        ones need not be equal prompts.

    Raises
    ------
    InvalidInputError
        If a pool has no gold or another d than the other, if they share prompts, if a
        level is not what its factor takes, does not fit the training pool, or cannot
        be written down, such as a function: changes to it could not be detected.

    Notes
    -----
    A cell is named by the digest of all that decides its numbers: the parameters of
    its levels (not their names), the content of both pools, the seed, the settings
    and embrm's version. Changes in the code of your own classes are not seen: take
    another directory after one.

    Numbers do not depend on the number of workers, on the order of cells, on the
    threads of the machine, or on whether a run was killed and resumed: each cell is
    computed by one thread. Only the columns of seconds differ, which are last and are
    listed in `SECONDS`.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm import CandidatePool
    >>> from embrm.simulate import BradleyTerryAnnotator, CrossPrompt, SamePrompt
    >>> rng = np.random.default_rng(0)
    >>> items = rng.normal(size=(600, 4))
    >>> prompts, gold = np.repeat(np.arange(100), 6), items @ [1.0, -1.0, 0.5, 0.0]
    >>> pool = CandidatePool(items, prompts, gold=gold)
    >>> experiment = Experiment(
    ...     pool[np.arange(60)],
    ...     pool[np.arange(60, 100)],
    ...     designs=[SamePrompt(), CrossPrompt()],
    ...     annotators={
    ...         "careful": AtErrorRate(BradleyTerryAnnotator(), 0.1),
    ...         "hasty": AtErrorRate(BradleyTerryAnnotator(), 0.4),
    ...     },
    ...     budgets=[300],
    ...     heads=["linear"],
    ... )
    >>> experiment
    Experiment(2 designs x 2 annotators x 1 budget x 1 head x 1 seed = 4 cells)
    >>> table = experiment.run()
    >>> table[["design", "annotator", "error_rate", "order_consistency"]].round(2)
            design annotator  error_rate  order_consistency
    0   SamePrompt   careful        0.10               0.98
    1   SamePrompt     hasty        0.43               0.85
    2  CrossPrompt   careful        0.12               0.99
    3  CrossPrompt     hasty        0.43               0.96
    """

    def __init__(
        self,
        train_pool: CandidatePool,
        test_pool: CandidatePool,
        *,
        designs: Factor | PairingDesign,
        annotators: Factor | Annotator | AtErrorRate,
        budgets: Iterable[int] | int,
        heads: Factor | str,
        seeds: Iterable[int] | int = (0,),
        best_of_n: Iterable[int] | int = (2, 4, 8, 16),
        level: float = 0.95,
        n_resamples: int = 1000,
        allow_shared_prompts: bool = False,
    ) -> None:
        _check_pools(train_pool, test_pool, allow_shared_prompts=allow_shared_prompts)
        self._grid = Grid(
            (train_pool, test_pool),
            designs_of(designs),
            annotators_of(annotators),
            counts_of(budgets, "budgets", 1),
            heads_of(heads),
            counts_of(seeds, "seeds", 0),
            EvaluationSettings(
                counts_of(best_of_n, "best_of_n", 1),
                check_level(level),
                check_count(n_resamples, "n_resamples"),
            ),
        )

    def __len__(self) -> int:
        return len(self._grid)

    def __repr__(self) -> str:
        return f"Experiment({self._grid!r} = {len(self)} cells)"

    def run(
        self,
        directory: str | Path | None = None,
        *,
        n_jobs: int | None = None,
        progress: bool | None = None,
        on_error: Literal["row", "raise"] = "row",
    ) -> pd.DataFrame:
        """Compute the cells that the directory does not have; return the table of all.

        Parameters
        ----------
        directory : path, optional
            Where finished cells are kept, each stored at once. A run that was killed
            continues from there; a larger grid computes what is new. A damaged cell is
            computed again, with a warning. None means a temporary directory.
        n_jobs : int, optional
            Workers, as joblib counts them: -1 for all processors. None means one, or
            the setting of `joblib.parallel_config`.
        progress : bool, optional
            False silences the bar, which shows where stderr is a terminal.
        on_error : {"row", "raise"}, default="row"
            "row": a cell that fails is a row with `error_type` and `error`, and is
            tried again in the next run. "raise": the first error ends the run.

        Returns
        -------
        pandas.DataFrame
            A row for each cell, heads innermost. Its columns:

            - design, annotator, budget, head, seed, target_error_rate;
            - of the pairs drawn: n_pairs, error_rate (realised), expected_error_rate,
              scale, cross_prompt_share, mean_abs_delta, n_items, n_prompts;
            - n_test_pairs, and order_consistency with gold on these; kendall and
              spearman, of reward and gold within prompts; annotator_log_loss, in nats,
              of the head on the annotator's labels of the test pairs: each with _low
              and _high from resampled prompts;
            - annotator_entropy, below which that loss cannot be;
              annotator_calibration_error, on the winner's side (NaN, all of these,
              where the annotator cannot label the test pool);
            - best_of_N: exact expected gold of the best of N by reward;
              best_of_N_regret, against the best by gold; best_of_N_recovery, the share
              of what that gains over a random pick;
            - warnings, error_type, error: "" where there are none;
            - fit_seconds, score_seconds: of the run that computed the cell.

        Raises
        ------
        EmbrmError
            If the directory cannot be written, or, with on_error="raise", any error.

        Notes
        -----
        Vectors are written to the directory once, as raw bytes, and mapped into memory
        by all workers; a task is a few kilobytes. On a Ray cluster the directory must
        be one that all nodes see::

            from joblib import parallel_config
            from ray.util.joblib import register_ray

            register_ray()
            one_each = {"num_cpus": 1}  # or all workers may land on one node
            with parallel_config("ray", n_jobs=-1, ray_remote_args=one_each):
                table = experiment.run("/shared/experiment")
        """
        check_choice(on_error, "on_error", ("row", "raise"))
        with ExitStack() as stack:
            if directory is None:
                directory = stack.enter_context(
                    tempfile.TemporaryDirectory(prefix="embrm-experiment-")
                )
            stack.enter_context(one_thread())
            stack.callback(clear_caches)
            paths = self._store_pools(Path(directory).absolute())
            results = self._results(paths, n_jobs, progress, on_error == "raise")
        rows = (
            _row(at, self._grid.annotators[at.annotator].target, result)
            for at, result in results.items()
        )
        return _table(rows, self._grid.settings)

    def _store_pools(self, directory: Path) -> RunPaths:
        """Store both pools, and make the directory of cells."""
        for name in ("pools", "cells"):
            remove_leftovers(directory / name)
        train, test = (
            write_pool(pool, digest, directory / "pools")
            for pool, digest in zip(self._grid.pools, self._grid.digests, strict=True)
        )
        return RunPaths(train, test, CellStore.create(directory / "cells").directory)

    def _results(
        self, paths: RunPaths, n_jobs: int | None, show: bool | None, raise_errors: bool
    ) -> dict[Factors, CellRecord | Failure]:
        """Load what is stored, compute the rest."""
        keys = {at: digest_of(self._grid.content(at)) for at in self._grid}
        # Levels of two names may be the same: each cell is computed once.
        factors_of_key = {key: at for at, key in keys.items()}
        found: dict[str, CellRecord | Failure] = {}
        cells: dict[str, Cell] = {}
        store = CellStore(paths.store)
        for key, at in factors_of_key.items():
            record = store.load(key)
            if record is not None:
                found[key] = record
                continue
            try:
                cells[key] = self._grid.cell(at, paths)
            except InvalidInputError as error:
                if raise_errors:
                    raise
                found[key] = Failure.of(error)
        bar = progress_bar("Computing cells", total=len(cells), show=show)
        # Where workers are threads they share the filters of warnings: restore them.
        with bar as advance, warnings.catch_warnings():
            for key, result in _computed(cells, n_jobs, raise_errors):
                found[key] = result
                advance()
        return {at: found[key] for at, key in keys.items()}


def _check_pools(
    train_pool: CandidatePool, test_pool: CandidatePool, *, allow_shared_prompts: bool
) -> None:
    """Refuse pools without gold, of different d, or with prompts in common."""
    for pool in (train_pool, test_pool):
        require_gold(pool, "an experiment")
    d_train, d_test = train_pool.items.shape[1], test_pool.items.shape[1]
    if d_train != d_test:
        raise invalid_input(
            "two pools with vectors of the same encoder",
            f"d = {d_train} in train_pool, d = {d_test} in test_pool",
            "embed both with one encoder",
        )
    shared = set(train_pool.prompts.tolist()) & set(test_pool.prompts.tolist())
    if shared and not allow_shared_prompts:
        raise invalid_input(
            "a test_pool with other prompts than the train_pool",
            f"{len(shared)} prompt ids that are in both",
            "split by prompt: pool[train_prompts], pool[test_prompts]; if equal ids "
            "are different prompts, pass allow_shared_prompts=True",
        )


def _computed(
    cells: Mapping[str, Cell], n_jobs: int | None, raise_errors: bool
) -> Iterator[tuple[str, CellRecord | Failure]]:
    """Compute cells; give results as soon as joblib's backend does, in any order."""
    tasks = [
        delayed(_with_key)(key, cell, raise_errors=raise_errors)
        for key, cell in cells.items()
    ]
    # What an annotator brings per item is mapped, too, not sent with every task.
    settings: dict[str, Any] = {"n_jobs": n_jobs, "max_nbytes": "64K"}
    try:
        parallel = Parallel(return_as="generator_unordered", **settings)
    except ValueError:
        # Process pools, and Ray's, give nothing before all is done: slice by slice.
        with Parallel(**settings) as parallel:
            step = _CELLS_PER_WORKER * effective_n_jobs(parallel.n_jobs)
            for start in range(0, len(tasks), step):
                yield from parallel(tasks[start : start + step])
    else:
        yield from parallel(tasks)


def _with_key(
    key: str, cell: Cell, *, raise_errors: bool
) -> tuple[str, CellRecord | Failure]:
    return key, run_cell(cell, raise_errors=raise_errors)


def _columns(settings: EvaluationSettings) -> list[str]:
    """List the columns, factors first and seconds last."""
    intervals = [
        f"{name}{end}" for name in _WITH_INTERVAL for end in ("", "_low", "_high")
    ]
    picks = [
        f"best_of_{n}{end}"
        for n in settings.best_of_n
        for end in ("", "_regret", "_recovery")
    ]
    return [
        *Factors.__dataclass_fields__,
        "target_error_rate",
        *_DRAWN,
        "n_test_pairs",
        *intervals,
        "annotator_entropy",
        "annotator_calibration_error",
        *picks,
        *_WORDS,
        *SECONDS,
    ]


def _row(
    factors: Factors, target: float, result: CellRecord | Failure
) -> Mapping[str, Any]:
    """Write what came out of a cell as a row."""
    words = dict.fromkeys(_WORDS, "")
    row = {**words, **asdict(factors), "target_error_rate": target, **result.row}
    if isinstance(result, Failure):
        return {**row, "error_type": result.kind, "error": result.message}
    return {**row, **result.seconds}


def _table(
    rows: Iterable[Mapping[str, Any]], settings: EvaluationSettings
) -> pd.DataFrame:
    """Make the table, NaN where a number is missing."""
    table = pd.DataFrame(list(rows), columns=_columns(settings))
    numbers = [name for name in table if name not in (*_WORDS, *_TEXT_FACTORS)]
    # Where every cell failed, a column of nothing would be of no type.
    empty = [name for name in numbers if table[name].isna().all()]
    return table.astype(dict.fromkeys(empty, "float64"))


_DRAWN = (
    "n_pairs",
    "error_rate",
    "expected_error_rate",
    "scale",
    "cross_prompt_share",
    "mean_abs_delta",
    "n_items",
    "n_prompts",
)
_WITH_INTERVAL = ("order_consistency", "kendall", "spearman", "annotator_log_loss")
_WORDS = ("warnings", "error_type", "error")
_TEXT_FACTORS = ("design", "annotator", "head")
_CELLS_PER_WORKER = 16
