"""`irtkit demo`: the whole chain on the embedded crowd answers, against what was planted there.

Orchestration and words only; every number comes from the rooms below.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from irtkit import storage, terminal
from irtkit.bridge.finetuning import finetuning_set, write_finetuning_set
from irtkit.datasets import load_dataset, load_items, load_truth
from irtkit.diagnostics.effort import low_effort
from irtkit.errors import FileError
from irtkit.io import read_scale, write_scale, write_table
from irtkit.models import TwoPL
from irtkit.norms import percentile_words
from irtkit.responses import Responses
from irtkit.scale import EvaluationScale, build_scale, scale_score
from irtkit.screening import Screening, preset, screen

DATA = "crowd_nli"
SEED = 20161101
INTERVAL = ("percentile_low", "percentile_high")
MARK = "made-by-irtkit-demo.txt"


def run_demo(folder: Path) -> None:
    """Screen each of the five embedded scales, score three models on them, export training data.

    Parameters
    ----------
    folder : Path
        Made, or emptied if an earlier demo made it.

    Raises
    ------
    FileError
        If the folder exists and is not a demo's, or cannot be written.
    """
    _prepare(folder)
    responses, items = load_dataset(DATA), load_items(DATA)
    terminal.say(
        f"{responses.n_persons:,} SIMULATED crowd workers labelled {responses.n_items} sentence "
        f"pairs written for irtkit: {', '.join(responses.label_set)}."
    )
    screenings: dict[str, Screening] = {}
    for topic, rows in items.groupby("scale", sort=False):
        with terminal.progress_line(f"screening {topic}") as tell:
            chosen = responses.select_items(list(rows["item"]))
            screenings[str(topic)] = screen(chosen, TwoPL(), preset("lalor2016"), progress=tell)
    scales = {}
    for topic, screening in screenings.items():
        scale = build_scale(screening, name=f"NLI, {topic} (simulated crowd)")
        path = folder / f"{topic}.scale.json"
        write_scale(scale, path)
        scales[topic] = read_scale(path)
        write_table(screening.log.set_index("step"), folder / f"{topic}.log.csv")
    _show_screenings(screenings)
    _compare_with_planted(screenings)
    _look_for_spammers(responses)
    _score_models(scales, items, folder)
    write_table(_answers(responses), folder / "answers.csv")
    topic, scale = next(iter(scales.items()))
    examples = finetuning_set(scale, items, target="crowd")
    write_finetuning_set(examples, folder / f"{topic}-finetuning", data_format="jsonl")
    terminal.say(
        f"\nExported the {len(examples.rows)} items of '{topic}' with the crowd's label "
        f"distributions. Everything is in {folder}/; to see it, run\n"
        f"irtkit report {folder} -o {folder.name}.html"
    )


def _answers(responses: Responses) -> pd.DataFrame:
    """One row a worker, one column an item, the label that was given."""
    assert responses.labels is not None
    codes = storage.dense(responses.labels)  # (P, I)
    labels = np.array([*responses.label_set, ""], dtype=object)[codes]  # -1, missing, is the last
    return pd.DataFrame(
        labels, index=pd.Index(responses.persons, name="person"), columns=list(responses.items)
    )


def _prepare(folder: Path) -> None:
    if folder.exists() and not (folder / MARK).is_file():
        raise FileError(f"{folder} exists and was not made by a demo. Choose another folder (-o).")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        (folder / MARK).write_text("Made by `irtkit demo`, which replaces this folder.\n")
    except OSError as error:
        raise FileError(f"{folder} cannot be made: {error.strerror or error}.") from error


def _show_screenings(screenings: dict[str, Screening]) -> None:
    rows = [
        {
            "scale": topic,
            "items": len(screening.first.items),
            "kept": len(screening.kept),
            "dropped (rule)": ", ".join(
                f"{item} ({rule})"
                for item, rule in zip(
                    screening.dropped["item"], screening.dropped["rule"], strict=True
                )
            ),
        }
        for topic, screening in screenings.items()
    ]
    terminal.show_table(pd.DataFrame(rows).set_index("scale"), "\nScreening, preset lalor2016")


def _compare_with_planted(screenings: dict[str, Screening]) -> None:
    """Print what the generator planted and what the screenings did about it."""
    truth = load_truth(DATA)
    flags = pd.concat([screening.log for screening in screenings.values()])
    flags = flags[flags["decision"].isin(["flag", "drop"])]
    dropped = pd.concat([screening.dropped for screening in screenings.values()])
    gone = dict(zip(dropped["item"], dropped["rule"], strict=True))
    rows = []
    for pair in truth["dependent_pairs"]:
        seen = flags[(flags["rule"] == "ld_x2") & flags["item"].isin(pair)]
        named = seen[[any(item in reason for item in pair) for reason in seen["reason"]]]
        verdict = "flagged by ld_x2" if len(named) else "not flagged"
        rows.append(("dependent pair", " + ".join(pair), verdict, _fate(pair, gone)))
    for item in truth["misfitting_items"]:
        by = sorted(set(flags[flags["item"] == item]["rule"]))
        verdict = f"flagged by {', '.join(by)}" if by else "not flagged"
        rows.append(("folded curve", item, verdict, _fate([item], gone)))
    planted = {item for pair in truth["dependent_pairs"] for item in pair}
    planted |= set(truth["misfitting_items"])
    others = [item for item in gone if item not in planted]
    n_items = sum(len(screening.first.items) for screening in screenings.values())
    rows.append(("nothing", f"{n_items - len(planted)} other items", "", _fate(others, gone)))
    found = pd.DataFrame(rows, columns=["planted", "item", "found", "outcome"])
    terminal.show_table(found.set_index("planted"), "\nPlanted and found")


def _look_for_spammers(responses: Responses) -> None:
    """Print how many of the planted spammers the low-effort flags find."""
    flagged = low_effort(responses)["low_effort"]
    planted = [spammer["worker"] for spammer in load_truth(DATA)["spammers"]]
    found = int(flagged.reindex(planted).sum())
    terminal.say(
        f"Low effort: {int(flagged.sum())} of {len(flagged):,} workers do no better than chance "
        f"or give one label all the time, {found} of the {len(planted)} planted spammers among "
        "them; the others were drawn with little ability. Nobody is taken out."
    )


def _fate(items: list[str], gone: dict[str, str]) -> str:
    lost = [f"{item} dropped ({gone[item]})" for item in items if item in gone]
    return ", ".join(lost) if lost else "kept"


def _score_models(scales: dict[str, EvaluationScale], items: pd.DataFrame, folder: Path) -> None:
    """Score three invented models on each scale and show their abilities."""
    shown: dict[str, dict[str, str]] = {}
    for topic, scale in scales.items():
        table = scale_score(_models(scale, items), scale).table()
        write_table(table, folder / f"{topic}.scores.csv")
        shown[topic] = {
            str(name): "{} ({} to {})".format(
                *(percentile_words(row[end]) for end in ("percentile", *INTERVAL))
            )
            + (" *" if row["at_ceiling"] else "")
            for name, row in table.iterrows()
        }
    terminal.show_table(
        pd.DataFrame(shown).T.rename_axis("scale"),
        "\nPercentile of three invented models (95% interval)",
    )
    terminal.say("* at the ceiling: every answer right, so only the interval means anything.")


def _models(scale: EvaluationScale, items: pd.DataFrame) -> Responses:
    """Predict with three invented models: always entailment, a noisy one, and the key itself."""
    rng = np.random.default_rng(SEED)
    gold = items.set_index("item")["label"].loc[list(scale.items)]
    labels = scale.calibration.label_set
    other = [str(rng.choice([label for label in labels if label != right])) for right in gold]
    careful = np.where(rng.random(len(gold)) < 0.8, gold.to_numpy(), np.array(other))
    answers = {
        "always-entailment": ["entailment"] * len(gold),
        "right-on-80%": careful.tolist(),
        "all-right": gold.tolist(),
    }
    names = [name for name in answers for _ in gold]
    made = Responses.from_triples(
        names,
        list(scale.items) * len(answers),
        [label for given in answers.values() for label in given],
        key=dict(gold),
    )
    return made
