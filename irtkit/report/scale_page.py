"""The page of a report: for each part a summary, items, screening, structure, norms, models.

It puts sections in order; what they say is in the files beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element

from irtkit.report import pictures
from irtkit.report.behaviour import ITEMS, SORTING
from irtkit.report.completion import ends, person_scores
from irtkit.report.flags import marks
from irtkit.report.item_table import item_table
from irtkit.report.methods import methods, versions
from irtkit.report.page import Column, Section, bullets, element, folded, page, paragraph, table
from irtkit.report.parts import Part, Source
from irtkit.report.placing import model_table, norm_table, reliability_words
from irtkit.report.story import story
from irtkit.report.structure import fit_words
from irtkit.report.summary import measures, summary
from irtkit.scoring import Scores

PACKAGES = ("irtkit", "numpy", "scipy", "pandas", "matplotlib")
ITEM_HELP = (
    "Discrimination says how sharply an item tells persons apart, difficulty where. A row opens "
    "with the item's text, the reasons of its flags and its curve."
)
NO_FIT = (
    "Nothing is shown here: there are no answers to compute the fit from, and no tables of irtkit "
    "diagnose about exactly these items."
)


def scale_page(
    title: str, parts: Sequence[Part], sources: Sequence[Source], notes: Sequence[str] = ()
) -> str:
    """Write the page of a report.

    Parameters
    ----------
    title : str
    parts : sequence of Part
        One a scale, in order.
    sources : sequence of Source
        The files that were read.
    notes : sequence of str
        What was noticed about the files.

    Returns
    -------
    str
        An HTML document.
    """
    alone = len(parts) == 1
    groups = [
        _part(part, "" if alone else f"{number}-", alone=alone)
        for number, part in enumerate(parts, 1)
    ]
    last = Section("Files, versions and hashes", _reproduction(parts, sources, notes), "files")
    names = [""] if alone else [part.name for part in parts]
    first = Section("", [_contents(dict(zip(names, groups, strict=True)), last)])
    sections = [section for group in groups for section in group]
    return page(title, [first, *sections, last], script=SORTING + ITEMS)


def _contents(groups: Mapping[str, Sequence[Section]], last: Section) -> Element:
    """Links to all sections; those of several parts are folded under the part's name."""
    made = element("nav", {"aria-label": "Contents"})
    for name, sections in groups.items():
        links = element("ul", *(_link(section, name) for section in sections))
        made.append(folded(name, links) if name else links)
    if "" in groups:
        made[0].append(_link(last, ""))
    else:
        made.append(element("ul", _link(last, "")))
    return made


def _link(section: Section, name: str) -> Element:
    words = section.title.removesuffix(f": {name}") if name else section.title
    return element("li", element("a", {"href": f"#{section.anchor}"}, words))


def _part(part: Part, prefix: str, *, alone: bool) -> list[Section]:
    """The sections of a part, those about nothing left out."""
    scores = person_scores(part)
    found = measures(part, scores, ends(part))
    drawn, notes = _drawn(part, scores)
    told = fit_words(part)
    structure = [bullets(told) if told else paragraph(NO_FIT), *drawn["fit"]]
    items = [paragraph(ITEM_HELP), item_table(part, marks(part), f"{prefix}item")]
    notes = [*_missing(part), *part.notes, *notes]
    rows: list[tuple[str, str, list[Element]]] = [
        ("Summary", "summary", summary(part, found)),
        ("Items", "items", items),
        ("Screening", "screening", story(part)),
        ("Fit and dimensions", "fit", structure),
        ("Reliability and range", "range", [*reliability_words(part, found), *drawn["range"]]),
        ("Norms and ceiling", "norms", [*norm_table(part, found), *drawn["norms"]]),
        ("Scored models", "models", [*model_table(part), *drawn["models"]]),
        ("Methods, to paste", "methods", [_pasted(methods(part, found))]),
        ("Not shown, and notes", "notes", [bullets(notes)] * bool(notes)),
    ]
    of = "" if alone else f": {part.name}"
    return [Section(f"{title}{of}", made, f"{prefix}{name}") for title, name, made in rows if made]


def _drawn(part: Part, scores: Scores | None) -> tuple[dict[str, list[Element]], list[str]]:
    """The pictures of each section, and why some could not be drawn."""
    drawn, notes = {}, []
    for name, drawings in (
        ("range", pictures.of_measurement(part, scores)),
        ("fit", pictures.of_structure(part)),
        ("norms", pictures.of_norms(part)),
        ("models", pictures.of_models(part)),
    ):
        drawn[name], told = pictures.gallery(drawings)
        notes += told
    return drawn, notes


def _pasted(text: str) -> Element:
    return element("pre", {"class": "methods"}, text)


def _missing(part: Part) -> list[str]:
    told = []
    if part.answers is None:
        told.append(
            "No answers were found, so curves stand without what was observed, and nothing was "
            "tested that no table tells of. Put the answers in the folder, or say --answers."
        )
    if not part.texts:
        told.append("No texts of the items were found. Put them in the folder, or say --texts.")
    if part.scale is not None and part.log is None and part.scale.provenance.dropped:
        told.append(
            "No screening log ends with these items, so the story is what the scale itself "
            "recorded: what went and why, without decisions of an analyst to keep an item."
        )
    return told


def _reproduction(
    parts: Sequence[Part], sources: Sequence[Source], notes: Sequence[str]
) -> list[Element]:
    columns = [
        Column("File", [source.name for source in sources]),
        Column("What it is", [source.what for source in sources]),
        Column("SHA-256", [source.sha256 for source in sources]),
    ]
    made: list[Element] = [
        paragraph(
            "Whoever has these files, with these hashes, these versions and the same fonts gets "
            "this report again, byte for byte."
        ),
        table(columns, caption="The files that were read."),
    ]
    facts = [f"{name} {number}" for name, number in versions(PACKAGES)]
    lines = [f"Made with {', '.join(facts)}."]
    for part in parts:
        if part.scale is not None:
            known = part.scale.provenance
            lines.append(
                f"“{part.name}” was built by irtkit {known.irtkit} from answers with the hash "
                f"{known.responses_sha256}."
            )
    made.append(bullets([*lines, *notes]))
    return made
