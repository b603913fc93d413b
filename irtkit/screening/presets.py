"""Named screenings: sequences of rules and observations, each with its purpose.

`preset` looks one up. To make your own, put rules in a tuple.
"""

from __future__ import annotations

from irtkit.errors import ModelError, listing, nearest, shown
from irtkit.estimation.calibration import (
    CONSTANT,
    DUPLICATE,
    EMPTY_CATEGORY,
    REVERSE_KEYED,
    SEPARATING,
    UNANSWERED,
)
from irtkit.screening.item_rules import (
    Communality,
    DeadItems,
    ItemFit,
    ItemRest,
    ItemStates,
    LowInformation,
    TwinItems,
)
from irtkit.screening.objections import Observation, Rule
from irtkit.screening.observations import Eigenvalues, LowerAsymptotes, WholeModel
from irtkit.screening.pair_rules import PairDependence

Rules = tuple[Rule | Observation, ...]

ALIKE = (UNANSWERED, CONSTANT, EMPTY_CATEGORY)
# after ItemRest: among items chosen for their sign, a test of the sign would mean nothing
WRONG_WAY = ItemStates((REVERSE_KEYED, SEPARATING), name="sign")

PRESETS: dict[str, Rules] = {
    "lalor2016": (
        Eigenvalues(),
        LowerAsymptotes(),
        ItemStates(ALIKE),
        ItemRest(),
        ItemStates((DUPLICATE, REVERSE_KEYED, SEPARATING), name="sign"),
        Communality(0.15),
        ItemFit(),
        PairDependence(),
        WholeModel(),
    ),
    "standard": (
        ItemStates(ALIKE),
        TwinItems(),
        ItemRest(),
        WRONG_WAY,
        Communality(0.05),
        ItemFit(smallest_rmsea=0.02, fewest_answers=100, share=0.1),
        PairDependence(smallest_v=0.1, fewest_common=100, fewest_expected=1, share=0.1),
        WholeModel(),
    ),
    "strict": (
        ItemStates(ALIKE),
        TwinItems(),
        ItemRest(0.01, "holm"),
        WRONG_WAY,
        Communality(0.15),
        ItemFit(adjustment="benjamini-hochberg", fewest_answers=100, share=0.1),
        PairDependence(
            adjustment="benjamini-hochberg", fewest_common=100, fewest_expected=1, share=0.1
        ),
        WholeModel(),
    ),
    "leaderboard": (
        DeadItems(),
        ItemStates(ALIKE),
        TwinItems(),
        ItemRest(),
        ItemStates((REVERSE_KEYED,), name="sign"),
        LowInformation(),
    ),
}


def preset(name: str) -> Rules:
    """Return the rules of a named screening.

    Parameters
    ----------
    name : str
        "lalor2016", the published sequence for crowd labels of sentence pairs: communality below
        .15, S-X2 with Holm, LD-X2 with Holm, one item at a time; eigenvalues, a test of lower
        asymptotes, and M2 are noted. Two guards of ours come first: evidence that an item goes
        with the others, without which noise may look like a small scale, and states.
        "standard": unlikely duplicates go; misfit and dependence must be large enough to matter,
        and items and pairs with few answers are not tested.
        "strict": every significant misfit or dependence counts (Benjamini-Hochberg), and
        communality must be at least .15.
        "leaderboard", for language models: dead items, unlikely duplicates, items that able
        models fail, items without evidence or information.

    Raises
    ------
    ModelError
        If there is no such preset.
    """
    if name not in PRESETS:
        raise ModelError(
            f"Unknown preset {shown(name)}; there is {listing(sorted(PRESETS))}."
            f"{nearest(name, PRESETS)}"
        )
    return PRESETS[name]
