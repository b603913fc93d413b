"""Reading the answers to the items of a part, graded by the key that the scale itself holds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from irtkit.coding import Coding
from irtkit.errors import ResponseError, count, listing
from irtkit.io import TextFormat, read_responses
from irtkit.layout import Layout, Wide
from irtkit.report.parts import Part
from irtkit.responses import Responses

CODES = {"0", "1", "0.0", "1.0"}


@dataclass(frozen=True, slots=True)
class AnswerFormat:
    """How files of answers are to be read.

    Attributes
    ----------
    layout : Wide or Long, optional
        By default as the file seems to be.
    coding : Coding
    text : TextFormat
    key : str, optional
        File of the right answers; by default the key in the scale is taken.
    """

    layout: Layout | None = None
    coding: Coding = field(default_factory=Coding)
    text: TextFormat = field(default_factory=TextFormat)
    key: str | None = None


def answers_of(
    part: Part, path: str, form: AnswerFormat, *, likely: Layout | None = None
) -> Responses:
    """Read the answers to the items of a part.

    Parameters
    ----------
    part : Part
    path : str
    form : AnswerFormat
    likely : Wide or Long, optional
        The layout that the file seems to have.

    Raises
    ------
    FileError
        If the file cannot be read.
    ResponseError
        If it holds no answer to these items, or labels that the scale does not know.
    """
    layout = form.layout or likely or Wide()
    calibration = part.calibration
    if calibration.key is not None and form.key is None:
        raw = read_responses(
            path, layout=layout, coding=replace(form.coding, nominal=True), text=form.text
        )
        if not set(raw.label_set) <= CODES:
            return _graded(part, path, raw, replace(form, layout=layout))
    made = read_responses(path, layout=layout, key=form.key, coding=form.coding, text=form.text)
    return _of_part(part, made)


def _graded(part: Part, path: str, raw: Responses, form: AnswerFormat) -> Responses:
    """Read labels anew, with the scale's key; what is not on the scale is left out."""
    calibration = part.calibration
    assert calibration.key is not None
    strange = sorted(set(raw.label_set) - set(calibration.label_set))
    if strange:
        raise ResponseError(
            f"{path} holds labels that '{part.name}' does not know: {listing(strange)}; it knows "
            f"{listing(calibration.label_set)}. Map them (--label-map {strange[0]}=LABEL)."
        )
    gold = dict(zip(part.items, calibration.key, strict=True))
    _of_part(part, raw)
    key = {item: gold.get(item, "") for item in raw.items}
    made = read_responses(path, layout=form.layout, key=key, coding=form.coding, text=form.text)
    notes = tuple(note for note in made.notes if "without a gold label" not in note)
    return replace(_of_part(part, made), notes=notes)


def _of_part(part: Part, answers: Responses) -> Responses:
    """The answers to the items of a part, in its order."""
    known = set(answers.items)
    chosen = [item for item in part.items if item in known]
    if not chosen:
        raise ResponseError(
            f"None of the {count(answers.n_items, 'item')} answered is on '{part.name}': answered "
            f"are {listing(answers.items, 3)}, the scale has {listing(part.items, 3)}."
        )
    return answers.select_items(chosen)
