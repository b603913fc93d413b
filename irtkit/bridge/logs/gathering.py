"""Answers from logs, one at a time -> `Responses`, one row a model.

`Gathering` numbers models and items as they come and holds four numbers an answer, no text.
`trials_joined` and `graded` are the rules by which several scores become one, and a score a
category; they take and return arrays.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from irtkit import storage
from irtkit.arrays import CodeArray, FloatArray, IntArray
from irtkit.bridge.logs.answers import Answer
from irtkit.bridge.logs.options import LogOptions
from irtkit.coding import MISSING
from irtkit.errors import PredictionError, count, listing, shown
from irtkit.responses import Responses

ROUNDING = 1e-9  # of means of trials: three thirds are one


@dataclass(slots=True)
class Gathering:
    """The answers of several logs, as columns of numbers.

    Parameters
    ----------
    options : LogOptions
    """

    options: LogOptions
    models: dict[str, int] = field(default_factory=dict)
    items: dict[str, int] = field(default_factory=dict)
    tasks: dict[str, None] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    other_texts: dict[str, None] = field(default_factory=dict)
    _rows: array[int] = field(default_factory=lambda: array("i"))
    _places: array[int] = field(default_factory=lambda: array("i"))
    _trials: array[int] = field(default_factory=lambda: array("q"))
    _sources: array[int] = field(default_factory=lambda: array("i"))
    _scores: array[float] = field(default_factory=lambda: array("d"))
    _texts: array[int] = field(default_factory=lambda: array("L"))

    def add(self, file: str, answers: Iterable[Answer]) -> int:
        """Take in the answers of a file; return how many there were."""
        before, source = len(self._scores), len(self.files)
        self.files.append(file)
        for answer in answers:
            self._take(answer, source)
        return len(self._scores) - before

    def _take(self, answer: Answer, source: int) -> None:
        named = self.options.item_names == "task" and answer.task
        item = f"{answer.task}/{answer.item}" if named else answer.item
        place = self.items.setdefault(item, len(self.items))
        if place == len(self._texts):
            self._texts.append(answer.text)
        elif answer.text and self._texts[place] not in (0, answer.text):
            self.other_texts[item] = None
        self.tasks[answer.task] = None
        self._rows.append(self.models.setdefault(answer.model, len(self.models)))
        self._places.append(place)
        self._trials.append(answer.trial)
        self._sources.append(source)
        self._scores.append(answer.score)

    def responses(self) -> Responses:
        """Make one row a model (or a trial of it) of all answers.

        Raises
        ------
        PredictionError
            If a model answers an item twice, or a score is no grade.
        """
        rows, places, trials, sources = (
            np.asarray(column, dtype=np.int64)
            for column in (self._rows, self._places, self._trials, self._sources)
        )
        scores = np.asarray(self._scores)
        rows, persons = self._persons(rows, trials)
        cells = rows * len(self.items) + places
        self._check_repeated(cells, trials, sources, persons)
        order = np.lexsort((sources, trials, cells))
        cells, scores = trials_joined(cells[order], trials[order], scores[order], self.options)
        rows, places = np.divmod(cells, len(self.items))
        items = tuple(self.items)
        self._check_grades(scores, rows, places, persons)
        codes = graded(scores, self.options)
        shape = (len(persons), len(items))
        return Responses(
            codes=storage.laid_out_long(
                codes, rows.astype(np.int32), places.astype(np.int32), shape
            ),
            persons=persons,
            items=items,
            categories=tuple(map(str, range(self.options.levels or 2))),
            notes=self._notes(scores),
        )

    def _persons(self, rows: IntArray, trials: IntArray) -> tuple[IntArray, tuple[str, ...]]:
        """Return the row of each answer, and the rows' names: models, or trials of them."""
        models = list(self.models)
        if self.options.epochs != "each" or not len(trials) or trials.min() == trials.max():
            return rows, tuple(models)
        known, trial = np.unique(trials, return_inverse=True)
        both, inverse = np.unique(rows * len(known) + trial, return_inverse=True)
        pairs = zip(*np.divmod(both, len(known)), strict=True)
        return inverse, tuple(f"{models[row]} (trial {known[at]})" for row, at in pairs)

    def _check_repeated(
        self, cells: IntArray, trials: IntArray, sources: IntArray, persons: tuple[str, ...]
    ) -> None:
        """Refuse several answers of a model to an item that are no trials, unless told."""
        if self.options.duplicates != "refuse":
            return
        order = np.lexsort((sources, trials, cells))
        same = (np.diff(cells[order]) == 0) & (np.diff(trials[order]) == 0)
        other_file = (np.diff(cells[order]) == 0) & (np.diff(sources[order]) != 0)
        again = np.flatnonzero(same | other_file)
        if not len(again):
            return
        items = list(self.items)
        first, second = order[again[0]], order[again[0] + 1]
        model, item = divmod(int(cells[first]), len(items))
        files = dict.fromkeys((self.files[sources[first]], self.files[sources[second]]))
        raise PredictionError(
            f"{count(len(again), 'answer')} to an item that the same model answers elsewhere, "
            f"first of {shown(persons[model])} to {shown(items[item])}, in "
            f"{' and '.join(files)}. Leave one of the logs out, or say which counts: --duplicates "
            "first, last or mean."
        )

    def _check_grades(
        self, scores: FloatArray, rows: IntArray, places: IntArray, persons: tuple[str, ...]
    ) -> None:
        """Refuse scores that the options do not make right, wrong or graded."""
        if self.options.threshold is not None:
            return
        between = (scores > ROUNDING) & (scores < 1 - ROUNDING)
        outside = (scores < -ROUNDING) | (scores > 1 + ROUNDING)
        bad = outside if self.options.levels is not None else between | outside
        if not bad.any():
            return
        at = int(np.flatnonzero(outside if outside.any() else bad)[0])
        where = "not from 0 to 1" if outside.any() else "strictly between 0 and 1"
        advice = (
            "Choose another score (--metric), or say from what score on an answer is right "
            "(--threshold)."
            if outside.any()
            else "Say from what score on an answer is right (--threshold 0.5), or how many "
            "ordered categories to make (--levels 3)."
        )
        raise PredictionError(
            f"{int(bad.sum()):,} of {len(scores):,} scores are {where}, first {scores[at]:.6g} of "
            f"{shown(persons[rows[at]])} on {shown(list(self.items)[places[at]])}; an answer is "
            f"right (1) or wrong (0). {advice}"
        )

    def _notes(self, scores: FloatArray) -> tuple[str, ...]:
        lacking = int(np.isnan(scores).sum())
        notes = []
        if self.options.threshold is not None:
            notes.append(f"A score of at least {self.options.threshold:g} counts as right.")
        if self.options.levels is not None:
            notes.append(f"Scores from 0 to 1 were cut into {self.options.levels} categories.")
        if lacking:
            notes.append(
                f"{count(lacking, 'answer')} without a score counted as {self.options.unscored}."
            )
        if self.other_texts:
            notes.append(
                f"{count(len(self.other_texts), 'item')} with different texts in different logs: "
                f"{listing(self.other_texts)}. Do their ids name the same questions?"
            )
        return tuple(notes)


