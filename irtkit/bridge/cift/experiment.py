"""Crowd-informed fine-tuning (CIFT) as one experiment, from plan to tables.

For each seed and size a classifier is pre-trained on a sample of the source; each treatment
fine-tunes a copy of it, which is scored on the scales that were held out and on test sets. Each
cell's result is one file; `run_cift` skips those that are there, so that a run that was killed
goes on where it was, and several processes may share one folder.

References
----------
Lalor, J. P., Wu, H., & Yu, H. (2018). Soft label memorization-generalization for natural language
    inference. arXiv:1702.08563.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from irtkit.bridge.cift.cells import Cell, read_cell
from irtkit.bridge.cift.plan import CiftPlan, treatments
from irtkit.bridge.cift.running import FOLDERS, Running
from irtkit.bridge.cift.tables import (
    change_table,
    control_table,
    curve_table,
    effect_table,
    score_table,
    test_table,
)
from irtkit.bridge.training import checkpoints
from irtkit.errors import ModelError, listing
from irtkit.io.files import check_target
from irtkit.io.locks import turn

SCHEMA = "irtkit/cift/1"
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class CiftResult:
    """The tables of an experiment, as far as its cells are done.

    Attributes
    ----------
    scores : DataFrame
        One row a cell and held-out scale: theta, standard_error, percentile with its interval,
        percentile_empirical, accuracy, ceiling and floor flags.
    curves : DataFrame
        Means of the scores over seeds, with 95% intervals: what `plots.finetuning_curve` draws.
    tests : DataFrame
        One row a cell and test set: accuracy, calibration_error, brier, log_loss and, against
        the crowd, crowd_kl and crowd_distance.
    changes : DataFrame
        Paired changes against the baselines none, random and other: mean over seeds with its
        95% interval, for each size and scale. Percentiles are never averaged across scales.
    effects : DataFrame
        The 2 x 2 of target and loss: both main effects and their interaction, likewise paired.
    controls : DataFrame
        One row a scale and label: what always giving this label scores.
    n_done, n_cells : int
    """

    scores: pd.DataFrame
    curves: pd.DataFrame
    tests: pd.DataFrame
    changes: pd.DataFrame
    effects: pd.DataFrame
    controls: pd.DataFrame
    n_done: int
    n_cells: int


def run_cift(
    plan: CiftPlan,
    folder: str | Path,
    *,
    seeds: Sequence[int] | None = None,
    sizes: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> CiftResult:
    """Run the cells of an experiment that are not done yet, and tabulate all that are.

    Parameters
    ----------
    plan : CiftPlan
    folder : path
        Holds the results; the same call goes on after an interruption. Classifiers are kept
        there while their cells are run, and removed afterwards. Several processes may make the
        same call: they share the work.
    seeds, sizes : sequence of int, optional
        Run those of the design alone.
    progress : callable, optional
        Called after each cell with the number of cells done in this call and of all.

    Returns
    -------
    CiftResult

    Raises
    ------
    ModelError
        If a seed or size is not the design's.
    FileError
        If the folder holds another experiment: other data, encoder or training.
    """
    folder = Path(folder)
    plan_hash = _claim(plan, folder)
    cells = plan_cells(plan, seeds=seeds, sizes=sizes)
    running = Running(plan, folder, plan_hash)
    for n_done, _ in enumerate(running.cells(cells), start=1):
        if progress is not None:
            progress(n_done, len(cells))
    return read_cift(plan, folder)


def read_cift(plan: CiftPlan, folder: str | Path) -> CiftResult:
    """Tabulate the cells that are done.

    Raises
    ------
    FileError
        If the folder holds another experiment.
    ScaleError
        If a result was changed or is damaged.
    """
    folder = Path(folder)
    plan_hash = _claim(plan, folder)
    cells = plan_cells(plan)
    files = [cell.file(folder, plan_hash) for cell in cells]
    documents = [read_cell(path) for path in files if path.exists()]
    scores = score_table(documents, plan)
    tests = test_table(documents)
    return CiftResult(
        scores=scores,
        tests=tests,
        curves=curve_table(scores),
        changes=change_table(scores, tests),
        effects=effect_table(scores, tests),
        controls=control_table(plan),
        n_done=len(documents),
        n_cells=len(cells),
    )


def plan_cells(
    plan: CiftPlan, *, seeds: Sequence[int] | None = None, sizes: Sequence[int] | None = None
) -> list[Cell]:
    """List the cells of a plan, seed by seed, so that few seeds are complete early."""
    design = plan.design
    for name, given in (("seeds", seeds), ("sizes", sizes)):
        strange = [number for number in given or () if number not in getattr(design, name)]
        if strange:
            raise ModelError(
                f"The design has no {name} {listing(strange)}; it has "
                f"{listing(getattr(design, name), 12)}."
            )
    again = (False, True) if design.second_training else (False,)
    return [
        Cell(size, seed, treatment, second)
        for seed in (design.seeds if seeds is None else seeds)
        for size in (design.sizes if sizes is None else sizes)
        for treatment in treatments(plan)
        for second in again
    ]


def _claim(plan: CiftPlan, folder: Path) -> str:
    """Make the folder, or find that it holds this experiment; return the plan's hash."""
    identity = plan.identity()
    check_target(folder, overwrite=True, folder=True)
    folder.mkdir(exist_ok=True)
    with turn(folder, wait=True):  # another process may begin at the same time
        checkpoints.claim(folder, {"schema": SCHEMA, **identity})
        for name in FOLDERS:
            (folder / name).mkdir(exist_ok=True)
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
