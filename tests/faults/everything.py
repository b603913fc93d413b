"""A program that runs the chain of commands into a folder: ``python -m tests.faults.everything``.

Answers are made first; then items are calibrated, diagnosed and screened, and models are scored.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from irtkit.cli import run

MODELS = ("2pl", "graded")


def main(folder):
    folder = Path(folder)
    for model in MODELS:
        made = folder / model
        made.mkdir(parents=True)
        answers, calibration = made / "a.csv", made / "c.json"
        size = ["--persons", "3000", "--items", "30", "--seed", "3", "--missing", "0.1"]
        commands = [
            ["simulate", "--model", model, *size, "-o", answers],
            ["calibrate", answers, "--model", model, "--tolerance", "1e-9", "-o", calibration],
            ["diagnose", answers, calibration, "-o", made / "tables"],
            ["screen", answers, "--model", model, "--preset", "standard"],
        ]
        commands[-1] += ["-o", made / "scale.json", "--log", made / "log.csv"]
        if model == "2pl":
            predictions(made / "models.csv")
            score = ["score", made / "scale.json", made / "models.csv"]
            commands.append([*score, "--item-draws", "20", "-o", made / "scores.csv"])
        for command in commands:
            if run([*map(str, command)]):
                sys.exit(f"failed: {command}")


def predictions(path):
    rng = np.random.default_rng(5)
    rows = [
        (f"m{model}", f"i{item}", int(rng.random() < 0.3 + 0.1 * model))
        for model in range(5)
        for item in range(1, 31)
    ]
    pd.DataFrame(rows, columns=["model", "item", "correct"]).to_csv(path, index=False)


if __name__ == "__main__":
    main(sys.argv[1])
