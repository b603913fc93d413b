"""Encoder choice: ranks by LogME, H-score and neighbours against accuracy after a linear probe.

Candidates are MiniLM, its first 1 to 5 layers, and a randomly initialised twin. Their features of
a few SNLI (or SICK) pairs are judged as `rank_encoders` does; a multinomial logistic regression
on the same features (ridge chosen on a part of them) is then tested on other pairs.

Run from the repository's root; the data lie beside it in ``../shared/data``::

    OMP_NUM_THREADS=1 python -m benchmarks.encoders --output encoders.json
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
from scipy.optimize import minimize
from scipy.special import log_softmax
from scipy.stats import kendalltau

from benchmarks.mistakes import LABELS, SHARED, snli
from irtkit.bridge.encoders.ranking import CRITERIA, rank_encoders
from irtkit.bridge.finetuning.examples import labelled_set
from irtkit.bridge.training.classifiers import TransformerClassifier
from tests.bridge.minilm import minilm_folder

RIDGES = (1e-4, 1e-3, 1e-2, 1e-1)
DEVELOPMENT = 0.25


class Known:
    """An encoder whose features were computed before."""

    def __init__(self, features: np.ndarray) -> None:
        self.found = features

    def features(self, texts: pd.DataFrame) -> np.ndarray:
        """Return them."""
        return self.found


def sick() -> pd.DataFrame:
    """Pairs of SICK with their entailment label."""
    table = pd.read_csv(SHARED / "sick" / "SICK.txt", sep="\t")
    return pd.DataFrame(
        {
            "item": [f"sick-{n}" for n in table["pair_ID"]],
            "text": table["sentence_A"],
            "text_pair": table["sentence_B"],
            "label": table["entailment_label"].str.lower(),
        }
    )


def candidates(folder: Path) -> dict[str, TransformerClassifier]:
    """MiniLM whole and cut after its first layers, and its random twin."""
    import transformers

    config = json.loads((folder / "config.json").read_text())
    found = {"MiniLM": TransformerClassifier.load(folder, LABELS, max_length=96)}
    for layers in range(1, config["num_hidden_layers"]):
        (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": layers}))
        found[f"first {layers}"] = TransformerClassifier.load(folder, LABELS, max_length=96)
    (folder / "config.json").write_text(json.dumps(config))
    whole = found["MiniLM"]
    transformers.set_seed(7)
    twin = type(whole.module)(whole.module.config)
    found["random twin"] = TransformerClassifier(twin, whole.tokenizer, LABELS, 96)
    return found


def probe(features: np.ndarray, labels: np.ndarray, ridge: float) -> np.ndarray:
    """Weights (D + 1, L) of a multinomial logistic regression, a ridge on all but intercepts."""
    n, wide = len(labels), np.hstack([features, np.ones((len(labels), 1))])
    target = np.eye(len(LABELS))[labels]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(wide.shape[1], -1)
        log_p = log_softmax(wide @ weights, axis=1)
        kept = weights.copy()
        kept[-1] = 0.0
        slope = wide.T @ (np.exp(log_p) - target) / n + ridge * kept
        return -(target * log_p).sum() / n + 0.5 * ridge * (kept**2).sum(), slope.ravel()

    start = np.zeros(wide.shape[1] * len(LABELS))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 300})
    return found.x.reshape(wide.shape[1], -1)


def accuracy(weights: np.ndarray, features: np.ndarray, labels: np.ndarray) -> float:
    """Share of right labels."""
    wide = np.hstack([features, np.ones((len(labels), 1))])
    return float(((wide @ weights).argmax(axis=1) == labels).mean())


def probed(train: tuple[Any, Any], test: tuple[Any, Any]) -> float:
    """Accuracy of the probe on the test part, its ridge chosen on a part of the training part."""
    mean, spread = train[0].mean(axis=0), train[0].std(axis=0) + 1e-9
    x, z, y = (train[0] - mean) / spread, (test[0] - mean) / spread, train[1]
    cut = int(len(y) * (1 - DEVELOPMENT))
    best = max(RIDGES, key=lambda r: accuracy(probe(x[:cut], y[:cut], r), x[cut:], y[cut:]))
    return accuracy(probe(x, y, best), z, test[1])


def one_task(name: str, pairs: pd.DataFrame, sizes: argparse.Namespace, folder: Path) -> Any:
    """Rank the candidates on a task, and probe them."""
    drawn = pairs.sample(frac=1.0, random_state=np.random.default_rng(sizes.seed))
    drawn = drawn.head(sizes.train + sizes.test)
    examples = labelled_set(name, drawn.head(sizes.train), LABELS)
    others = labelled_set(name, drawn.iloc[sizes.train :], LABELS)
    known, found, seconds = {}, {}, {}
    for encoder, classifier in candidates(folder).items():
        started = time.perf_counter()
        known[encoder] = Known(classifier.features(examples.rows))
        seconds[encoder] = time.perf_counter() - started
        there = classifier.features(others.rows)
        labels = [part.rows["label"].to_numpy() for part in (examples, others)]
        found[encoder] = probed((known[encoder].found, labels[0]), (there, labels[1]))
    started = time.perf_counter()
    table = rank_encoders(examples, known)
    print(f"{name}: judged in {time.perf_counter() - started:.1f} s, encoded in {seconds}")
    table["probe_accuracy"] = pd.Series(found)
    print(table.round(4).to_string())
    for criterion in CRITERIA:
        tau = kendalltau(table[criterion], table["probe_accuracy"]).statistic
        print(f"  Kendall's tau of {criterion} and the probe: {tau:.2f}")
    return table.reset_index().to_dict(orient="records")


def main() -> None:
    """Rank on both tasks."""
    import torch

    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--train", type=int, default=1500)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("encoders.json"))
    sizes = parser.parse_args()
    results = {}
    for name, read in (("SNLI", snli), ("SICK", sick)):
        with tempfile.TemporaryDirectory() as temporary:
            results[name] = one_task(name, read(), sizes, minilm_folder(Path(temporary)))
        sizes.output.write_text(json.dumps(results))


if __name__ == "__main__":
    main()
