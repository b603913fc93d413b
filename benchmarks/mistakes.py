"""Fine-tuning on mistaken examples: Breaking NLI by category, before and after.

A pretrained encoder with a new three-class head is trained on SNLI pairs (dev and test without
the pairs of ChaosNLI), recording its mistakes after each epoch. It is then fine-tuned for one
epoch on the examples that were mistaken after every epoch and, as a control, on as many random
ones, each at the rate of the literature (1/200 of the first) and at 1/10 of the first. Evaluated
on a stratified part of Breaking NLI and on SNLI pairs that were not trained on.

Run from the repository's root; the data lie beside it in ``../shared/data``::

    OMP_NUM_THREADS=1 python -m benchmarks.mistakes --output mistakes.json

Each finished seed is written at once; the same command goes on after the last. With --report it
prints the tables of a finished file without any training.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from irtkit.bridge.finetuning.examples import FinetuningSet, labelled_set
from irtkit.bridge.finetuning.leaks import check_leak, text_keys
from irtkit.bridge.finetuning.selection import random_examples
from irtkit.bridge.mistakes.accuracy_change import accuracy_change
from irtkit.bridge.mistakes.record import epoch_summary, mistake_counts, mistaken_set
from irtkit.bridge.mistakes.recorder import MistakeRecorder, right_labels
from irtkit.bridge.training.classifiers import TransformerClassifier
from irtkit.bridge.training.train import Training, train
from tests.bridge.minilm import minilm_folder

SHARED = Path(__file__).parents[2] / "shared" / "data"
LABELS = ("entailment", "neutral", "contradiction")
EXPRESSION = "e1 & e2 & e3"
RATE = 1e-4  # of the first stage; usual for so small an encoder
SHARES = (1 / 200, 1 / 10)  # of that rate, in the second stage


def snli() -> pd.DataFrame:
    """Dev and test pairs of SNLI that ChaosNLI does not hold."""
    parts = [
        pd.read_json(SHARED / "snli_devtest" / f, lines=True) for f in ("dev.jsonl", "test.jsonl")
    ]
    pairs = pd.concat(parts, ignore_index=True)
    chaos = pd.read_json(SHARED / "chaosnli" / "chaosNLI_snli.jsonl", lines=True)["example"]
    held = pd.DataFrame(
        {"text": [c["premise"] for c in chaos], "text_pair": [c["hypothesis"] for c in chaos]}
    )
    keys, known = text_keys(pairs), set(text_keys(held))
    other = {premise for premise, _ in known - set(keys)}  # written otherwise: by premise alone
    kept = [key not in known and key[0] not in other for key in keys]
    return pairs[np.array(kept) & ~pd.Series(keys).duplicated().to_numpy()]


def breaking_nli(most: int, seed: int) -> tuple[FinetuningSet, dict[str, str]]:
    """Draw up to `most` pairs of each category; every pair of the small ones."""
    table = pd.read_json(SHARED / "breaking_nli" / "dataset.jsonl", lines=True)
    rng = np.random.default_rng(seed)
    order = table.iloc[rng.permutation(len(table))]
    drawn = order.groupby("category").head(most)
    texts = pd.DataFrame(
        {
            "item": [f"breaking-{n}" for n in drawn["pairID"]],
            "text": drawn["sentence1"],
            "text_pair": drawn["sentence2"],
            "label": drawn["gold_label"],
        }
    )
    categories = dict(zip(texts["item"], drawn["category"], strict=True))
    return labelled_set("Breaking NLI", texts, LABELS), categories


def one_seed(seed: int, sizes: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train, record, fine-tune in each way, and note which evaluation items are right."""
    pairs = snli().sample(frac=1.0, random_state=np.random.default_rng(seed))
    training = labelled_set("SNLI", pairs.head(sizes.train), LABELS)
    others = labelled_set("SNLI held out", pairs.iloc[sizes.train :].head(sizes.held_out), LABELS)
    hard, categories = breaking_nli(sizes.evaluate, seed=0)
    for evaluation in (others, hard):
        check_leak(training, evaluation)
    started = time.perf_counter()
    new = TransformerClassifier.load(folder, LABELS, seed=seed, max_length=96)
    method = Training(epochs=sizes.epochs, learning_rate=RATE, seed=seed)
    recorder = MistakeRecorder(training)
    first = train(new, training, method=method, observers=[recorder])
    record = recorder.record()
    chosen = mistaken_set(training, record, EXPRESSION)
    second = {"mistakes": chosen, "random": random_examples(training, len(chosen.rows), seed=seed)}
    found = {"before": first.classifier}
    for name, examples in second.items():
        for share in SHARES:
            again = Training(epochs=1, learning_rate=RATE * share, seed=seed)
            found[f"{name} {again.learning_rate:.0e}"] = train(
                first.classifier, examples, method=again
            ).classifier
    print(epoch_summary(record).to_string(), flush=True)
    return {
        "seed": seed,
        "seconds": time.perf_counter() - started,
        "n_chosen": len(chosen.rows),
        "epochs": epoch_summary(record).reset_index().to_dict(orient="records"),
        "chosen": mistake_counts(record, EXPRESSION).reset_index().to_dict(orient="records"),
        "categories": [categories[item] for item in hard.rows["item"]],
        "premises": [int(n) for n in pd.factorize(hard.rows["text"])[0]],
        "breaking": {n: bits(right_labels(c, hard)) for n, c in found.items()},
        "snli": {n: bits(right_labels(c, others)) for n, c in found.items()},
        "snli_premises": [int(n) for n in pd.factorize(others.rows["text"])[0]],
    }


