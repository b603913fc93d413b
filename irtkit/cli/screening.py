"""The command that screens: one set of answers, or many scales at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import pandas as pd

from irtkit import terminal
from irtkit.cli.group import cli, vacant, vacant_folder
from irtkit.cli.outputs import keep_partial
from irtkit.errors import IrtkitError, NotConverged, NothingKept
from irtkit.estimation import MML
from irtkit.estimation.by_method import Method
from irtkit.io import (
    calibration_content,
    read_decisions,
    scale_content,
    write_scale,
    write_table,
    write_tables,
)
from irtkit.io.documents import previous_content
from irtkit.io.files import write_folder_atomically
from irtkit.io.tables import table_content
from irtkit.method_options import with_method
from irtkit.models import MODELS, ItemModel
from irtkit.options import JSON, OVERWRITE, Reading, about, with_answers
from irtkit.responses import Responses
from irtkit.scale import build_scale
from irtkit.screening import (
    PRESETS,
    Decision,
    Screening,
    before_and_after,
    confirm,
    order_robustness,
    preset,
    screen,
    screening_controls,
)


@cli.command("screen", short_help="Drop poor items, freeze the rest as a scale.")
@click.argument("answers", nargs=-1, required=True, type=click.Path())
@with_answers
@with_method
@click.option("--preset", "rules", type=click.Choice(sorted(PRESETS)), default="lalor2016")
@click.option("--decisions", type=click.Path(), help="CSV of item,decision,reason.")
@click.option("--keep", multiple=True, metavar="ITEM=REASON", help="Keep this item whatever.")
@click.option("--drop", multiple=True, metavar="ITEM=REASON", help="Drop this item first.")
@click.option(
    "--each-gold",
    is_flag=True,
    help="One scale for the items of each gold label; the output is a folder.",
)
@click.option("--name", help="What the scale measures (default: the output's name).")
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    required=True,
    help="Scale file (JSON), or folder, to write.",
)
@click.option("--log", help="Also write the screening log (CSV).")
@click.option("--checks", help="Also check the screening, into this folder of tables.")
@click.option(
    "--half-samples",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    help="With --checks: pairs of halves that are screened.",
)
@click.option("--seed", type=click.IntRange(0), default=1, help="With --checks.")
@OVERWRITE
@JSON
def screen_command(
    answers: Sequence[str],
    reading: Reading,
    model: str,
    method: Method,
    rules: str,
    decisions: str | None,
    keep: Sequence[str],
    drop: Sequence[str],
    each_gold: bool,
    name: str | None,
    output: str,
    log: str | None,
    checks: str | None,
    half_samples: int,
    seed: int,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Screen the items of ANSWERS and freeze what is left as an evaluation scale.

    Several ANSWERS, or --each-gold, make several scales: OUTPUT is then a folder with a scale
    and a log for each, and summary.csv.
    """
    reading.check(len(answers))
    inputs = [*answers, *reading.inputs(decisions)]
    if checks is not None:
        if not isinstance(method, MML):
            raise click.UsageError("--checks repeats the screening often: use --method mml.")
        vacant_folder(checks, overwrite=overwrite)
    if each_gold or len(answers) > 1:
        if log is not None or name is not None or checks is not None:
            raise click.UsageError(
                "--log, --name and --checks are for one scale; several get their logs and names "
                "in the output folder."
            )
        vacant_folder(output, overwrite=overwrite)
        decided = _decisions(decisions, keep, drop)
        parts = _parts(answers, reading, each_gold)
        summary, unconverged = _screen_all(
            parts, MODELS[model], rules, method, decided, output, overwrite
        )
        _show_summary(summary, output, as_json)
        if unconverged:
            raise NotConverged(
                f"Not converged: {', '.join(unconverged)}. Their last states are in {output}, in "
                "files that end in .partial."
            )
        return
    vacant(output, log, overwrite=overwrite, inputs=inputs, tables=[log])
    decided = _decisions(decisions, keep, drop)
    responses = reading.read(answers[0])
    try:
        with about(answers[0]):
            result = _screened(responses, MODELS[model], rules, method, decided, log)
    except NotConverged as error:
        keep_partial(error, output)
        raise
    scale = build_scale(result, name=name or Path(output).stem)
    write_scale(scale, output)
    if log is not None:
        write_table(result.log.set_index("step"), log)
    if checks is not None:
        assert isinstance(method, MML)
        tables = _checked(responses, MODELS[model], rules, method, decided, half_samples, seed)
        tables["before_and_after"] = before_and_after(responses, result)
        write_tables(tables, checks, overwrite=overwrite)
    terminal.tell_notes(result.calibration.notes)
    _show(responses, result, output, checks, as_json)


