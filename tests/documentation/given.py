"""What pages take as given: names in Python, and files in the folder where their code runs.

The files are made from simulated answers and the embedded crowd, by irtkit itself.
"""

import atexit
import functools
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import irtkit as irt
from irtkit.cli import run
from tests.documentation.blocks import blocks_of, text_of

ROOT = Path(__file__).parents[2]
DATE = "2026-01-02T03-04-05.678901"
LABELS = {"c": "contradiction", "e": "entailment", "n": "neutral"}

NAMES = """
import numpy as np
import pandas as pd
import scipy.sparse as sp
import irtkit as irt

items = irt.load_items("crowd_nli").query("scale == 'kitchen'")
crowd = irt.load_dataset("crowd_nli").select_items(list(items["item"]))
scale = irt.read_scale("scale.json")
texts = items
answers = irt.simulate(irt.TwoPL(), n_persons=300, n_items=14, seed=1).responses
answers = irt.Responses.from_array(answers.dense(), items=[f"q{n}" for n in range(1, 15)])
frame = pd.DataFrame({"worker": ["a", "a"], "item": ["x", "y"], "label": [0, 1]})
frame = frame.pivot(index="worker", columns="item", values="label").reset_index()
codes, matrix = np.eye(3), sp.eye_array(3)
persons = ["a", "b"]
"""


def command(*words: object) -> None:
    """Run irtkit, which must succeed."""
    assert run([str(word) for word in words]) == 0, words


def topic(name: str) -> pd.DataFrame:
    """Items of one topic of the embedded crowd."""
    items = irt.load_items("crowd_nli")
    return items[items["scale"] == name]


def raw(items: pd.DataFrame) -> pd.DataFrame:
    """Labels that the embedded crowd gave to these items, one row a worker."""
    table = pd.read_csv(ROOT / "data" / "crowd_nli" / "answers.csv", index_col=0)
    return table[list(items["item"])].replace(LABELS)


def texts(items: pd.DataFrame, path: Path) -> None:
    """Write texts of items."""
    columns = items[["item", "text", "text_pair"]]
    if path.suffix == ".csv":
        columns.to_csv(path, index=False)
    else:
        columns.to_json(path, orient="records", lines=True)


def crowd_files(folder: Path) -> None:
    """A scale of the crowd, texts of its items, and a model that is always right."""
    items = topic("kitchen")
    crowd = irt.load_dataset("crowd_nli").select_items(list(items["item"]))
    screening = irt.screen(crowd, irt.TwoPL(), irt.preset("lalor2016"))
    irt.write_scale(irt.build_scale(screening, name="kitchen"), folder / "scale.json")
    irt.write_table(screening.log.set_index("step"), folder / "log.csv")
    items[["item", "label"]].to_csv(folder / "key.csv", index=False)
    items[["item", "label"]].to_json(folder / "model.jsonl", orient="records", lines=True)
    texts(items, folder / "items.csv")
    texts(items, folder / "items.jsonl")


def graded_files(folder: Path) -> None:
    """Graded answers, who is in which group, and their calibration."""
    made = irt.simulate(irt.TwoPL(), n_persons=300, n_items=14, seed=1).responses.dense()
    persons = [f"p{n}" for n in range(1, 301)]
    table = pd.DataFrame(made, index=persons, columns=[f"q{n}" for n in range(1, 15)])
    table.rename_axis("person").to_csv(folder / "answers.csv")
    groups = pd.DataFrame({"person": persons, "group": ["reference", "focal"] * 150})
    groups.to_csv(folder / "groups.csv", index=False)
    command("calibrate", folder / "answers.csv", "-o", folder / "calibration.json")


def raw_labels(folder: Path) -> None:
    """Put the crowd's own labels in the place of graded answers."""
    raw(topic("kitchen")).to_csv(folder / "answers.csv")


def few_answers(folder: Path) -> None:
    """Leave 100 persons and 8 items."""
    answers = pd.read_csv(folder / "answers.csv", index_col=0)
    answers.iloc[:100, :8].to_csv(folder / "answers.csv")


def decisions(folder: Path) -> None:
    """Write two decisions."""
    rows = [("q7", "keep", "The only item on negation."), ("q12", "drop", "Two readings.")]
    pd.DataFrame(rows, columns=["item", "decision", "reason"]).to_csv(
        folder / "decisions.csv", index=False
    )


