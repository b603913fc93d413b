"""Calibrating by whichever method object is given: maximum likelihood, or the full posterior.

Screening recalibrates without knowing how; this is where a `MML` goes to `calibrate` and a `Bayes`
to `sample_posterior`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from irtkit.estimation.bayes.method import Bayes
from irtkit.estimation.bayes.sampling import sample_posterior
from irtkit.estimation.calibration import Calibration
from irtkit.estimation.method import MML
from irtkit.estimation.mml import calibrate
from irtkit.models import ItemModel
from irtkit.responses import Responses

Method = MML | Bayes


def calibrate_by(
    responses: Responses, model: ItemModel | Mapping[str, ItemModel], method: Method
) -> Calibration:
    """Calibrate by maximum likelihood or by posterior means; errors as of either."""
    if isinstance(method, MML):
        return calibrate(responses, model, method=method)
    posterior = sample_posterior(
        responses, model, priors=method.priors, sampler=method.sampler, seed=method.seed
    )
    return posterior.calibration()


def quick(method: Method) -> Method:
    """The same estimates without what only a final calibration needs: standard errors."""
    return replace(method, standard_errors=None) if isinstance(method, MML) else method
