"""Golden values of R's mirt, read from the optional folder beside the checkout."""

import json
from pathlib import Path

import pandas as pd
import pytest

from irtkit.layout import Wide
from irtkit.responses import Responses

FOLDER = Path(__file__).parents[2] / "shared" / "golden"
CASES = ("LSAT6", "sim2k20", "sim2k20_ld", "sim2k20_na30")


def golden(case: str) -> dict:
    """Return the numbers of a case, or skip where the folder is absent."""
    path = FOLDER / f"{case}.json"
    if not path.is_file():
        pytest.skip("the golden values of R's mirt are not beside this checkout")
    return json.loads(path.read_text(encoding="utf-8"))


def golden_responses(case: str) -> Responses:
    """Return the answers of a case."""
    golden(case)
    return Responses.from_frame(pd.read_csv(FOLDER / f"{case}.csv"), layout=Wide(person=None))