def trials_joined(
    cells: IntArray, trials: IntArray, scores: FloatArray, options: LogOptions
) -> tuple[IntArray, FloatArray]:
    """Make one score of all those of a cell, first over files, then over trials.

    Parameters
    ----------
    cells, trials : array, shape (n,), n > 0
        Which cell of the table, which trial; sorted by these, then in the order of the files.
    scores : array, shape (n,)
        NaN where there is none.
    options : LogOptions
        `duplicates` and `epochs`. A mean leaves out what has no score.

    Returns
    -------
    cells, scores : array, shape (c,)
        Each cell once, ascending.
    """
    first = _starts(cells, trials)
    cells, scores = cells[first], _joined(scores, first, options.duplicates)
    first = _starts(cells)
    rule = "mean" if options.epochs == "mean" else "first"
    return cells[first], _joined(scores, first, rule)


def _starts(*keys: IntArray) -> IntArray:
    """Where each run of equal keys begins."""
    changed = np.any([np.diff(key) != 0 for key in keys], axis=0)
    return np.flatnonzero(np.append(True, changed))


def _joined(scores: FloatArray, first: IntArray, rule: str) -> FloatArray:
    """Make one score of each run: its first, its last, or the mean of those that are there."""
    if rule != "mean":
        return scores[np.append(first[1:], len(scores)) - 1 if rule == "last" else first]
    there = ~np.isnan(scores)
    total = np.add.reduceat(np.where(there, scores, 0.0), first)
    number = np.add.reduceat(there.astype(np.int64), first)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def graded(scores: FloatArray, options: LogOptions) -> CodeArray:
    """Code scores: 0 or 1, 1 from the threshold on, or the nearest of the levels.

    Parameters
    ----------
    scores : array, shape (n,)
        NaN where there is none.
    options : LogOptions
        `threshold`, `levels`, `unscored`.

    Returns
    -------
    array, shape (n,)
        -1 where there is no score and none is made up.
    """
    empty = np.isnan(scores)
    full = np.where(empty, 0.0, scores)
    if options.threshold is not None:
        codes = full >= options.threshold - ROUNDING
    else:
        steps = (options.levels or 2) - 1
        codes = np.ceil(np.clip(full, 0.0, 1.0) * steps - 0.5 - ROUNDING)
    code = np.maximum(codes, 0).astype(np.int8)
    none = MISSING if options.unscored == "missing" else 0
    return np.where(empty, np.int8(none), code).astype(np.int8)


