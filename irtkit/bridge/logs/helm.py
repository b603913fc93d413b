"""Run folders of HELM -> answers.

A run folder holds one model on one scenario: `run_spec.json` names both, and
`per_instance_stats.json` has the statistics of each instance, of which one counts. Perturbed
instances are left out; training trials are trials of an item.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from irtkit.bridge.logs.answers import Answer, Findings, ItemText, number, plain_text, words
from irtkit.errors import PredictionError, listing, shown
from irtkit.io.streams import json_document

STATISTICS, SPECIFICATION = "per_instance_stats.json", "run_spec.json"
STATE, INSTANCES = "scenario_state.json", "instances.json"
USUAL = ("exact_match", "quasi_exact_match", "prefix_exact_match", "quasi_prefix_exact_match")
COSTS = re.compile(r"num_|finish_reason|training_|inference_|batch_size|logprob|max_prob|prompt_")
MODEL = ("model=", "model_deployment=")

Row = dict[str, Any]


def answers(path: Path, found: Findings) -> Iterator[Answer]:
    """Yield the graded answers of a run folder, or of the statistics in it.

    Raises
    ------
    PredictionError
        If the statistic that counts is not there.
    """
    if found.options.identity == "hash":
        raise PredictionError(f"{path}: Runs of HELM hold no content hash, only instance ids.")
    folder = path if path.is_dir() else path.parent
    task, model = _named(folder)
    if not found.wants(task):
        return
    splits: dict[str, None] = {}
    some = False
    for row in _rows(folder / STATISTICS):
        if row.get("perturbation") is not None:
            found.passed["answer", "to perturbed instances left out"] += 1
            continue
        values = _values(row, found.options.filter, splits)
        if values is None:
            continue
        some = True
        yield _answer(row, values, (model, task), found, folder)
    if splits and not some:
        raise PredictionError(
            f"{folder} has no instance of the split {shown(found.options.filter)}; its splits are "
            f"{listing(splits)} (--filter)."
        )


def _answer(
    row: Row, values: dict[str, Any], named: tuple[str, str], found: Findings, folder: Path
) -> Answer:
    model, task = named
    item = words(row.get("instance_id"), f"{folder}: instance_id")
    place = f"{folder}: instance {shown(item)}"
    trial = row.get("train_trial_index", 0)
    if not isinstance(trial, int) or not 0 <= trial < 2**31:
        raise PredictionError(f"{place} has the train_trial_index {shown(trial)}, no number.")
    metric = found.metric(task, list(values), USUAL)
    if metric not in values:
        raise PredictionError(
            f"{place} has no statistic {shown(metric)}; it has {listing(values, 12)}. Choose "
            "another (--metric)."
        )
    return Answer(model, task, item, number(values[metric], f"{place}: {metric}"), trial)


def _values(row: Row, split: str | None, splits: dict[str, None]) -> dict[str, Any] | None:
    """Means of the statistics of an instance, None if it is of another split."""
    values: dict[str, Any] = {}
    other = False
    for stat in row.get("stats") or []:
        name = stat.get("name") if isinstance(stat, dict) else None
        if not isinstance(name, dict) or name.get("perturbation") is not None:
            continue
        if isinstance(part := name.get("split"), str):
            splits[part] = None
            other = other or part != split
        if isinstance(called := name.get("name"), str) and not COSTS.match(called):
            values[called] = stat.get("mean")
    return None if split is not None and other else values


def _rows(path: Path) -> list[Row]:
    rows = json_document(path)
    if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
        if not all(isinstance(row.get("stats") or [], list) for row in rows):
            raise PredictionError(f"{path}: The stats of an instance are no list.")
        return rows
    raise PredictionError(f"{path} does not hold a list of instances: it is no run of HELM.")


def _named(folder: Path) -> tuple[str, str]:
    """Task and model of a run: the task is the run's name without the model."""
    path = folder / SPECIFICATION
    if not path.exists():
        raise PredictionError(
            f"{folder} has no {SPECIFICATION}, which names the model and the scenario. Keep the "
            "files of a run together."
        )
    spec = json_document(path)
    adapter = spec.get("adapter_spec") if isinstance(spec, dict) else None
    if not isinstance(adapter, dict):
        raise PredictionError(f"{path} has no adapter_spec: it is no run of HELM.")
    model = words(adapter.get("model") or adapter.get("model_deployment"), f"{path}: model")
    name = words(spec.get("name"), f"{path}: name")
    scenario, _, arguments = name.partition(":")
    kept = [part for part in arguments.split(",") if part and not part.startswith(MODEL)]
    return ":".join(filter(None, (scenario, ",".join(kept)))), model


def texts(path: Path, found: Findings) -> Iterator[ItemText]:
    """Yield what each instance asks, from the state of the scenario beside the statistics."""
    folder = path if path.is_dir() else path.parent
    task, _ = _named(folder)
    if not found.wants(task):
        return
    for instance in _instances(folder):
        given = instance.get("input")
        text = given.get("text") if isinstance(given, dict) else None
        if instance.get("perturbation") is not None or not isinstance(text, str):
            continue
        item = words(instance.get("id"), f"{folder}: id")
        references = instance.get("references")
        outputs = [
            plain_text(part["output"].get("text"))
            for part in (references if isinstance(references, list) else [])
            if isinstance(part, dict) and isinstance(part.get("output"), dict)
        ]
        yield ItemText(task, item, text, choices="\n".join(outputs))


def _instances(folder: Path) -> Iterator[Row]:
    """Yield the instances of a run, wherever its version of HELM keeps them."""
    name = STATE if (folder / STATE).exists() else INSTANCES
    if not (folder / name).exists():
        return
    document = json_document(folder / name)
    if isinstance(document, dict):
        states = document.get("request_states")
        held = states if isinstance(states, list) else []
        document = [state.get("instance") for state in held if isinstance(state, dict)]
    if isinstance(document, list):
        yield from (part for part in document if isinstance(part, dict))