def _decisions(path: str | None, keep: Sequence[str], drop: Sequence[str]) -> list[Decision]:
    found = read_decisions(path) if path else []
    for words, what in ((keep, "keep"), (drop, "drop")):
        for word in words:
            item, equals, reason = word.partition("=")
            if not equals:
                raise click.UsageError(f"--{what} takes ITEM=REASON, not '{word}'.")
            found.append(Decision(item, what, reason))
    return found


def _screened(
    responses: Responses,
    model: ItemModel,
    rules: str,
    method: Method,
    decided: Sequence[Decision],
    log: str | None,
) -> Screening:
    """Screen; where nothing is left, the log is written all the same."""
    try:
        with terminal.progress_line("screening") as tell:
            return screen(
                responses, model, preset(rules), method=method, decisions=decided, progress=tell
            )
    except NothingKept as error:
        if log is not None and error.log is not None:
            write_table(error.log.set_index("step"), log)
            terminal.tell_notes([f"What was dropped, and why, is in {log}."])
        raise


def _show(
    responses: Responses, result: Screening, output: str, checks: str | None, as_json: bool
) -> None:
    if as_json:
        steps = terminal.records(result.log.set_index("step"))
        terminal.show_json({"output": output, "kept": result.kept, "log": steps})
        return
    terminal.say(f"first log-likelihood {result.first.log_likelihood:.3f}")
    for line in story(result):
        terminal.say(line)
    terminal.say(
        f"kept {len(result.kept)} of {responses.n_items} items, log-likelihood "
        f"{result.calibration.log_likelihood:.3f}; written to {output}"
    )
    if checks is not None:
        terminal.say(f"checks of the screening written to {checks}")
    terminal.say("The fit of the kept items is post-selection: confirm it on new answers.")


def story(result: Screening) -> list[str]:
    """Return the log in sentences, without the items that were kept at the end."""
    lines = []
    for row in result.log[result.log["rule"] != "end"].to_dict("records"):
        item = f" {row['item']}" if row["item"] else ""
        line = f"step {row['step']}: {row['decision']}{item} ({row['rule']}): {row['reason']}"
        if row["decision"] == "drop":
            line += (
                f" Reliability {row['reliability_before']:.3f} -> {row['reliability_after']:.3f}."
            )
        lines.append(line)
    return lines


def _checked(
    responses: Responses,
    model: ItemModel,
    rules: str,
    method: MML,
    decided: Sequence[Decision],
    half_samples: int,
    seed: int,
) -> dict[str, pd.DataFrame]:
    """Order robustness, controls and split-half confirmation, as tables."""
    with terminal.progress_line("checking") as tell:

        def told(what: str):  # type: ignore[no-untyped-def]
            return lambda done, every: tell(f"{what} {done} of {every}", done / every)

        robust = order_robustness(
            responses,
            model,
            preset(rules),
            n_pairs=half_samples,
            seed=seed,
            method=method,
            decisions=decided,
            progress=told("half-sample"),
        )
        controls = screening_controls(
            responses, model, preset(rules), seed=seed, method=method, progress=told("control")
        )
        confirmed = confirm(
            responses,
            model,
            preset(rules),
            seed=seed,
            method=method,
            decisions=decided,
            progress=told("confirming half"),
        )
    return {
        "retention": robust.items,
        "clusters": robust.clusters,
        "overlap": robust.overlap,
        "theta": robust.theta,
        "controls": controls,
        "confirmation": confirmed,
    }


