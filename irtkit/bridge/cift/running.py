"""Running the cells of a CIFT experiment: one pre-trained classifier after the other.

Processes that share a folder take turns by start, that is by pre-trained classifier (size and
seed): each runs the cells of a start that no other has, and waits at the end for those that others
have.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from irtkit.bridge.cift.cells import (
    Cell,
    finetuned,
    measured,
    pretrained,
    read_cell,
    run_record,
    start_folder,
    trained_again,
    write_cell,
)
from irtkit.bridge.cift.plan import CiftPlan, Treatment
from irtkit.bridge.training.train import TrainingRun
from irtkit.io.locks import turn

FOLDERS = ("cells", "rates", "pretrained", "turns")
Start = tuple[int, int]  # size, seed


@dataclass(slots=True)
class Running:
    """One process's work in the folder of an experiment.

    Attributes
    ----------
    plan : CiftPlan
    folder : path
    plan_hash : str
    other : (Start, TrainingRun) or None
        A start of another seed that was pre-trained here to choose learning rates.
    """

    plan: CiftPlan
    folder: Path
    plan_hash: str
    other: tuple[Start, TrainingRun] | None = field(default=None)

    def cells(self, cells: Sequence[Cell]) -> Iterator[Cell]:
        """Run cells that are not done; yield each once it is, here or elsewhere."""
        starts: dict[Start, list[Cell]] = {}
        for cell in cells:
            starts.setdefault((cell.size, cell.seed), []).append(cell)
        for wait in (False, True):
            for start in list(starts):
                if not wait and self.is_chosen_elsewhere(starts[start]):
                    continue
                with turn(self.lock(start), wait=wait) as mine:
                    if mine:
                        yield from self.start(starts.pop(start))

    def lock(self, start: Start) -> Path:
        """Name the lock of a start."""
        return self.folder / "turns" / f"size-{start[0]}_seed-{start[1]}"

    def is_chosen_elsewhere(self, cells: Sequence[Cell]) -> bool:
        """Tell whether another process is choosing the learning rates of these cells."""
        design, cell = self.plan.design, cells[0]
        if design.tuning == "each" or cell.seed == design.seeds[0]:
            return False
        with turn(self.lock((cell.size, design.seeds[0])), wait=False) as free:
            return not free

    def start(self, cells: Sequence[Cell]) -> Iterator[Cell]:
        """Run the cells of one pre-trained classifier."""
        start: TrainingRun | None = None
        last: tuple[Treatment, TrainingRun, int] | None = None  # the second training goes on
        for cell in cells:
            path = cell.file(self.folder, self.plan_hash)
            if not path.exists():
                began = time.process_time()
                start = start or pretrained(self.plan, cell, start_folder(cell, self.folder))
                if last is None or last[0] != cell.treatment:
                    last = (cell.treatment, *self.trained(cell, start))
                write_cell(path, cell, self.result(cell, start, *last[1:]), began)
            yield cell
        if start is not None:
            shutil.rmtree(start_folder(cells[0], self.folder))

    def trained(self, cell: Cell, start: TrainingRun) -> tuple[TrainingRun, int]:
        """Fine-tune as the cell says; return the run and how many examples it had."""
        if cell.treatment.training == "none":
            return start, 0
        run, examples = finetuned(self.plan, cell, start.classifier, self.rates(cell, start))
        return run, len(examples.rows)

    def result(
        self, cell: Cell, start: TrainingRun, run: TrainingRun, n_examples: int
    ) -> dict[str, Any]:
        """Measure, after a second training where the cell says so."""
        tuned = None if cell.treatment.training == "none" else run_record(run)
        classifier, second = run.classifier, None
        if cell.again:
            again = trained_again(self.plan, cell, classifier, start.method.epochs)
            classifier, second = again.classifier, run_record(again)
        return {
            "n_examples": n_examples,
            "pretraining": run_record(start),
            "finetuning": tuned,
            "second": second,
            **measured(self.plan, cell, classifier),
        }

    def rates(self, cell: Cell, start: TrainingRun) -> tuple[float, ...]:
        """Return the learning rates that a cell tries: all, or the one chosen for its like."""
        design = self.plan.design
        if design.tuning == "each" or len(design.learning_rates) == 1:
            return design.learning_rates
        first = first_of(self.plan, cell)
        path = self.folder / "rates" / first.file(self.folder, self.plan_hash).name
        if not path.exists():
            began = time.process_time()
            chosen = start if cell.seed == first.seed else self.elsewhere(first)
            run, _ = finetuned(self.plan, first, chosen.classifier, design.learning_rates)
            write_cell(path, first, {"finetuning": run_record(run)}, began)
        return (read_cell(path)["finetuning"]["learning_rate"],)

    def elsewhere(self, cell: Cell) -> TrainingRun:
        """Pre-train the start of another seed, once."""
        start = (cell.size, cell.seed)
        if self.other is None or self.other[0] != start:
            self.other = (start, pretrained(self.plan, cell, None))
        return self.other[1]


def first_of(plan: CiftPlan, cell: Cell) -> Cell:
    """Return the cell that chooses the learning rate for this one."""
    held = cell.treatment.held_out and next(iter(plan.groups))
    treatment = replace(cell.treatment, held_out=held)
    return Cell(cell.size, plan.design.seeds[0], treatment)
