"""Pictures of the Bayesian engine: chains, intervals, what priors imply, predictive checks.

Plain matplotlib: the pictures of ArviZ before and since its version 1 take other arguments and
return other things, and both keep global figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from irtkit.errors import ModelError, listing, nearest, shown
from irtkit.estimation.bayes.checks import LARGEST_R_HAT
from irtkit.estimation.bayes.posterior import POPULATION, Posterior
from irtkit.estimation.bayes.prior_draws import PriorDraws
from irtkit.plots.style import (
    ABOVE,
    FAINT,
    MUTED,
    SERIES,
    canvas,
    check_number,
    dressed,
    explained,
    name_rows,
    named,
    rows_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_ROWS = 40
MOST_CURVES = 100
ROW = 0.26  # inches
SIGNIFICANT = 0.05
SPAN = 4.0  # of abilities, on N(0, 1)


def trace(posterior: Posterior, parameter: str, item: str = "", *, ax: Axes | None = None) -> Axes:
    """Draw the chains of one parameter: they should overlap and wander nowhere.

    Parameters
    ----------
    posterior : Posterior
    parameter : str
        Of an item, such as "discrimination" or "difficulty", or of the population, such as
        "theta_sd": the names of `Posterior.table`.
    item : str
        Not for parameters of the population.
    ax : Axes, optional
    """
    draws = _draws(posterior, parameter, item)  # (C, S)
    ax = canvas(ax, height=3.0)
    handles = []
    for chain, looks in zip(draws, SERIES, strict=False):
        handles += ax.plot(
            np.arange(1, len(chain) + 1), chain, color=looks.colour, linewidth=0.7, alpha=0.85
        )
    lost = posterior.statistics.get("diverging")
    if lost is not None and lost.any():
        chain, draw = np.nonzero(lost)
        handles += ax.plot(
            draw + 1, draws[chain, draw], marker="x", color="black", linestyle="none"
        )
    names = [f"chain {number}" for number in range(1, len(draws) + 1)][: len(SERIES)]
    explained(
        ax,
        handles,
        [*names, "divergence"][: len(handles)],
        ncols=5,
        handlelength=1.2,
        columnspacing=1.0,
        **ABOVE,
    )
    of = f" of {named(item)}" if item else ""
    return dressed(ax, x="Draw", y=f"{_word(parameter)}{of}", grid="y")


def _draws(posterior: Posterior, parameter: str, item: str) -> np.ndarray:
    draws, names = posterior.natural()
    known = list(dict.fromkeys(name for name, _ in names))
    if parameter not in known:
        raise ModelError(
            f"There is no parameter {shown(parameter)}; there is {listing(known, 12)}."
            f"{nearest(parameter, known)}"
        )
    if (parameter, POPULATION) in names:
        item = POPULATION
    elif item not in posterior.items:
        raise ModelError(
            f"There is no item {shown(item)} in the posterior.{nearest(item, posterior.items)}"
        )
    if (parameter, item) not in names:
        raise ModelError(f"There is nothing to draw: item {shown(item)} has no {parameter}.")
    return draws[..., names.index((parameter, item))]


def forest(table: pd.DataFrame, parameter: str, *, ax: Axes | None = None) -> Axes:
    """Draw the posterior median and 95% interval of a parameter of each item.

    Parameters
    ----------
    table : DataFrame
        `posterior.table()`, or some of its rows; at most 40 items.
    parameter : str
        Such as "discrimination" or "difficulty".
    ax : Axes, optional

    Notes
    -----
    An open mark has an R-hat above 1.01: its chains disagree.
    """
    rows_of(table, ("median", "low", "high", "r_hat"), "Posterior.table()")
    known = list(dict.fromkeys(table.index.get_level_values("parameter")))
    if parameter not in known:
        raise ModelError(
            f"There is no parameter {shown(parameter)} in the table; there is "
            f"{listing(known, 12)}.{nearest(parameter, known)}"
        )
    rows = table[table.index.get_level_values("parameter") == parameter].droplevel("parameter")
    remedy = "Choose items: table.loc[(slice(None), items), :]."
    check_number(len(rows), MOST_ROWS, "item", remedy)
    disagree = (rows["r_hat"] > LARGEST_R_HAT).to_numpy()
    names = ["population" if name == POPULATION else name for name in rows.index]
    ax = canvas(ax, height=1.0 + ROW * len(rows))
    _intervals(ax, rows, "median", disagree)
    name_rows(ax, names)
    dressed(ax, x=f"{_word(parameter)}, median and 95% interval", y="", grid="x")
    ax.spines["left"].set_visible(False)
    return ax


def _intervals(ax: Axes, rows: pd.DataFrame, middle: str, opened: np.ndarray) -> None:
    place, looks = np.arange(len(rows)), SERIES[0]
    ax.hlines(place, rows["low"], rows["high"], color=looks.colour, linewidth=1.8)
    for chosen, face in ((~opened, looks.colour), (opened, "white")):
        ax.plot(
            rows[middle].to_numpy()[chosen],
            place[chosen],
            marker="o",
            markersize=6,
            color=looks.colour,
            markerfacecolor=face,
            linestyle="none",
        )


def prior_curves(prior: PriorDraws, *, n_curves: int = 50, ax: Axes | None = None) -> Axes:
    """Draw the item curves that the priors hold possible, before any answer is seen.

    Parameters
    ----------
    prior : PriorDraws
        `prior_draws(model, priors)`; the first item of each test is drawn.
    n_curves : int
        At most 100.
    ax : Axes, optional
    """
    check_number(n_curves, MOST_CURVES, "curve", "Draw fewer.")
    theta = np.linspace(-SPAN, SPAN, 161)
    ax = canvas(ax)
    size = int(prior.assignment.n_categories[0])
    first = prior.assignment.at([0])
    for parameters in prior.parameters[: max(n_curves, 1)]:
        own = parameters[:1, : first.n_parameters]
        curve = first.expected_score(own, theta)[:, 0]
        ax.plot(theta, curve, color=SERIES[0].colour, linewidth=0.8, alpha=0.35)
    ax.set_ylim(-0.02 * (size - 1), 1.02 * (size - 1))
    y = "Probability of a right answer" if size == 2 else f"Expected answer (0 to {size - 1})"
    x = "Ability θ (standard deviations of the population)"
    return dressed(
        ax, x=x, y=y, title=f"{min(n_curves, len(prior.parameters))} items from the prior"
    )


def score_check(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the distribution of scores beside what the model predicts.

    Parameters
    ----------
    table : DataFrame
        `predictive_scores(posterior)`.
    ax : Axes, optional
    """
    rows_of(table, ("observed", "expected", "low", "high"), "predictive_scores")
    ax = canvas(ax)
    share = table.index.to_numpy(dtype=float)
    band = ax.fill_between(share, table["low"], table["high"], color=FAINT, linewidth=0)
    (middle,) = ax.plot(share, table["expected"], color=MUTED, linewidth=1.2, linestyle="--")
    looks = SERIES[0]
    (seen,) = ax.plot(
        share, table["observed"], marker="o", markersize=5, color=looks.colour, linewidth=1.0
    )
    explained(ax, [seen, middle, band], ["observed", "predicted", "95% of predictions"])
    ax.set_ylim(bottom=0.0)
    return dressed(ax, x="Score (share of the largest possible one)", y="Persons")


