"""Crowd-informed fine-tuning as one experiment.

`plan.py` says what is compared, `experiment.py` runs it, `running.py` and `cells.py` make one
result each, `tables.py`, `figure.py` and `page.py` show them, `files.py` reads a plan.
"""

from irtkit.bridge.cift.experiment import CiftResult, read_cift, run_cift
from irtkit.bridge.cift.files import read_plan
from irtkit.bridge.cift.page import write_cift
from irtkit.bridge.cift.plan import CiftDesign, CiftPlan

__all__ = [
    "CiftDesign",
    "CiftPlan",
    "CiftResult",
    "read_cift",
    "read_plan",
    "run_cift",
    "write_cift",
]
