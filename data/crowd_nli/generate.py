"""Simulate the answers of a crowd to the sentence pairs of ``items.csv``.

Every answer this script writes is SIMULATED.  No person ever labelled these
sentence pairs.  The script reads ``items.csv`` and writes, beside it,

* ``answers.csv``: one row a worker, one column an item, letters e, n, c;
* ``truth.json``: the item parameters and all that was planted.

Model
-----
Worker p has the ability ``theta_p ~ N(0, 1)``.  For a regular item i,

    P(correct) = expit(a_i * (theta_p - b_i) + gamma_p)

* discrimination ``a_i = max(0.8, 1.3 * exp(0.25 * z))``, z ~ N(0, 1);
* difficulty ``b_i ~ N(-0.6, 0.8)`` (mean, standard deviation), clipped to
  [-2.2, 1.2];
* ``gamma_p`` is 0, but for the items of a dependent pair (below).

A wrong answer is one of the two other labels.  The first of them (in the order
e, n, c) is taken with the probability ``s_i ~ Beta(2, 2)`` of the item.

Planted
-------
* Two locally dependent pairs.  The two items of a pair share their premise and
  a testlet effect ``gamma_p ~ N(0, variance 2.5)``, one independent draw for
  each worker and pair.
* Two misfitting items with a folded curve (able workers overthink):

      P(correct) = 0.25 + 0.60 * exp(-(theta_p + 0.2)^2 / (2 * 0.8^2))

  which peaks with .85 at theta = -0.2 and falls to about .25 on both sides.
* 30 spammers: 15 draw each label uniformly at random, 5 always answer e,
  5 always n, 5 always c.
* Missing answers: each cell is missing completely at random with probability
  .05.  In addition 40 workers, none of them a spammer, quit: they answered only
  the first m items of the file, m uniform over 30, ..., 90.

The seed is 20161101, of ``numpy.random.default_rng``.  Running the script again
gives the same bytes.
"""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SEED = 20161101
FOLDER = Path(__file__).resolve().parent
LETTERS = "enc"  # entailment, neutral, contradiction
MISSING = -1

N_WORKERS = 1000
N_RANDOM_SPAMMERS = 15
N_SPAMMERS_PER_LABEL = 5
N_QUITTERS = 40
QUIT_RANGE = (30, 90)
MISSING_RATE = 0.05
TESTLET_VARIANCE = 2.5

DEPENDENT_PAIRS = (("garden-05", "garden-15"), ("sports-12", "sports-21"))
MISFITTING_ITEMS = ("kitchen-15", "travel-24")


def read_items(path: Path) -> tuple[list[str], IntArray]:
    """Read the item names and the correct labels.

    Parameters
    ----------
    path : Path
        The file ``items.csv``.

    Returns
    -------
    names : list of str
        The items in the order of the file.
    correct : array of int, shape (items,)
        The correct label of each item, as an index of ``LETTERS``.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = [row["item"] for row in rows]
    correct = np.array([LETTERS.index(row["label"][0]) for row in rows], dtype=np.int64)
    return names, correct


def expit(x: FloatArray) -> FloatArray:
    """Return the logistic function of `x`."""
    return 1.0 / (1.0 + np.exp(-x))


def folded_curve(theta: FloatArray) -> FloatArray:
    """Return the success probability of a misfitting item at ability `theta`."""
    return 0.25 + 0.60 * np.exp(-((theta + 0.2) ** 2) / (2 * 0.8**2))


def draw_parameters(rng: np.random.Generator, n_items: int) -> tuple[FloatArray, FloatArray]:
    """Draw the discriminations and difficulties, rounded to 6 decimals."""
    discrimination = np.maximum(0.8, 1.3 * np.exp(0.25 * rng.standard_normal(n_items)))
    difficulty = np.clip(rng.normal(-0.6, 0.8, n_items), -2.2, 1.2)
    return discrimination.round(6), difficulty.round(6)


def success_probabilities(
    rng: np.random.Generator,
    names: list[str],
    discrimination: FloatArray,
    difficulty: FloatArray,
) -> FloatArray:
    """Draw abilities and testlet effects; return P(correct), workers by items."""
    theta = rng.standard_normal(N_WORKERS)
    logit = discrimination * (theta[:, np.newaxis] - difficulty)
    for pair in DEPENDENT_PAIRS:
        gamma = rng.normal(0.0, np.sqrt(TESTLET_VARIANCE), N_WORKERS)
        for name in pair:
            logit[:, names.index(name)] += gamma
    probability = expit(logit)
    for name in MISFITTING_ITEMS:
        probability[:, names.index(name)] = folded_curve(theta)
    return probability


def draw_answers(rng: np.random.Generator, probability: FloatArray, correct: IntArray) -> IntArray:
    """Draw the label of every worker on every item.

    Parameters
    ----------
    rng : numpy.random.Generator
        The source of randomness.
    probability : array of float, shape (workers, items)
        The probability of the correct label.
    correct : array of int, shape (items,)
        The correct labels.

    Returns
    -------
    array of int, shape (workers, items)
        The labels given, as indices of ``LETTERS``.
    """
    first_share = rng.beta(2.0, 2.0, correct.size)
    others = np.array([[k for k in range(3) if k != label] for label in correct])
    is_correct = rng.random(probability.shape) < probability
    takes_first = rng.random(probability.shape) < first_share
    wrong = np.where(takes_first, others[:, 0], others[:, 1])
    return np.where(is_correct, correct, wrong)


def plant_spammers(
    rng: np.random.Generator, answers: IntArray, chosen: IntArray
) -> dict[int, str]:
    """Overwrite the rows of the `chosen` workers; return each one's kind."""
    kinds = ["random"] * N_RANDOM_SPAMMERS
    for letter in LETTERS:
        kinds += [f"always_{letter}"] * N_SPAMMERS_PER_LABEL
    for worker, kind in zip(chosen, kinds, strict=True):
        if kind == "random":
            answers[worker] = rng.integers(0, len(LETTERS), answers.shape[1])
        else:
            answers[worker] = LETTERS.index(kind[-1])
    return {int(worker): kind for worker, kind in zip(chosen, kinds, strict=True)}