def tables(folder: Path) -> None:
    """Write what the pictures are drawn of."""
    given = [folder / "answers.csv", folder / "calibration.json"]
    command("diagnose", *given, "--curves", "-o", folder / "tables")
    given = [folder / "scale.json", folder / "model.jsonl"]
    command("score", *given, "-o", folder / "scores.csv")


def report_folder(folder: Path) -> None:
    """Put what belongs to a scale in a folder."""
    (folder / "kitchen").mkdir()
    for name in ("scale.json", "log.csv", "answers.csv", "items.csv"):
        shutil.copy(folder / name, folder / "kitchen" / name)


def two_crowds(folder: Path) -> None:
    """Write labels and keys of two groups of workers."""
    for number, name in ((4, "kitchen"), (5, "travel")):
        items = topic(name)
        raw(items).to_csv(folder / f"group_{number}.csv")
        items[["item", "label"]].to_csv(folder / f"key_{number}.csv", index=False)


def three_scales(folder: Path) -> None:
    """Write a scale for each gold label, and files in the form of SNLI."""
    items = topic("kitchen")
    crowd = irt.load_dataset("crowd_nli")
    for letter, label in LABELS.items():
        chosen = items[items["label"] == label]
        screening = irt.screen(
            crowd.select_items(list(chosen["item"])), irt.TwoPL(), [irt.ItemStates()]
        )
        scale = irt.build_scale(screening, name=label)
        irt.write_scale(scale, folder / f"5{letter.upper()}.json")
    names = {
        "item": "pairID",
        "label": "gold_label",
        "text": "sentence1",
        "text_pair": "sentence2",
    }
    lines = items.rename(columns=names)[list(names.values())]
    for place, part in enumerate(("train", "dev", "test")):
        path = folder / f"snli_1.0_{part}.jsonl"
        lines.iloc[place::3].to_json(path, orient="records", lines=True)


def comparisons(folder: Path) -> None:
    """Write scores and soft comparisons of items."""
    scores = pd.Series(np.linspace(-2, 2, 50), index=[f"q{n}" for n in range(50)])
    scores.rename_axis("item").rename("score").to_csv(folder / "scores.csv")
    pairs = irt.soft_pairs(scores, 200, gamma=1.0, design="symmetric", seed=1).table()
    pairs.to_csv(folder / "comparisons.csv", index=False)


def crowd_labels(folder: Path) -> None:
    """Write who gave which label, one row a label."""
    items = topic("kitchen")
    long = (
        raw(items)
        .rename_axis("worker")
        .melt(ignore_index=False, var_name="item", value_name="label")
    )
    long["gold"] = long["item"].map(dict(zip(items["item"], items["label"], strict=True)))
    long.dropna().reset_index().to_csv(folder / "labels.csv", index=False)


def logs(folder: Path) -> None:
    """Write logs of 24 models in the form of lm-evaluation-harness, and a scale of their items."""
    made = irt.simulate(irt.TwoPL(), n_persons=24, n_items=60, seed=3).responses.dense()
    hashes = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(60)]
    for place, grades in enumerate(made):
        path = folder / "logs" / f"model-{place + 1}" / f"samples_quiz_{DATE}.jsonl"
        path.parent.mkdir(parents=True)
        with path.open("w") as stream:
            for number, grade in enumerate(grades):
                line = {
                    "doc_id": number,
                    "doc": {"question": f"Question {number}?"},
                    "doc_hash": hashes[number],
                    "target": "x",
                    "filtered_resps": ["x"],
                    "filter": "none",
                    "metrics": ["exact_match"],
                    "exact_match": float(grade),
                }
                stream.write(json.dumps(line) + "\n")
    answers = irt.read_logs(folder / "logs")
    screening = irt.screen_field(answers, irt.TwoPL(), irt.preset("leaderboard"))
    irt.write_scale(irt.build_scale(screening, name="quiz"), folder / "quiz.json")


def encoders(folder: Path) -> None:
    """Write two random encoders of a few thousand weights, and a labelled table."""
    from tests.bridge import tiny

    tiny.encoder_folder(folder / "models" / "minilm")
    tiny.encoder_folder(folder / "models" / "other", hidden_dropout_prob=0.2)
    topic("kitchen").to_csv(folder / "train.csv", index=False)
    topic("travel").to_json(folder / "development.jsonl", orient="records", lines=True)
    columns = topic("kitchen")[["item", "label"]].rename(columns={"label": "category"})
    columns.to_csv(folder / "categories.csv", index=False)


