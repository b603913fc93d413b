"""What the tests of fit found, in sentences: items, pairs, the whole model, dimensions."""

from __future__ import annotations

from irtkit.errors import count
from irtkit.report.flags import dependent, misfitting
from irtkit.report.parts import Part
from irtkit.report.wording import number, p_value, share


def fit_words(part: Part) -> list[str]:
    """Tell the results of the tests of fit that there are."""
    told = [_items(part), _pairs(part), _whole(part), _dimensions(part)]
    return [sentence for sentence in told if sentence]


def _items(part: Part) -> str:
    table = part.tables.get("item_fit")
    if table is None:
        return ""
    n, bad = int(table["p"].notna().sum()), len(misfitting(part))
    verb = "departs from its curve" if bad == 1 else "depart from their curves"
    found = f"{bad:,} {verb}" if bad else "none departs from its curve"
    return f"Of {count(n, 'item')} tested by S-X² {found} (adjusted p below .05)."


def _pairs(part: Part) -> str:
    table = part.tables.get("local_dependence")
    if table is None or not len(table):
        return ""
    bad = len(dependent(part))
    verb = "shares" if bad == 1 else "share"
    found = f"{bad:,} {verb} more than the ability" if bad else "none shares more than the ability"
    row = int(table["q3_adjusted"].abs().to_numpy().argmax())
    value = float(table["q3_adjusted"].iloc[row])
    pair = " with ".join(str(table.index.get_level_values(level)[row]) for level in (0, 1))
    n_items = int(part.calibration.calibrated.sum())
    n_all = n_items * (n_items - 1) // 2
    tested = f"Of {count(len(table), 'pair')} tested by LD-X²"
    if len(table) < n_all:
        tested = f"Of the {len(table):,} most dependent of {n_all:,} pairs"
    return (
        f"{tested} {found} (adjusted p below .05, and at least one person expected in each cell). "
        f"The largest residual correlation, less the mean, is {share(value)} ({pair})."
    )


def _whole(part: Part) -> str:
    table = part.tables.get("model_fit")
    if table is None or not len(table):
        return ""
    row = table.iloc[0]
    name = str(row.get("statistic", "M2")).upper()
    words = (
        f"The whole model: {name} {number(float(row['m2']), 1)} on {number(float(row['df']), 0)} "
        f"degrees of freedom, p {p_value(float(row['p']))}, RMSEA {share(float(row['rmsea']), 3)}"
    )
    if "rmsea_low" in row and "rmsea_high" in row:
        low, high = float(row["rmsea_low"]), float(row["rmsea_high"])
        words += f" (90% interval {share(low, 3)} to {share(high, 3)})"
    return f"{words}. An RMSEA below .05 is called close, whatever p says with many persons."


def _dimensions(part: Part) -> str:
    table = part.tables.get("dimensionality")
    if table is None or len(table) < 2:
        return ""
    first, second = (float(value) for value in table["eigenvalue"].iloc[:2])
    n = int(table["retained"].sum())
    verb = "exceeds" if n == 1 else "exceed"
    return (
        f"The first eigenvalue is {number(first)}, {number(first / second, 1)} times the second; "
        f"{count(n, 'component')} {verb} what shuffled answers give."
    )
