"""The pictures of a report, each with what it shows and how to read it.

`irtkit.plots` draws; here they become images within the page. What cannot be drawn is told in a
sentence instead.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

import numpy as np

from irtkit import plots
from irtkit.errors import ModelError, count
from irtkit.report.flags import misfitting
from irtkit.report.page import element
from irtkit.report.parts import Part
from irtkit.scoring import Scores, test_information

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_MODELS = 8
MOST_RANKED = 40
MOST_MAPPED = 300
MOST_RESIDUALS = 6
FEWEST_PERSONS = 30  # of a histogram
DOTS = 110  # an inch, of what is drawn in dots


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture to draw.

    Attributes
    ----------
    title : str
    alt : str
        What it shows, for those who do not see it.
    reading : str
        How to read it, in a sentence or two.
    draw : callable
        Returns axes or a figure.
    dotted : bool
        Whether it has so many marks that dots are smaller than shapes.
    """

    title: str
    alt: str
    reading: str
    draw: Callable[[], Axes | Figure]
    dotted: bool = False


def gallery(drawings: Sequence[Drawing]) -> tuple[list[Element], list[str]]:
    """Draw pictures as figures of the page; return also why some could not be drawn."""
    figures, notes = [], []
    for drawing in drawings:
        try:
            source = _image(drawing)
        except ModelError as error:
            notes.append(f"{drawing.title}: not drawn. {error}")
            continue
        image = element("img", {"src": source, "alt": drawing.alt})
        words = element("figcaption", drawing.reading)
        figures.append(element("figure", element("h3", drawing.title), image, words))
    return ([element("div", {"class": "pictures"}, *figures)] if figures else []), notes


def _image(drawing: Drawing) -> str:
    kind = "png" if drawing.dotted else "svg"
    content = plots.picture(drawing.draw(), kind, dots=DOTS)
    mime = "image/png" if drawing.dotted else "image/svg+xml"
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"


def of_measurement(part: Part, scores: Scores | None) -> list[Drawing]:
    """Where the items measure, and where the persons are."""
    calibration, theta = part.calibration, None if scores is None else scores.theta
    whose = "the population" if theta is None else f"{count(len(theta), 'person')}"
    drawings = [
        Drawing(
            "Information and standard error",
            "Test information and the standard error of the ability, along ability.",
            "Where the information is high the ability is measured well; the standard error is "
            "one over its square root.",
            lambda: plots.information(test_information(calibration)),
        ),
        Drawing(
            "Wright map",
            f"The abilities of {whose} beside the difficulties of the items, on one scale.",
            "Items should lie where the persons are: an item tells most about persons at its own "
            "height.",
            lambda: plots.wright_map(calibration, theta),
        ),
    ]
    if theta is not None and np.isfinite(theta).sum() >= FEWEST_PERSONS:
        drawings.append(
            Drawing(
                "Abilities of the persons",
                f"Histogram of the estimated abilities of {whose}, with the population's curve.",
                "The bars are estimates, which spread less than the abilities themselves (the "
                "line), because each is drawn to the mean by what the items do not tell.",
                lambda: plots.ability_distribution(theta, latent=calibration.latent),
            )
        )
    return drawings


def of_structure(part: Part) -> list[Drawing]:
    """Pairs that hang together, eigenvalues, and the items that fit worst."""
    return [*_pairs(part), *_eigenvalues(part), *_residuals(part)]


def _pairs(part: Part) -> list[Drawing]:
    table = part.tables.get("local_dependence")
    if table is None or not len(table):
        return []
    items = {item for level in (0, 1) for item in table.index.get_level_values(level)}
    whole = len(table) == len(items) * (len(items) - 1) // 2
    drawings = []
    if whole and len(items) <= MOST_MAPPED:
        drawings.append(
            Drawing(
                "Local dependence of all pairs",
                f"Heat map of the local dependence of all pairs of {count(len(items), 'item')}.",
                "Dark cells are pairs that are answered alike beyond what the ability explains; a "
                "dot marks those significant after adjustment.",
                lambda: plots.dependence_map(table),
                dotted=len(items) > 40,
            )
        )
    drawings.append(
        Drawing(
            "The most dependent pairs",
            "Graph of the pairs of items with the strongest local dependence.",
            "Thick lines join items that share more than the ability, such as a text or a trick; "
            "dashed ones are answered in opposite ways.",
            lambda: plots.dependence_graph(table),
        )
    )
    return drawings


def _eigenvalues(part: Part) -> list[Drawing]:
    table = part.tables.get("dimensionality")
    if table is None:
        return []
    return [
        Drawing(
            "Eigenvalues with parallel analysis",
            "Eigenvalues of the correlations of the items, beside those of shuffled answers.",
            "Components whose eigenvalue exceeds that of shuffled answers are more than chance; "
            "one large first eigenvalue means one ability.",
            lambda: plots.eigenvalues(table),
        )
    ]


def _residuals(part: Part) -> list[Drawing]:
    table, fit = part.tables.get("score_curves"), part.tables.get("item_fit")
    if table is None or fit is None:
        return []
    worst = misfitting(part)
    some = worst if len(worst) else fit.sort_values("p", kind="stable")
    chosen = [str(item) for item in some.index[:MOST_RESIDUALS]]
    what = "misfit" if len(worst) else "fit worst, though none significantly"

    def draw() -> Any:
        return plots.facets(lambda item, ax: plots.score_residuals(table, item, ax=ax), chosen)

    return [
        Drawing(
            "S-X² residuals",
            f"Standardised residuals by summed score of {', '.join(chosen)}.",
            f"The items that {what}: at each summed score, how many standard errors the share of "
            "right answers lies off the curve. Between the dashed lines are 95% of sound ones.",
            draw,
        )
    ]


def of_norms(part: Part) -> list[Drawing]:
    """Percentiles of the population, with the scored models on them."""
    scale = part.scale
    if scale is None:
        return []
    models = part.standings
    chosen = None if models is None or "percentile" not in models else models.head(MOST_MODELS)
    whose = "" if chosen is None else f" and where {count(len(chosen), 'model')} stand"
    return [
        Drawing(
            "Norms",
            f"Percentile of the population against ability{whose}.",
            "The steps are the persons who calibrated the scale, the band the population that was "
            "estimated from them. Bars are 95% intervals.",
            lambda: plots.percentile_curve(scale, chosen),
        )
    ]


def of_models(part: Part) -> list[Drawing]:
    """Scored models side by side."""
    table = part.standings
    if table is None or "theta_low" not in table:
        return []
    first = table.head(MOST_RANKED)
    cut = "" if len(first) == len(table) else f" The first {len(first)} of {len(table):,}."
    return [
        Drawing(
            "Models on the scale",
            f"Abilities of {count(len(first), 'model')} with 95% intervals, the ablest first.",
            "Points are abilities, bars 95% intervals; where two bars overlap widely, do not call "
            f"one model better.{cut}",
            lambda: plots.leaderboard(first),
        )
    ]