def cift(folder: Path) -> None:
    """Write the plan of the page, made small, with all its data."""
    from tests.bridge import tiny

    three_scales(folder)
    tiny.encoder_folder(folder / "encoders" / "minilm")
    parts = {
        "snli_train.jsonl": "travel",
        "snli_dev.jsonl": "garden",
        "sick.csv": "office",
        "snli_test.jsonl": "sports",
    }
    for name, scale in parts.items():
        rows = topic(scale).head(12)
        if name.endswith(".csv"):
            rows.to_csv(folder / name, index=False)
        else:
            rows.to_json(folder / name, orient="records", lines=True)
    labels = np.array([list(LABELS.values())])
    chaos = topic("sports").tail(12)
    shares = 0.8 * (chaos["label"].to_numpy()[:, None] == labels) + 0.2 / 3
    chaos.assign(label_distribution=shares.tolist()).to_json(
        folder / "chaosnli.jsonl", orient="records", lines=True
    )
    texts(irt.load_items("crowd_nli"), folder / "items.csv")
    block = next(b for b in blocks_of(text_of("docs/how-to/run-cift.md")) if b.kind == "json")
    plan = json.loads(block.code)
    plan["scales"] = [Path(name).name for name in plan["scales"]]
    plan["design"] |= {"sizes": [8], "seeds": 1, "learning_rates": [1e-3], "random": 6}
    plan["design"] |= {"arms": ["gold-mse"], "balanced_arms": [], "least_steps": 1}
    plan["design"] |= {"pretraining": {"epochs": 1}, "finetuning": {"epochs": 1}}
    (folder / "plan.json").write_text(json.dumps(plan))


Maker = Callable[[Path], None]
FILES: dict[str, tuple[Maker, ...]] = {
    "README.md": (raw_labels,),
    "docs/how-to/aggregate-crowd-labels.md": (crowd_labels,),
    "docs/how-to/analyst-decisions.md": (decisions,),
    "docs/how-to/choose-an-encoder.md": (encoders,),
    "docs/how-to/compare-in-pairs.md": (comparisons, encoders),
    "docs/how-to/draw-plots.md": (tables,),
    "docs/how-to/export-fine-tuning-data.md": (three_scales,),
    "docs/how-to/fine-tune-a-classifier.md": (encoders,),
    "docs/how-to/fine-tune-on-mistakes.md": (encoders,),
    "docs/how-to/rank-language-models.md": (logs,),
    "docs/how-to/run-cift.md": (cift,),
    "docs/how-to/score-evaluation-logs.md": (logs,),
    "docs/how-to/screen-items.md": (two_crowds,),
    "docs/how-to/small-samples.md": (few_answers,),
    "docs/how-to/write-a-report.md": (raw_labels, report_folder),
}
NEEDS: dict[str, tuple[str, ...]] = {  # extras that a page is about
    "docs/how-to/choose-an-encoder.md": ("torch", "transformers"),
    "docs/how-to/compare-in-pairs.md": ("torch", "transformers"),
    "docs/how-to/draw-plots.md": ("matplotlib", "nutpie", "pymc"),
    "docs/how-to/export-fine-tuning-data.md": ("pyarrow",),
    "docs/how-to/find-dif.md": ("matplotlib",),
    "docs/how-to/fine-tune-a-classifier.md": ("torch", "transformers", "pyarrow"),
    "docs/how-to/fine-tune-on-mistakes.md": ("torch", "transformers", "pyarrow"),
    "docs/how-to/run-cift.md": ("torch", "transformers", "matplotlib"),
    "docs/how-to/small-samples.md": ("nutpie", "pymc", "matplotlib"),
    "docs/how-to/use-a-gpu.md": ("torch", "array_api_compat"),
    "docs/how-to/write-a-report.md": ("matplotlib",),
}


@functools.cache
def shared_files() -> Path:
    """Make what most pages need, once; the folder goes when Python ends."""
    folder = Path(tempfile.mkdtemp(prefix="irtkit-pages-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    crowd_files(folder)
    graded_files(folder)
    return folder


def given(page: str, folder: Path) -> dict[str, object]:
    """Prepare a folder for a page; return the names that its code starts with."""
    names: dict[str, object] = {}
    if page.startswith(("docs/how-to", "README.md")):
        shutil.copytree(shared_files(), folder, dirs_exist_ok=True)
        for make in FILES.get(page, ()):
            make(folder)
    if page.startswith("docs/how-to"):
        exec(NAMES, names)
    return names