def _parts(answers: Sequence[str], reading: Reading, each_gold: bool) -> dict[str, Responses]:
    """Read all answers; name each part after its file and, if wanted, its gold label."""
    parts: dict[str, Responses] = {}
    known: dict[str, str] = {}
    for number, path in enumerate(answers):
        responses = reading.read(path, number)
        twin = known.setdefault(responses.fingerprint(), path)
        if twin != path:
            terminal.tell_notes([f"{path} holds the same answers as {twin}."])
        stem = Path(path).name.split(".")[0]
        labels = sorted(set(responses.key or ())) if each_gold else [""]
        if not labels:
            raise click.UsageError(f"--each-gold needs a key, and {path} was read without one.")
        for label in labels:
            name = f"{stem}-{label}" if label else stem
            if name in parts:
                raise click.UsageError(f"Two files of answers are called {stem}; rename one.")
            chosen = responses.items_with_gold(label) if label else list(responses.items)
            parts[name] = responses.select_items(chosen)
    return parts


def _screen_all(
    parts: Mapping[str, Responses],
    model: ItemModel,
    rules: str,
    method: Method,
    decided: Sequence[Decision],
    output: str,
    overwrite: bool,
) -> tuple[pd.DataFrame, list[str]]:
    """Screen each part; write scales, logs and a summary as one folder.

    A part that fails is told of there; the names of those that did not converge are returned.
    """
    files: dict[str, bytes] = {}
    rows, unconverged = [], []
    stories: list[str] = []
    for name, responses in parts.items():
        own = [choice for choice in decided if choice.item in set(responses.items)]
        row: dict[str, object] = {
            "scale": name,
            "n_persons": responses.n_persons,
            "n_items": responses.n_items,
        }
        log = None
        try:
            result = _screened(responses, model, rules, method, own, None)
        except IrtkitError as error:
            row |= {"n_kept": 0, "dropped": str(error)}
            log = error.log if isinstance(error, NothingKept) else None
            if isinstance(error, NotConverged):
                unconverged.append(name)
                if error.calibration is not None:
                    files[f"{name}.json.partial"] = calibration_content(error.calibration, name)
        else:
            log = result.log
            files |= _scale_files(result, name, output)
            stories += [f"{name}: {line}" for line in story(result)]
            row |= _kept(result)
        if log is not None:
            files[f"{name}.log.csv"] = table_content(log.set_index("step"), f"{name}.log.csv")
        rows.append(row)
    summary = pd.DataFrame(rows).set_index("scale")
    files["summary.csv"] = table_content(summary, "summary.csv")
    write_folder_atomically(output, files, overwrite=overwrite)
    for line in stories:
        terminal.tell(line)
    return summary, unconverged


def _scale_files(result: Screening, name: str, output: str) -> dict[str, bytes]:
    """Make the file of a scale and, if it replaces another, that one's backup."""
    path = Path(output) / f"{name}.json"
    content = scale_content(build_scale(result, name=name), path)
    previous = previous_content(path, content)
    backup = {} if previous is None else {f"{path.name}.bak": previous}
    return {path.name: content, **backup}


def _kept(result: Screening) -> dict[str, object]:
    pairs = zip(result.dropped["item"], result.dropped["rule"], strict=True)
    return {
        "n_kept": len(result.kept),
        "dropped": ", ".join(f"{item} ({rule})" for item, rule in pairs) or "nothing",
        "log_likelihood": result.first.log_likelihood,
    }


def _show_summary(summary: pd.DataFrame, output: str, as_json: bool) -> None:
    if as_json:
        terminal.show_json({"output": output, "scales": terminal.records(summary)})
        return
    terminal.show_table(summary, f"{len(summary)} scales")
    terminal.say(f"written to {output}")
    terminal.say("The fit of the kept items is post-selection: confirm it on new answers.")
