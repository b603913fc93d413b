"""From a folder, or one scale, to the parts of a report: what belongs together.

Each scale is a part; where there is none, each calibration. Logs, tables, answers and texts go to
the part whose items they are about. What fits two parts, or could be two things, is refused by
name rather than guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from irtkit.bridge.predictions import predictions_of
from irtkit.bridge.ranking.leaderboard import leaderboard
from irtkit.errors import FileError, IrtkitError, ResponseError, ScaleError, count, listing
from irtkit.estimation.calibration import Calibration
from irtkit.io.files import reason_of
from irtkit.layout import Long, Wide
from irtkit.report.answers import AnswerFormat, answers_of
from irtkit.report.kinds import Finding, recognised, texts_of
from irtkit.report.parts import Part, Source
from irtkit.responses import Responses

MOST_PARTS = 12
MOST_FILES = 300
LEAST_SHARE = 0.5  # of a part's items that a file should name, to be about it
BY_ITEM = ("item_fit", "item_curves", "score_curves", "local_dependence", "dif")
OF_ALL = ("model_fit", "dimensionality")


def findings(path: str | Path) -> list[Finding]:
    """Look into a folder and its subfolders, or at one file.

    Raises
    ------
    FileError
        If there is nothing, or the folder holds too many files.
    ScaleError
        If it holds neither a scale nor a calibration, or a damaged one.
    """
    path = Path(path)
    if path.is_dir():
        files = _files(path)
        found = [recognised(file, file.relative_to(path).as_posix()) for file in files]
    elif path.exists():
        found = [recognised(path, path.name)]
    else:
        raise FileError(f"{path} does not exist.")
    if not any(finding.kind in ("scale", "calibration") for finding in found):
        unread = [f"{f.name} ({f.content})" for f in found if f.kind == "unread"]
        why = f" Not read: {'; '.join(unread[:3])}." if unread else ""
        raise ScaleError(
            f"{path} holds neither a scale nor a calibration, and a report is about one.{why} "
            "Make one with irtkit screen or irtkit calibrate, and name it or its folder."
        )
    return found


def _files(folder: Path) -> list[Path]:
    try:
        tops = sorted(folder.iterdir())
        inner = [sorted(top.iterdir()) for top in tops if top.is_dir() and top.name[0] != "."]
    except OSError as error:
        raise FileError(f"{folder} cannot be read: {reason_of(error)}.") from error
    deeper = [sorted(at.iterdir()) for some in inner for at in some if at.is_dir()]
    files = [at for some in ([*tops], *inner, *deeper) for at in some]
    files = [file for file in files if file.is_file() and not file.name.startswith(".")]
    if len(files) > MOST_FILES:
        raise FileError(
            f"{folder} holds {len(files):,} files; a report looks into at most {MOST_FILES}. "
            "Name a scale, or a folder with what belongs to one."
        )
    return files


def parts_of(
    found: Sequence[Finding], form: AnswerFormat, answers: str | None = None
) -> list[Part]:
    """Put together what belongs together.

    Parameters
    ----------
    found : sequence of Finding
    form : AnswerFormat
        How the answers are to be read.
    answers : str, optional
        The file of answers, if the findings do not decide.

    Raises
    ------
    ScaleError
        For more than twelve scales.
    ResponseError
        If several files could be the answers to the same items.
    """
    whole = [f for f in found if f.kind == "scale"] or [
        f for f in found if f.kind == "calibration"
    ]
    if len(whole) > MOST_PARTS:
        raise ScaleError(
            f"There are {len(whole)} scales; a report shows at most {MOST_PARTS}. Name one of "
            f"{listing([f.name for f in whole], 3)}."
        )
    parts = [_bare(finding) for finding in whole]
    parts = _with_names_apart(parts, whole)
    texts: dict[str, str] = {}
    for finding in found:
        if finding.kind == "texts":
            for item, text in texts_of(finding.content).items():
                texts.setdefault(item, text)
    made = []
    for part, own in zip(parts, whole, strict=True):
        filled = replace(
            part,
            texts={item: text for item, text in texts.items() if _about(part, item)},
            log=_log(part, found),
            tables=_tables(part, found, alone=len(parts) == 1),
        )
        filled = _with_answers(filled, found, form, answers)
        made.append(_with_models(filled, own, found, alone=len(parts) == 1))
    return made


def _about(part: Part, item: str) -> bool:
    dropped = () if part.scale is None else part.scale.provenance.dropped
    return item in part.items or any(item == gone for gone, _, _ in dropped)


def _bare(finding: Finding) -> Part:
    if finding.kind == "scale":
        scale = finding.content
        return Part(scale.name, scale.calibration, scale)
    return Part(Path(finding.name).stem, finding.content)


def _with_names_apart(parts: list[Part], whole: Sequence[Finding]) -> list[Part]:
    """Name parts after their files too where scales share a name."""
    names = [part.name for part in parts]
    return [
        replace(part, name=f"{part.name} ({finding.name})") if names.count(part.name) > 1 else part
        for part, finding in zip(parts, whole, strict=True)
    ]


def calibrated(calibration: Calibration) -> list[str]:
    """Ids of the items that have parameters."""
    known = zip(calibration.items, calibration.calibrated, strict=True)
    return [item for item, there in known if there]


def _log(part: Part, found: Sequence[Finding]) -> pd.DataFrame | None:
    """The log that ends with the items of this scale."""
    if part.scale is None:
        return None
    for finding in found:
        if finding.kind == "log":
            table = finding.content
            kept = table[(table["rule"] == "end") & (table["decision"] == "keep")]["item"]
            if set(kept) == set(part.items):
                return table
    return None


def _tables(part: Part, found: Sequence[Finding], *, alone: bool) -> dict[str, pd.DataFrame]:
    """Tables about exactly these items; those about no item in particular from beside them."""
    wanted = set(calibrated(part.calibration))
    chosen: dict[str, pd.DataFrame] = {}
    beside: set[Path] = set()
    for finding in found:
        if finding.kind not in BY_ITEM:
            continue
        table = finding.content
        names = ["item_1", "item_2"] if finding.kind == "local_dependence" else ["item"]
        if {item for name in names for item in table[name]} == wanted:
            beside.add(finding.path.parent)
            index = names if finding.kind in ("local_dependence", "item_fit", "dif") else None
            chosen.setdefault(finding.kind, table.set_index(index) if index else table)
    elsewhere = {f.path.parent for f in found if f.kind in BY_ITEM} - beside
    for finding in found:
        own = finding.path.parent in beside or (alone and finding.path.parent not in elsewhere)
        if finding.kind in OF_ALL and own:
            table = finding.content
            if finding.kind == "dimensionality":
                if len(table) > len(wanted):
                    continue
                table = table.set_index("component")
            chosen.setdefault(finding.kind, table)
    return chosen


def _with_answers(
    part: Part, found: Sequence[Finding], form: AnswerFormat, named: str | None
) -> Part:
    """Read the answers to the items of a part, if there are any."""
    if named is not None:
        answers = answers_of(part, named, form)
        return replace(part, answers=answers, notes=(*part.notes, *answers.notes))
    likely = [f for f in found if f.kind in ("answers", "long") and _share(part, f) >= LEAST_SHARE]
    made: dict[str, Responses] = {}
    notes = list(part.notes)
    for finding in likely:
        layout = Long() if finding.kind == "long" else Wide()
        try:
            made[finding.name] = answers_of(part, str(finding.path), form, likely=layout)
        except IrtkitError as error:
            notes.append(f"{finding.name} looks like answers, but cannot be used. {error}")
    same = [name for name, answers in made.items() if _made_it(part, answers)]
    if len(made) > 1 and len(same) != 1:
        raise ResponseError(
            f"Several files could be the answers to '{part.name}': {listing(made)}. Say which "
            "with --answers."
        )
    if not made:
        return replace(part, notes=tuple(notes))
    answers = made[(same or list(made))[0]]
    return replace(part, answers=answers, notes=(*notes, *answers.notes))


def _share(part: Part, finding: Finding) -> float:
    """Share of the items of a part that a file of answers names."""
    table = finding.content
    named = set(table["item"].map(str)) if finding.kind == "long" else set(table.columns[1:])
    return len(named & set(part.items)) / len(part.items)


def _made_it(part: Part, answers: Responses) -> bool:
    """Whether these are, to the last cell, the answers that made a scale."""
    return (
        part.scale is not None and answers.fingerprint() == part.scale.provenance.responses_sha256
    )


def _with_models(part: Part, own: Finding, found: Sequence[Finding], *, alone: bool) -> Part:
    """Add the models that were scored, or whose answers are there."""
    for finding in found:
        if finding.kind == "scores" and (alone or _namesake(finding, own)):
            return replace(part, standings=standings_of(finding.content))
    likely = [f for f in found if f.kind == "predictions" and _share_of_predictions(part, f)]
    if part.scale is None or not likely:
        return part
    return with_predictions(part, [str(finding.path) for finding in likely])


def _share_of_predictions(part: Part, finding: Finding) -> bool:
    named = set(finding.content["item"].map(str))
    return len(named & set(part.items)) >= LEAST_SHARE * len(part.items)


def _namesake(finding: Finding, own: Finding) -> bool:
    """Whether two files in one folder are named alike up to the first dot."""
    same = finding.path.parent == own.path.parent
    return same and finding.path.name.split(".")[0] == own.path.name.split(".")[0]


def standings_of(table: pd.DataFrame) -> pd.DataFrame:
    """Index a table of scores by model, the ablest first."""
    name = next((c for c in ("model", "person") if c in table.columns), str(table.columns[0]))
    made = table.set_index(name).rename_axis("model")
    return made.sort_values("theta", ascending=False, kind="stable")


def with_predictions(part: Part, paths: Sequence[str]) -> Part:
    """Score models by their answers.

    Raises
    ------
    PredictionError
        If the answers do not match the scale.
    """
    assert part.scale is not None
    sources = predictions_of(list(paths))
    tables = [leaderboard(source.responses, part.scale) for source in sources]
    notes = [note for source in sources for note in source.responses.notes]
    made = pd.concat(tables).sort_values("theta", ascending=False, kind="stable")
    return replace(part, standings=made, notes=(*part.notes, *notes))


def sources_of(found: Sequence[Finding]) -> tuple[list[Source], list[str]]:
    """Tell which files were read, with their hashes, and which were not, in sentences."""
    used = [f for f in found if f.kind not in ("other", "unread")]
    sources = [Source(f.name, f.what, f.sha256()) for f in used]
    unread = [f"{f.name} was {f.what}" for f in found if f.kind == "unread"]
    others = sum(f.kind == "other" for f in found)
    notes = [note if note.endswith(".") else f"{note}." for note in unread]
    if others:
        notes.append(f"{count(others, 'other file')} in the folder, of kinds that no part needs.")
    return sources, notes
