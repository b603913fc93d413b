"""Two controls of a screening: answers that mean nothing, and answers the model made.

Shuffled within items, answers keep each item's share but tell nothing about a person: a
screening must keep next to nothing. Drawn from the calibrated model, they fit by construction: a
screening must lose next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from irtkit.diagnostics import dimensionality
from irtkit.errors import ModelError, NotConverged, NothingKept
from irtkit.estimation import MML, calibrate
from irtkit.models import ItemModel
from irtkit.responses import Responses
from irtkit.screening.objections import Observation, Rule, rules_among
from irtkit.screening.sequence import screen
from irtkit.simulate import replicated


def shuffled(responses: Responses, *, seed: int | np.random.Generator) -> Responses:
    """Shuffle the answers to each item among the persons who gave one.

    Every item keeps its answers and every person keeps the items they saw; raw labels are left
    out.
    """
    codes = dimensionality.shuffled(responses.codes, np.random.default_rng(seed))
    return replace(responses, codes=codes, labels=None, label_set=())


def screening_controls(
    responses: Responses,
    model: ItemModel,
    rules: Sequence[Rule | Observation],
    *,
    n_draws: int = 1,
    seed: int = 1,
    method: MML | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Screen shuffled answers and answers drawn from the model of what was kept.

    Parameters
    ----------
    responses : Responses
        The answers that were screened. Those drawn from the model are drawn for the items that
        the screening of them keeps.
    model, rules, method
        As for `screen`, by maximum likelihood only.
    n_draws : int
        Screenings of each kind.
    seed : int
    progress : callable, optional
        Called with the number of screenings done and of all.

    Returns
    -------
    DataFrame
        Indexed by control ("shuffled", "simulated") and draw: n_items, n_kept, share_kept, ended
        (in words).
    """
    asked = rules_among(rules)
    quick = replace(method or MML(), standard_errors=None)
    kept = screen(responses, model, asked, method=quick)
    sound = calibrate(kept.responses, model, method=quick)
    rows = []
    for number in range(n_draws):
        made = {
            "shuffled": shuffled(responses, seed=seed + number),
            "simulated": replicated(kept.responses, sound, seed=seed + number),
        }
        for control, answers in made.items():
            n_kept, ended = _kept(answers, model, asked, quick)
            rows.append(
                {
                    "control": control,
                    "draw": number + 1,
                    "n_items": answers.n_items,
                    "n_kept": n_kept,
                    "share_kept": n_kept / answers.n_items,
                    "ended": ended,
                }
            )
            if progress is not None:
                progress(len(rows), 2 * n_draws)
    return pd.DataFrame(rows).set_index(["control", "draw"]).sort_index()


def _kept(
    responses: Responses, model: ItemModel, rules: Sequence[Rule], method: MML
) -> tuple[int, str]:
    """How many items a screening keeps, and how it ended."""
    try:
        return len(screen(responses, model, rules, method=method).kept), "nothing left to drop"
    except NothingKept:
        return 0, "too few items left to calibrate"
    except NotConverged:
        return 0, "the estimation did not converge"
    except ModelError as error:
        return 0, str(error)
