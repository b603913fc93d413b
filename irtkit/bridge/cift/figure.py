"""The figure of a CIFT experiment: percentile on a held-out scale against training size.

`draw_cift` draws into Axes and computes nothing but means; `cift_png` puts one panel a scale side
by side. matplotlib is loaded only here, when it is used.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from irtkit.bridge.cift.tables import mean_change
from irtkit.errors import ModelError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = {  # training, arm -> colour and dash: the four arms, then the baselines
    ("scales", "gold-cross_entropy"): ("#0072b2", "-"),
    ("scales", "gold-mse"): ("#56b4e9", "-"),
    ("scales", "crowd-cross_entropy"): ("#d55e00", "-"),
    ("scales", "crowd-mse"): ("#e69f00", "-"),
    ("none", "-"): ("black", "-"),
    ("random", "gold-cross_entropy"): ("#777777", "--"),
    ("other", "gold-cross_entropy"): ("#777777", ":"),
}
NAMES = {
    "none": "no fine-tuning",
    "random": "another corpus, few",
    "other": "another corpus, all",
    "gold-cross_entropy": "gold, cross-entropy",
    "gold-mse": "gold, squared error",
    "crowd-cross_entropy": "crowd, cross-entropy",
    "crowd-mse": "crowd, squared error",
}


def draw_cift(
    axes: Axes, scores: pd.DataFrame, controls: pd.DataFrame, scale: str, measure: str
) -> None:
    """Draw a measure on one scale against the number of pre-training examples.

    Parameters
    ----------
    axes : Axes
    scores, controls : DataFrame
        From `CiftResult`.
    scale : str
    measure : str
        "percentile", "theta" or "accuracy". Points are means over seeds, bars the 95% interval
        of the mean over seeds; horizontal lines are what always one label scores.
    """
    here = scores[(scores["scale"] == scale) & ~scores["balanced"] & ~scores["again"]]
    sizes = sorted(here["size"].unique())
    for place, ((training, arm), (colour, dash)) in enumerate(LINES.items()):
        part = here[(here["training"] == training) & (here["target"] + "-" + here["loss"] == arm)]
        if not len(part):
            continue
        mine = sorted(part["size"].unique())
        found = [
            mean_change(part.loc[part["size"] == size, measure].to_numpy(float)) for size in mine
        ]
        shift = 1.0 + 0.03 * (place - len(LINES) / 2)  # bars side by side
        axes.errorbar(
            np.array(mine) * shift,
            [one["change"] for one in found],
            [np.nan_to_num(one["high"] - one["change"]) for one in found],
            color=colour,
            linestyle=dash,
            marker="o",
            markersize=3,
            linewidth=1.2,
            elinewidth=0.7,
            label=NAMES[arm if training == "scales" else training],
        )
    for row in controls[controls["scale"] == scale].itertuples():
        axes.axhline(getattr(row, measure), color="#cccccc", linewidth=0.7, zorder=0)
        axes.annotate(
            f"always {row.label}",
            (sizes[-1] * 1.1, getattr(row, measure)),
            fontsize=6,
            color="#777777",
            ha="right",
        )
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("pre-training examples")
    axes.set_ylabel(measure)
    axes.set_title(scale)
    if measure == "percentile":
        axes.set_ylim(0, 100)


def cift_png(scores: pd.DataFrame, controls: pd.DataFrame, measure: str = "percentile") -> bytes:
    """Draw the first scale of each group side by side, as a PNG.

    Raises
    ------
    ModelError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ModelError(
            "Figures need matplotlib: pip install -c constraints.txt 'irtkit[plots]'."
        ) from error
    names = controls.groupby("group", sort=False)["scale"].first().tolist()
    figure = Figure(figsize=(4 * len(names), 4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(names), squeeze=False, sharey=measure != "theta")[0]
    for axes, name in zip(panels, names, strict=True):
        draw_cift(axes, scores, controls, name, measure)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()