def item_check(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw each item's correlation with the rest beside what the model predicts.

    Parameters
    ----------
    table : DataFrame
        `predictive_items(posterior)`, at most 40 items.
    ax : Axes, optional
    """
    names = {"item_rest_expected": "expected", "item_rest_low": "low", "item_rest_high": "high"}
    rows_of(table, ("item_rest", *names, "p_item_rest"), "predictive_items")
    check_number(len(table), MOST_ROWS, "item", "Choose items: table.loc[[...]].")
    rows = table.rename(columns=names)
    beyond = (rows["p_item_rest"] < SIGNIFICANT).to_numpy()
    short = [named(item) for item in rows.index]
    return _check(ax, rows, short, ("item_rest", beyond), "Correlation with the rest score")


def pair_check(table: pd.DataFrame, *, n_top: int = 20, ax: Axes | None = None) -> Axes:
    """Draw the odds ratios of the most surprising pairs beside what the model predicts.

    Parameters
    ----------
    table : DataFrame
        `predictive_pairs(posterior)`, the most surprising first.
    n_top : int
        How many pairs, at most 40.
    ax : Axes, optional
    """
    rows_of(table, ("log_odds_ratio", "expected", "low", "high", "p"), "predictive_pairs")
    check_number(n_top, MOST_ROWS, "pair", "Draw fewer.")
    rows = table.head(max(n_top, 1))
    beyond = (rows["p"] < SIGNIFICANT).to_numpy()
    names = [f"{named(one, 14)} / {named(two, 14)}" for one, two in rows.index]
    return _check(ax, rows, names, ("log_odds_ratio", beyond), "Log odds ratio of two answers")


def _check(
    ax: Axes | None,
    rows: pd.DataFrame,
    names: object,
    observed: tuple[str, np.ndarray],
    x: str,
) -> Axes:
    """Predictive intervals with observed values, filled where they are improbable."""
    column, beyond = observed
    labels = list(names)  # type: ignore[call-overload]
    ax = canvas(ax, height=1.4 + ROW * len(rows))
    place = np.arange(len(rows))
    bars = ax.hlines(place, rows["low"], rows["high"], color=FAINT, linewidth=7.0)
    middle = ax.plot(
        rows["expected"], place, marker="|", markersize=9, color=MUTED, linestyle="none"
    )
    handles = [bars, *middle]
    values = rows[column].to_numpy()
    for chosen, looks, filled in ((~beyond, SERIES[0], "white"), (beyond, SERIES[1], None)):
        handles += ax.plot(
            values[chosen],
            place[chosen],
            marker=looks.marker,
            markersize=6,
            color=looks.colour,
            markerfacecolor=filled or looks.colour,
            linestyle="none",
        )
    name_rows(ax, labels, 34)
    dressed(ax, x=x, y="", grid="x")
    ax.spines["left"].set_visible(False)
    words = ["95% of predictions", "predicted", "observed", "observed, p < .05"]
    explained(ax, handles, words, ncols=2, **ABOVE)
    return ax


def _word(parameter: str) -> str:
    return parameter.replace("_", " ").capitalize()
