"""What a screening writes down without dropping anything.

Eigenvalues of the items' correlations, a test of each item's lower asymptote, and the fit of the
whole model. Where a statistic is not available for the answers, the note says why.

References
----------
Lalor, J. P., Wu, H., & Yu, H. (2016). Building an evaluation scale using item response theory.
    Proceedings of EMNLP, 648-657. https://doi.org/10.18653/v1/D16-1062
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import chi2

from irtkit.diagnostics.correlations import polychoric_correlations
from irtkit.diagnostics.model_fit import model_fit
from irtkit.diagnostics.multiplicity import adjust
from irtkit.errors import ModelError, NotConverged
from irtkit.estimation import MML, Calibration, calibrate
from irtkit.estimation.by_method import Method
from irtkit.estimation.calibration import matched
from irtkit.models import ItemModel, ThreePL, TwoPL
from irtkit.responses import Responses
from irtkit.screening.objections import Flag, p_words

MOST_ITEMS = 100  # for a calibration an item
TOLERANCE = 1e-4  # moves a log-likelihood by less than the third decimal of its ratio


@dataclass(frozen=True, slots=True)
class Eigenvalues:
    """The largest eigenvalues of the tetrachoric (polychoric) correlations."""

    n_shown: int = 3
    name: str = "eigenvalues"
    again: bool = True

    def notes(self, responses: Responses, calibration: Calibration, method: Method) -> list[Flag]:
        """One note; its statistic is the ratio of the first eigenvalue to the second."""
        try:
            known, _ = matched(responses, calibration)
            table = polychoric_correlations(known).to_numpy()
        except ModelError as error:
            return [Flag("", np.nan, f"No eigenvalues. {error}")]
        values = np.linalg.eigvalsh(table)[::-1]
        shown = ", ".join(f"{value:.2f}" for value in values[: self.n_shown])
        ratio = float(values[0] / values[1])
        return [
            Flag(
                "",
                ratio,
                f"Largest eigenvalues of the tetrachoric correlations: {shown}; the first is "
                f"{ratio:.1f} times the second and {values[0] / len(values):.0%} of all.",
            )
        ]


@dataclass(frozen=True, slots=True)
class LowerAsymptotes:
    """Whether an item needs a lower asymptote: 3PL against 2PL, one item after the other.

    The likelihood ratio has half its mass at zero under the 2PL, so p is halved. Items that are
    not 2PL are left out.
    """

    alpha: float = 0.05
    name: str = "lower_asymptote"
    again: bool = False  # a calibration an item

    def notes(self, responses: Responses, calibration: Calibration, method: Method) -> list[Flag]:
        """A note for each item that needs one, or one that says none does."""
        plain = all(isinstance(model, TwoPL) for model in calibration.assignment.models)
        if responses.n_items > MOST_ITEMS or not plain:
            return [Flag("", np.nan, f"Asymptotes are tested for up to {MOST_ITEMS} 2PL items.")]
        if not isinstance(method, MML):
            return [Flag("", np.nan, "Asymptotes are tested under maximum likelihood only.")]
        priors = replace(method.priors, lower=None)
        tolerance = max(method.tolerance, TOLERANCE)
        quick = replace(method, standard_errors=None, priors=priors, tolerance=tolerance)
        items = [
            item
            for item, known in zip(calibration.items, calibration.calibrated, strict=True)
            if known
        ]
        ratio = np.array([_ratio(responses, calibration, item, quick) for item in items])
        p = np.where(np.isnan(ratio), np.nan, 0.5 * chi2.sf(ratio, 1))
        adjusted = adjust(p)
        found = [
            Flag(
                item,
                float(ratio[place]),
                f"It needs a lower asymptote: likelihood ratio {ratio[place]:.2f}, adjusted p "
                f"{p_words(adjusted[place])}.",
                1.0,
                float(p[place]),
                float(adjusted[place]),
            )
            for place, item in enumerate(items)
            if adjusted[place] < self.alpha
        ]
        if found or np.isnan(ratio).all():
            return found
        place = int(np.nanargmax(ratio))
        words = (
            f"No item needs a lower asymptote: the largest likelihood ratio of the 3PL against "
            f"the 2PL is {ratio[place]:.2f} (item {items[place]}), adjusted p "
            f"{p_words(adjusted[place])}."
        )
        numbers = (float(ratio[place]), words, 1.0, float(p[place]), float(adjusted[place]))
        return [Flag("", *numbers)]


def _ratio(responses: Responses, calibration: Calibration, item: str, method: MML) -> float:
    """Twice the gain of log-likelihood by an asymptote of one item; NaN if it did not converge."""
    models: dict[str, ItemModel] = {other: TwoPL() for other in responses.items}
    models[item] = ThreePL()
    try:
        found = calibrate(responses, models, method=method)
    except NotConverged:
        return np.nan
    return max(0.0, 2.0 * (found.log_likelihood - calibration.log_likelihood))


@dataclass(frozen=True, slots=True)
class WholeModel:
    """M2 with RMSEA, SRMSR, CFI and TLI; for items with more than two categories C2."""

    name: str = "m2"
    again: bool = True

    def notes(self, responses: Responses, calibration: Calibration, method: Method) -> list[Flag]:
        """One note."""
        known, part = matched(responses, calibration)
        statistic = "m2" if (part.assignment.n_categories == 2).all() else "c2"
        try:
            row = model_fit(known, part, statistic=statistic).iloc[0]
        except ModelError as error:
            return [Flag("", np.nan, f"No {statistic.upper()}. {error}")]
        return [
            Flag(
                "",
                float(row["m2"]),
                f"{statistic.upper()} {row['m2']:.2f} on {row['df']:.0f} df, p "
                f"{p_words(row['p'])}; RMSEA {row['rmsea']:.3f} ({row['rmsea_low']:.3f} to "
                f"{row['rmsea_high']:.3f}), SRMSR {row['srmsr']:.3f}, CFI {row['cfi']:.3f}, TLI "
                f"{row['tli']:.3f}.",
                float(row["df"]),
                float(row["p"]),
            )
        ]
