"""``python -m benchmarks.crowd_labels``: aggregated crowd labels against the truth.

Accuracy and time of each way to aggregate, on the crowds with gold labels beside the checkout.
With ``--crowd-kit PYTHON``, the Python of an environment that has crowd-kit, Dawid-Skene and
one-coin are also run there for as many cycles from the same start with the same floor, and the
label probabilities compared.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from benchmarks.processes import Tools  # noqa: E402
from irtkit.bridge.crowd.aggregation import Method, SoftMean, Vote, aggregate  # noqa: E402
from irtkit.bridge.crowd.agreement import crowd_agreement  # noqa: E402
from irtkit.bridge.crowd.irt_votes import AbilityVote  # noqa: E402
from irtkit.bridge.crowd.labels import CrowdLabels  # noqa: E402
from irtkit.bridge.crowd.worker_models import DawidSkene, OneCoin  # noqa: E402
from irtkit.bridge.crowd_files import read_crowd  # noqa: E402

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
CROWDS = ("bluebird", "dog", "trec", "snow2008_rte")
SMALL = ("bluebird", "dog")
CYCLES = (1, 5, 20, 100)


def methods(crowd: CrowdLabels) -> dict[str, Method]:
    """Every way to aggregate, by name."""
    found = aggregate(crowd, method=DawidSkene()).labels()
    return {
        "vote": Vote(),
        "dawid-skene": DawidSkene(),
        "dawid-skene, smoothing 1": DawidSkene(smoothing=1.0),
        "one-coin, equal shares": OneCoin(),
        "one-coin, estimated shares": OneCoin(label_shares="estimated"),
        "ability, posterior": AbilityVote(),
        "ability, odds": AbilityVote(weights="odds"),
        "ability, key by dawid-skene": AbilityVote(key=found),
        "mean of vote, one-coin, dawid-skene": SoftMean((Vote(), OneCoin(), DawidSkene())),
    }


def read(name: str) -> CrowdLabels:
    """Read one crowd with its gold labels."""
    if name == "snow2008_rte":
        made = read_crowd(DATA / name / "rte.standardized.tsv")
    else:
        truth = pd.read_csv(DATA / "crowd" / f"{name}_truth.csv", dtype=str)
        gold = dict(zip(truth["item"], truth["truth"], strict=True))
        made = read_crowd(DATA / "crowd" / f"{name}_label.csv", key=gold)
    assert isinstance(made, CrowdLabels)
    return made


def accuracies(names: Sequence[str], repetitions: int) -> pd.DataFrame:
    """One row a crowd and method: accuracy, cycles, quickest time in seconds."""
    rows: list[dict[str, Any]] = []
    for name in names:
        crowd = read(name)
        for method_name, method in methods(crowd).items():
            seconds = []
            for _ in range(repetitions if name != "trec" else 1):
                start = time.perf_counter()
                found = aggregate(crowd, method=method)
                seconds.append(time.perf_counter() - start)
            rows.append(
                {
                    "crowd": name,
                    "method": method_name,
                    "accuracy": found.accuracy(),
                    "n_gold": int((crowd.gold >= 0).sum()),
                    "cycles": len(found.log_likelihood),
                    "seconds": min(seconds),
                }
            )
    return pd.DataFrame(rows)


def beside_crowd_kit(python: Path, names: Sequence[str], folder: Path) -> pd.DataFrame:
    """Largest difference of label probabilities after equal numbers of cycles, and times."""
    rows = []
    with ExitStack() as stack:
        worker = Tools(python, threads=1).start("crowdkit", stack)
        print(worker.ask("version"))
        for name in names:
            crowd = read(name)
            labels = pd.DataFrame(
                {
                    "task": np.array(crowd.items, dtype=object)[crowd.item],
                    "worker": np.array(crowd.workers, dtype=object)[crowd.worker],
                    "label": np.array(crowd.label_set, dtype=object)[crowd.label],
                }
            )
            labels.to_csv(folder / "labels.csv", index=False)
            worker.ask("load", path=str(folder / "labels.csv"))
            for kind, method in (("dawid-skene", DawidSkene), ("one-coin", OneCoin)):
                for n_cycles in CYCLES:
                    save = str(folder / "found.csv")
                    theirs = worker.ask("aggregate", method=kind, n_cycles=n_cycles, save=save)
                    like = method(
                        smoothing=0.0,
                        floor=1e-10,
                        tolerance=0.0,
                        max_cycles=n_cycles,
                        label_shares="estimated",
                    )
                    start = time.perf_counter()
                    mine = aggregate(crowd, method=like)
                    seconds = time.perf_counter() - start
                    other = pd.read_csv(save, index_col=0, dtype={"task": str})
                    table = other.loc[list(crowd.items), list(crowd.label_set)].to_numpy()
                    rows.append(
                        {
                            "crowd": name,
                            "method": kind,
                            "cycles": n_cycles,
                            "difference": np.abs(table - mine.probabilities).max(),
                            "seconds": seconds,
                            "seconds_crowd_kit": theirs["seconds"],
                        }
                    )
    return pd.DataFrame(rows)


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("crowds", nargs="*", help=f"of {', '.join(CROWDS)}; all by default")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--crowd-kit", type=Path, help="Python of an environment that has it")
    parser.add_argument("--output", type=Path, help="write the accuracies as CSV")
    given = parser.parse_args()
    names = given.crowds or CROWDS
    for name in names:
        print(f"\n{name}\n{crowd_agreement(read(name)).to_string(float_format='%.3f')}")
    table = accuracies(names, given.repetitions)
    print(f"\n{table.to_string(index=False, float_format='%.4f')}")
    if given.output is not None:
        table.to_csv(given.output, index=False)
    if given.crowd_kit is not None:
        compared = [name for name in names if name in SMALL]
        with tempfile.TemporaryDirectory() as folder:
            beside = beside_crowd_kit(given.crowd_kit.absolute(), compared, Path(folder))
        print(f"\n{beside.to_string(index=False)}")


if __name__ == "__main__":
    main()
