"""Nine persons, two items: the table that the faults are put into, and what must come of it."""

import json
from functools import cache

from irtkit.estimation import calibrate
from irtkit.models import Rasch
from irtkit.responses import Responses

# The answers of persons a to i to the items x and y.
CODES = ((0, 1), (0, 1), (0, 0), (0, 0), (1, 1), (1, 1), (1, 1), (1, 0), (0, 1))
PERSONS = "abcdefghi"


def table(header="id,x,y", line="{p},{x},{y}", words=("0", "1"), end="\n") -> str:
    """Write the table with other words for the answers, or laid out in another way."""
    rows = [
        line.format(p=person, x=words[x], y=words[y])
        for person, (x, y) in zip(PERSONS, CODES, strict=True)
    ]
    return "".join(row + end for row in ([header] if header else []) + rows)


BASE = table()
LONG = table("person,item,answer", "{p},x,{x}\n{p},y,{y}")


def calibrating(bench, content, *options, name="answers.csv"):
    """Write a table and give the words that calibrate it."""
    return calibrating_file(bench.write(name, content), *options)


def calibrating_file(path, *options):
    """Give the words that calibrate a file by the Rasch model."""
    return ["calibrate", path, "--model", "rasch", *options, "-o", "c.json"]


def check_calibration(bench, codes=CODES, items=("x", "y"), weights=None):
    """Check that the numbers written are exactly those of these codes, person by person."""
    made = json.loads((bench.folder / "c.json").read_text("utf-8"))
    expected = _calibrated(tuple(map(tuple, codes)), tuple(items), weights)
    assert [row["item"] for row in made["items"]] == list(items)
    found = [[row["parameters"]["slope"], row["parameters"]["intercept"]] for row in made["items"]]
    assert found == expected.parameters.tolist()
    assert made["log_likelihood"] == expected.log_likelihood
    assert made["n_persons"] == expected.n_persons


@cache
def _calibrated(codes, items, weights):
    answers = [[None if code < 0 else code for code in row] for row in codes]
    missing = [[float("nan") if code is None else code for code in row] for row in answers]
    made = Responses.from_array(missing, items=list(items), weights=weights)
    return calibrate(made, Rasch())
