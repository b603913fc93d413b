"""What a report is made of: its parts, one a scale or calibration, and the files they came from.

A part holds results only; `folder.py` finds them, `completion.py` computes what is missing, and
`scale_page.py` writes them down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from irtkit.estimation.calibration import Calibration
from irtkit.responses import Responses
from irtkit.scale import EvaluationScale


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read.

    Attributes
    ----------
    name : str
        Within the folder.
    what : str
        What was found in it, in words.
    sha256 : str
        Of its bytes; empty where it was not used.
    """

    name: str
    what: str
    sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One scale, or one calibration, with all that is known of it.

    Attributes
    ----------
    name : str
        What it measures.
    calibration : Calibration
    scale : EvaluationScale, or None
        None where there is a calibration only.
    answers : Responses, or None
        Graded, to the calibrated items.
    log : DataFrame, or None
        Of the screening.
    tables : mapping of str to DataFrame
        item_fit, item_curves, local_dependence, model_fit, dimensionality, score_curves, dif, as
        the functions of these names return them.
    standings : DataFrame, or None
        Scored models, indexed by model.
    texts : mapping of str to str
        What the items ask.
    notes : tuple of str
        What is not shown and why, and what to know of the rest, in sentences.
    """

    name: str
    calibration: Calibration
    scale: EvaluationScale | None = None
    answers: Responses | None = None
    log: pd.DataFrame | None = None
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    standings: pd.DataFrame | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def items(self) -> tuple[str, ...]:
        """Ids of the items."""
        return self.calibration.items

    @property
    def n_offered(self) -> int:
        """Items before the screening, or all there are."""
        return len(self.items) if self.scale is None else self.scale.provenance.n_items_offered