def plant_missing(rng: np.random.Generator, answers: IntArray, quitters: IntArray) -> None:
    """Blank cells at random, and the last items of the workers who quit."""
    answers[rng.random(answers.shape) < MISSING_RATE] = MISSING
    low, high = QUIT_RANGE
    answered = rng.integers(low, high, len(quitters), endpoint=True)
    for worker, count in zip(quitters, answered, strict=True):
        answers[worker, count:] = MISSING
    if (answers == MISSING).all(axis=1).any():
        raise RuntimeError("a worker is left without any answer")


def worker_name(index: int) -> str:
    """Return the name of the worker in row `index`, counted from 0."""
    return f"w{index + 1:04d}"


def write_answers(path: Path, names: list[str], answers: IntArray) -> None:
    """Write the wide table of answers, an empty cell where one is missing."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["worker", *names])
        for index, row in enumerate(answers):
            cells = ["" if label == MISSING else LETTERS[label] for label in row]
            writer.writerow([worker_name(index), *cells])


def parameter_record(name: str, discrimination: float, difficulty: float) -> dict[str, Any]:
    """Return the entry of one item in the list of true parameters."""
    if name in MISFITTING_ITEMS:
        return {"item": name, "discrimination": None, "difficulty": None, "curve": "folded"}
    return {"item": name, "discrimination": discrimination, "difficulty": difficulty}


def write_truth(path: Path, parameters: list[dict[str, Any]], spammers: dict[int, str]) -> None:
    """Write the true parameters and what was planted."""
    truth = {
        "seed": SEED,
        "simulated": True,
        "parameters": parameters,
        "dependent_pairs": DEPENDENT_PAIRS,
        "misfitting_items": MISFITTING_ITEMS,
        "spammers": [
            {"worker": worker_name(index), "kind": kind}
            for index, kind in sorted(spammers.items())
        ],
    }
    path.write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8", newline="\n")


def main() -> None:
    """Read the items, simulate the crowd and write both files."""
    rng = np.random.default_rng(SEED)
    names, correct = read_items(FOLDER / "items.csv")
    discrimination, difficulty = draw_parameters(rng, len(names))
    probability = success_probabilities(rng, names, discrimination, difficulty)
    answers = draw_answers(rng, probability, correct)

    n_spammers = N_RANDOM_SPAMMERS + N_SPAMMERS_PER_LABEL * len(LETTERS)
    shuffled = rng.permutation(N_WORKERS)
    spammers = plant_spammers(rng, answers, shuffled[:n_spammers])
    plant_missing(rng, answers, shuffled[n_spammers : n_spammers + N_QUITTERS])

    write_answers(FOLDER / "answers.csv", names, answers)
    parameters = [
        parameter_record(name, a, b)
        for name, a, b in zip(names, discrimination.tolist(), difficulty.tolist(), strict=True)
    ]
    write_truth(FOLDER / "truth.json", parameters, spammers)


if __name__ == "__main__":
    main()
