"""From responses to item parameters: `calibrate` and what it returns."""

from irtkit.estimation.acceleration import Plain, Squarem
from irtkit.estimation.calibration import Calibration, Convergence
from irtkit.estimation.cycles import MML
from irtkit.estimation.mml import calibrate

__all__ = ["MML", "Calibration", "Convergence", "Plain", "Squarem", "calibrate"]