def merged(parts: Iterable[Responses]) -> Responses:
    """Put the rows of several responses in one table; equal names are one model.

    Raises
    ------
    PredictionError
        If a model answers an item in two of them, or some hold labels and others grades.
    """
    parts = list(parts)
    if len(parts) == 1:
        return parts[0]
    if len({part.labels is None for part in parts}) > 1:
        raise PredictionError(
            "Some predictions are labels and others right or wrong, so they cannot stand in one "
            "table. Score them one by one, or grade the labels first."
        )
    if parts[0].labels is None and len({part.categories for part in parts}) > 1:
        raise PredictionError("Some predictions have other categories than others.")
    persons = _numbers(chain.from_iterable(part.persons for part in parts))
    items = _numbers(chain.from_iterable(part.items for part in parts))
    known = sorted(set(chain.from_iterable(part.categories for part in parts)))
    cells = [_cells(part, persons, items, known) for part in parts]
    rows, places, codes = (np.concatenate(column) for column in zip(*cells, strict=True))
    cell = rows * len(items) + places
    _, first, number = np.unique(cell, return_index=True, return_counts=True)
    if (number > 1).any():
        at = first[number > 1][0]
        raise PredictionError(
            f"{shown(list(persons)[rows[at]])} answers {count(int((number > 1).sum()), 'item')} "
            f"in two files, first {shown(list(items)[places[at]])}. Leave one of them out."
        )
    where = (rows.astype(np.int32), places.astype(np.int32))
    laid = storage.laid_out_long(codes, *where, (len(persons), len(items)))
    nominal = parts[0].labels is not None
    return Responses(
        codes=laid,
        persons=tuple(persons),
        items=tuple(items),
        categories=tuple(known) if nominal else parts[0].categories,
        labels=laid if nominal else None,
        label_set=tuple(known) if nominal else (),
        notes=tuple(dict.fromkeys(chain.from_iterable(part.notes for part in parts))),
    )


def _numbers(names: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in names:
        found.setdefault(name, len(found))
    return found


def _cells(
    part: Responses, persons: dict[str, int], items: dict[str, int], known: list[str]
) -> tuple[IntArray, IntArray, CodeArray]:
    """Return row, place and code of each answer of a part in the common numbering."""
    dense = part.dense()
    rows, places = np.nonzero(dense != MISSING)
    codes = dense[rows, places]
    if part.labels is not None:
        codes = np.array([known.index(name) for name in part.categories], np.int8)[codes]
    row = np.array([persons[name] for name in part.persons])[rows]
    place = np.array([items[name] for name in part.items])[places]
    return row, place, codes
