"""What is to be said against each item, in a word and in a sentence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from irtkit.estimation.calibration import OK
from irtkit.report.parts import Part
from irtkit.report.wording import STATES, number, p_value, share

ALPHA = 0.05
MOST_PARTNERS = 5
FEWEST_EXPECTED = 1.0  # persons in a cell of the table of a pair, to call the pair dependent


@dataclass(frozen=True, slots=True)
class Mark:
    """A word for the table, and the reason in a sentence."""

    word: str
    reason: str


def marks(part: Part) -> dict[str, list[Mark]]:
    """Return the flags of each item; an item without any has an empty list."""
    found: dict[str, list[Mark]] = {item: [] for item in part.items}
    for item, state in zip(part.items, part.calibration.states, strict=True):
        if state != OK:
            found[item].append(Mark(state, STATES.get(state, f"Its state is {state}.")))
    for reader in (_misfits, _dependent, _differing):
        for item, mark in reader(part):
            if item in found:
                found[item].append(mark)
    return found


def misfitting(part: Part) -> pd.DataFrame:
    """The rows of items whose S-X2 rejects after adjustment, the smallest p first."""
    table = part.tables.get("item_fit")
    if table is None:
        return pd.DataFrame()
    return table[table["p_adjusted"] < ALPHA].sort_values("p", kind="stable")


def dependent(part: Part) -> pd.DataFrame:
    """The rows of pairs whose LD-X2 rejects after adjustment, the smallest p first.

    Where hardly anybody is expected in a cell of the pair's table, one answer there makes LD-X2
    large and proves nothing: such pairs are left out.
    """
    table = part.tables.get("local_dependence")
    if table is None or "p_adjusted" not in table:
        return pd.DataFrame()
    rows = table[table["p_adjusted"] < ALPHA]
    if "fewest_expected" in rows:
        rows = rows[rows["fewest_expected"] >= FEWEST_EXPECTED]
    return rows.sort_values("p", kind="stable")


def _misfits(part: Part) -> list[tuple[str, Mark]]:
    marked = []
    for item, row in misfitting(part).iterrows():
        reason = (
            f"The observed answers depart from the curve: S-X² {number(row['s_x2'], 1)} on "
            f"{number(row['df'], 0)} degrees of freedom, adjusted p {p_value(row['p_adjusted'])}, "
            f"RMSEA {share(row['rmsea'])}."
        )
        marked.append((str(item), Mark("misfit", reason)))
    return marked


def _dependent(part: Part) -> list[tuple[str, Mark]]:
    partners: dict[str, list[str]] = {}
    for row in dependent(part).reset_index().to_dict("records"):
        one, two = str(row["item_1"]), str(row["item_2"])
        sign = "alike" if row["cramer_v"] >= 0 else "in opposite ways"
        for item, other in ((one, two), (two, one)):
            partners.setdefault(item, []).append(
                f"{other} ({sign}, Q3 {share(row['q3'])}, adjusted p {p_value(row['p_adjusted'])})"
            )
    marked = []
    for item, others in partners.items():
        more = f" and {len(others) - MOST_PARTNERS} more" if len(others) > MOST_PARTNERS else ""
        reason = f"Answered with {', '.join(others[:MOST_PARTNERS])}{more} beyond the ability."
        marked.append((item, Mark("dependent", reason)))
    return marked


def _differing(part: Part) -> list[tuple[str, Mark]]:
    table = part.tables.get("dif")
    if table is None:
        return []
    large = table[table["effect_class"].isin(["C", "large"])]
    return [
        (
            str(item),
            Mark(
                "differs by group",
                f"Persons of equal ability in different groups answer it differently: effect size "
                f"{number(float(row['effect_size']))}, adjusted p "
                f"{p_value(float(row.get('p_adjusted', np.nan)))}.",
            ),
        )
        for item, row in large.iterrows()
    ]
