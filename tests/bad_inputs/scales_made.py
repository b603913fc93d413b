"""Two scales that faults are put into, each made once: five items without, six with a key."""

import json
from functools import cache

from irtkit.io import scale_content
from irtkit.io.documents import sealed
from irtkit.models import TwoPL
from irtkit.responses import Responses
from irtkit.scale import build_scale
from irtkit.screening import ItemStates, screen
from irtkit.simulate import simulate

LABELS = ("no", "perhaps", "yes")
GOLD = {"i1": "yes", "i2": "no", "i3": "yes", "i4": "perhaps", "i5": "no", "i6": "yes"}
WRONG = {"yes": "no", "no": "perhaps", "perhaps": "yes"}


@cache
def five() -> bytes:
    """Return the file of a scale of five items without a key."""
    made = simulate(TwoPL(), n_persons=300, n_items=5, seed=4).responses
    scale = build_scale(screen(made, TwoPL(), (ItemStates(),)), name="five items")
    return scale_content(scale, "five.json")


@cache
def six_scale():
    """Make a scale of six items with a key in three labels."""
    made = simulate(TwoPL(), n_persons=400, n_items=6, seed=6).responses
    right = made.dense()
    words = [
        GOLD[item] if right[row, place] else WRONG[GOLD[item]]
        for row in range(made.n_persons)
        for place, item in enumerate(GOLD)
    ]
    persons = [person for person in made.persons for _ in GOLD]
    answers = Responses.from_triples(persons, list(GOLD) * made.n_persons, words, key=GOLD)
    return build_scale(screen(answers, TwoPL(), (ItemStates(),)), name="six")


@cache
def six() -> bytes:
    """Return the file of the scale with a key."""
    return scale_content(six_scale(), "six.json")


def document(content: bytes) -> dict:
    """Return the fields of a scale file, without its seal."""
    fields = json.loads(content)
    del fields["sha256"]
    return fields


def resealed(fields: dict) -> str:
    """Write fields with a seal that fits, as a hostile hand could."""
    return json.dumps(sealed(fields))


def changed(fields: dict, path, value) -> dict:
    """Change one field in place, or leave it out where the value is `...`."""
    *parents, last = path
    place = fields
    for step in parents:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return fields
