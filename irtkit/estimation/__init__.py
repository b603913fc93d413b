"""From responses to item parameters. `calibrate` is the verb, `Calibration` its result."""

from irtkit.estimation.acceleration import Plain, Squarem
from irtkit.estimation.calibration import Calibration, Convergence
from irtkit.estimation.checkpoint import Checkpoint
from irtkit.estimation.groups import GroupCalibration, calibrate_groups
from irtkit.estimation.method import MML
from irtkit.estimation.mml import anchored, calibrate
from irtkit.estimation.priors import Beta, LogitNormal, LogNormal, Priors
from irtkit.estimation.structure import Equal, Fixed

__all__ = [
    "MML",
    "Beta",
    "Calibration",
    "Checkpoint",
    "Convergence",
    "Equal",
    "Fixed",
    "GroupCalibration",
    "LogNormal",
    "LogitNormal",
    "Plain",
    "Priors",
    "Squarem",
    "anchored",
    "calibrate",
    "calibrate_groups",
]
