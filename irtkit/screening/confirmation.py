"""Confirm a screening on persons who took no part in it.

The fit of screened items is post-selection: items were dropped until nothing was significant on
the same answers. `confirm` screens one half of the persons and tests the kept items, calibrated
afresh, on the other; those tests hold their level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from irtkit.diagnostics.item_fit import item_fit
from irtkit.diagnostics.local_dependence import dependence_search, local_dependence
from irtkit.diagnostics.model_fit import model_fit
from irtkit.diagnostics.multiplicity import adjust
from irtkit.errors import ModelError, NotConverged, NothingKept
from irtkit.estimation import MML, Calibration, calibrate
from irtkit.estimation.calibration import matched
from irtkit.models import ItemModel
from irtkit.responses import Responses
from irtkit.scoring import reliability
from irtkit.screening.objections import Observation, Rule, rules_among
from irtkit.screening.pair_rules import MOST_ITEMS_WHOLE
from irtkit.screening.sequence import Decision, Screening, screen

ALPHA = 0.05
FEWEST_PERSONS = 100  # below, chi-square is no reference for an item or a pair


def confirm(
    responses: Responses,
    model: ItemModel,
    rules: Sequence[Rule | Observation],
    *,
    seed: int | np.random.Generator = 1,
    method: MML | None = None,
    decisions: Sequence[Decision] = (),
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Screen each half of the persons and test what it kept on the other half.

    Parameters
    ----------
    responses, model, rules, method, decisions
        As for `screen`, by maximum likelihood only.
    seed : int or Generator
        Splits the persons.
    progress : callable, optional

    Returns
    -------
    DataFrame
        One row a direction (screened half): n_items, n_kept, and on the other half: n_tested,
        share_misfit (S-X2 with p < .05, unadjusted: about .05 if the kept items fit),
        n_misfit (after Holm), share_dependent and n_dependent (LD-X2 likewise), m2_p, rmsea,
        srmsr (NaN for incomplete answers), reliability, slope_correlation (of the two halves'
        slopes), remark. Items and pairs that fewer than 100 persons of the other half answered,
        and pairs with a cell that expects fewer than one, are not tested.
    """
    asked = rules_among(rules)
    quick = replace(method or MML(), standard_errors=None)
    rng = np.random.default_rng(seed)
    first = np.zeros(responses.n_persons, dtype=bool)
    first[rng.permutation(responses.n_persons)[: responses.n_persons // 2]] = True
    rows = []
    for number, chosen in enumerate((first, ~first)):
        row: dict[str, object] = {"half": number + 1, "n_items": responses.n_items}
        try:
            made = screen(
                responses.select_persons(chosen), model, asked, method=quick, decisions=decisions
            )
            row["n_kept"] = len(made.kept)
            row |= _tested(responses.select_persons(~chosen), made, model, quick)
        except NothingKept as error:
            row |= {"n_kept": 0, "remark": str(error)}
        except (ModelError, NotConverged) as error:
            row["remark"] = str(error)
        rows.append(row)
        if progress is not None:
            progress(number + 1, 2)
    columns = [
        *("half", "n_items", "n_kept", "n_tested", "share_misfit", "n_misfit"),
        *("share_dependent", "n_dependent", "m2_p", "rmsea", "srmsr", "reliability"),
        *("slope_correlation", "remark"),
    ]
    return pd.DataFrame(rows, columns=columns).set_index("half")


def _tested(
    others: Responses, made: Screening, model: ItemModel, method: MML
) -> dict[str, object]:
    """Calibrate the kept items on other persons and test them there."""
    known, part = matched(
        others.select_items(made.kept),
        calibrate(others.select_items(made.kept), model, method=method),
    )
    fit = item_fit(known, part, adjustment="none")
    p = fit["p"].where(fit["n_answered"] >= FEWEST_PERSONS).to_numpy()
    tested = ~np.isnan(p)
    share_dependent, n_dependent = _dependent(known, part)
    row: dict[str, object] = {
        "n_tested": int(tested.sum()),
        "share_misfit": float((p[tested] < ALPHA).mean()) if tested.any() else np.nan,
        "n_misfit": int((adjust(p) < ALPHA).sum()) if tested.any() else np.nan,
        "share_dependent": share_dependent,
        "n_dependent": n_dependent,
        "reliability": reliability(part).marginal,
        "remark": "",
    }
    slopes = pd.Series(made.calibration.slopes, index=list(made.calibration.items))
    row["slope_correlation"] = float(
        np.corrcoef(slopes.reindex(list(part.items)).to_numpy(), part.slopes)[0, 1]
    )
    try:
        statistic = "m2" if (part.assignment.n_categories == 2).all() else "c2"
        whole = model_fit(known, part, statistic=statistic).iloc[0]
        row |= {"m2_p": whole["p"], "rmsea": whole["rmsea"], "srmsr": whole["srmsr"]}
    except ModelError as error:
        row["remark"] = str(error)
    return row


def _dependent(responses: Responses, calibration: Calibration) -> tuple[float, float]:
    """Share of pairs with LD-X2 below the level unadjusted, and their number after Holm."""
    if responses.n_items > MOST_ITEMS_WHOLE:
        top = dependence_search(responses, calibration).top
        top = top[(top["n_both"] >= FEWEST_PERSONS) & (top["fewest_expected"] >= 1.0)]
        return np.nan, float((top["p_adjusted"] < ALPHA).sum()) if len(top) else np.nan
    table = local_dependence(responses, calibration, adjustment="none")
    enough = (table["n_both"] >= FEWEST_PERSONS) & (table["fewest_expected"] >= 1.0)
    p = table["p"].where(enough).to_numpy()
    tested = ~np.isnan(p)
    if not tested.any():
        return np.nan, np.nan
    return float((p[tested] < ALPHA).mean()), float((adjust(p) < ALPHA).sum())
