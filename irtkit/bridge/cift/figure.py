"""The figure of a CIFT experiment: percentile on a held-out scale against training size.

One panel a group of scales, drawn by `plots.finetuning_curve`; nothing is computed here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from irtkit.plots.models import finetuning_curve
from irtkit.plots.pictures import facets

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def cift_figure(
    curves: pd.DataFrame, controls: pd.DataFrame, measure: str = "percentile"
) -> Figure:
    """Draw the first scale of each group side by side, without training on a crowd corpus.

    Parameters
    ----------
    curves, controls : DataFrame
        From `CiftResult`.
    measure : str
        "percentile", "theta" or "accuracy".

    Raises
    ------
    ModelError
        If matplotlib is not installed.
    """
    drawn = curves[curves["training"] != "crowd"]  # a picture holds eight methods
    names = controls.groupby("group", sort=False)["scale"].first().tolist()
    return facets(
        lambda name, ax: finetuning_curve(
            drawn, scale=name, measure=measure, controls=controls, ax=ax
        ),
        [name for name in names if name in set(drawn["scale"])],
    )