def bits(right: np.ndarray) -> str:
    """Write which items are right as a string of 0 and 1."""
    return "".join(map(str, right.astype(int)))


def array(runs: list[dict[str, Any]], corpus: str, name: str) -> np.ndarray:
    """Which items are right, one row a seed."""
    return np.array([[c == "1" for c in run[corpus][name]] for run in runs])


def report(runs: list[dict[str, Any]]) -> None:
    """Print what was found."""
    print(f"{len(runs)} seeds, {[round(run['seconds']) for run in runs]} s each")
    print(pd.concat([pd.DataFrame(run["epochs"]) for run in runs]).to_string(index=False))
    print("chosen:", [run["n_chosen"] for run in runs])
    kept = ["n", "accuracy_before", "accuracy_after", "change", "change_low", "change_high"]
    kept += ["n_mended", "n_broken"]
    for name in [key for key in runs[0]["breaking"] if key != "before"]:
        table = accuracy_change(
            array(runs, "breaking", "before"),
            array(runs, "breaking", name),
            runs[0]["categories"],
            clusters=[str(n) for n in runs[0]["premises"]],
        )
        print(f"\nBreaking NLI, before and after {name}\n{table[kept].round(3).to_string()}")
    names = list(runs[0]["breaking"])
    for one, two in zip(names[3:], names[1:3], strict=True):
        table = accuracy_change(
            array(runs, "breaking", one),
            array(runs, "breaking", two),
            clusters=[str(n) for n in runs[0]["premises"]],
        )
        print(f"\nBreaking NLI, {two} against {one}\n{table[kept].round(3).to_string()}")
    for name in names[1:]:  # other pairs in each seed: items are not crossed with seeds
        changes = [
            np.mean(array([run], "snli", name)) - np.mean(array([run], "snli", "before"))
            for run in runs
        ]
        before = [float(np.mean(array([run], "snli", "before"))) for run in runs]
        print(f"SNLI held out: before {np.round(before, 3)}, change {name} {np.round(changes, 4)}")


def main() -> None:
    """Run the seeds that are not done yet, then report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--train", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--evaluate", type=int, default=100, help="pairs of a category")
    parser.add_argument("--held-out", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("mistakes.json"))
    parser.add_argument("--report", action="store_true")
    sizes = parser.parse_args()
    runs = json.loads(sizes.output.read_text()) if sizes.output.exists() else []
    if not sizes.report:
        import torch

        torch.set_num_threads(1)
        with tempfile.TemporaryDirectory() as temporary:
            folder = minilm_folder(Path(temporary))
            for seed in range(len(runs), sizes.seeds):
                runs.append(one_seed(seed, sizes, folder))
                sizes.output.write_text(json.dumps(runs))
    report(runs)


if __name__ == "__main__":
    main()
