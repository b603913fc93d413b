"""Which examples to train on, and in which order: all return a `FinetuningSet`.

By difficulty and discrimination (curricula, filters), by the information that the items give at
an ability, matched in difficulty to other examples, balanced in labels, or at random, as a
baseline of the same size. Difficulties of several scales are each on their own population's
metric; ordering across scales takes them as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from irtkit.arrays import FloatArray, IntArray
from irtkit.bridge.finetuning.examples import FinetuningSet
from irtkit.errors import ScaleError, count, listing, shown
from irtkit.scale import EvaluationScale

ORDERS = ("difficulty", "discrimination", "information")
Range = tuple[float, float]
EVERY = (-np.inf, np.inf)


def item_information(
    examples: FinetuningSet, scales: Sequence[EvaluationScale], theta: float
) -> FloatArray:
    """Return the Fisher information of each example's item at an ability, shape (N,).

    Raises
    ------
    ScaleError
        If an example is on none of the scales. An item without parameters has NaN.
    """
    known: dict[str, float] = {}
    for scale in scales:
        calibration = scale.calibration
        at = np.array([float(theta)])
        values = calibration.assignment.information(calibration.parameters, at)[0]  # (I,)
        known |= dict(zip(scale.items, values.tolist(), strict=True))
    items = examples.rows["item"].tolist()
    absent = [item for item in items if item not in known]
    if absent:
        raise ScaleError(
            f"{count(len(absent), 'example')} on none of the scales: {listing(absent)}. Their "
            "information is unknown; name every scale that the examples come from."
        )
    return np.array([known[item] for item in items])


def ordered_examples(
    examples: FinetuningSet,
    by: str = "difficulty",
    *,
    descending: bool = False,
    scales: Sequence[EvaluationScale] = (),
    theta: float = 0.0,
) -> FinetuningSet:
    """Order examples, easy ones first, say, for a curriculum.

    Parameters
    ----------
    examples : FinetuningSet
    by : str
        "difficulty", "discrimination", or "information" at `theta` (which needs `scales`).
    descending : bool
        Largest first. Examples without the value come last either way; ties keep their order.
    scales : sequence of EvaluationScale
        Those that the examples come from.
    theta : float
        Ability.
    """
    if by not in ORDERS:
        raise ScaleError(f"Unknown order {shown(by)}; there is {listing(ORDERS)}.")
    if by == "information":
        values = item_information(examples, scales, theta)
    else:
        values = examples.rows[by].to_numpy(dtype=float)
    return _taken(examples, np.argsort(-values if descending else values, kind="stable"))


def filtered_examples(
    examples: FinetuningSet,
    *,
    difficulty: Range = EVERY,
    discrimination: Range = EVERY,
    information: Range = EVERY,
    scales: Sequence[EvaluationScale] = (),
    theta: float = 0.0,
) -> FinetuningSet:
    """Keep the examples whose values lie in closed ranges; those without a value go.

    Raises
    ------
    ScaleError
        If none is left.
    """
    kept = np.ones(len(examples.rows), dtype=bool)
    for name, (low, high) in (("difficulty", difficulty), ("discrimination", discrimination)):
        if (low, high) != EVERY:
            values = examples.rows[name].to_numpy(dtype=float)
            kept &= (values >= low) & (values <= high)
    if information != EVERY:
        values = item_information(examples, scales, theta)
        kept &= (values >= information[0]) & (values <= information[1])
    if not kept.any():
        raise ScaleError(
            f"No example of '{examples.name}' lies in these ranges. Widen them: difficulties go "
            f"from {examples.rows['difficulty'].min():.2f} to "
            f"{examples.rows['difficulty'].max():.2f}."
        )
    return _taken(examples, np.flatnonzero(kept))


def first_examples(examples: FinetuningSet, n: int) -> FinetuningSet:
    """Take the first `n` examples, after an ordering, say.

    Raises
    ------
    ScaleError
        If there are fewer.
    """
    _check_size(examples, n)
    return _taken(examples, np.arange(n))


def random_examples(
    examples: FinetuningSet, n: int, *, seed: int | np.random.Generator
) -> FinetuningSet:
    """Draw `n` examples without replacement: a baseline of the same size.

    Raises
    ------
    ScaleError
        If there are fewer.
    """
    _check_size(examples, n)
    rng = np.random.default_rng(seed)
    return _taken(examples, rng.permutation(len(examples.rows))[:n])


def balanced_examples(
    examples: FinetuningSet, *, seed: int | np.random.Generator
) -> FinetuningSet:
    """Draw as many examples of each gold label as the rarest has; the order stays.

    Raises
    ------
    ScaleError
        If a label has none: nothing can balance that.
    """
    labels = examples.rows["label"].to_numpy()
    sizes = np.bincount(labels, minlength=len(examples.label_set))  # (L,)
    if not sizes.min():
        without = [name for name, size in zip(examples.label_set, sizes, strict=True) if not size]
        raise ScaleError(
            f"'{examples.name}' has no example of {listing(without)}, so its labels cannot be "
            "balanced. Add a scale that has some."
        )
    rng = np.random.default_rng(seed)
    drawn = [
        rng.permutation(np.flatnonzero(labels == n))[: sizes.min()] for n in range(len(sizes))
    ]
    return _taken(examples, np.sort(np.concatenate(drawn)))


def difficulty_matched(examples: FinetuningSet, reference: FinetuningSet) -> FinetuningSet:
    """Choose for each reference example another of about its difficulty.

    Each example is chosen once at most, so that the sum of the differences is as small as can be.

    Parameters
    ----------
    examples : FinetuningSet
        To choose from; those without a difficulty are passed over.
    reference : FinetuningSet
        What to match; all with a difficulty.

    Returns
    -------
    FinetuningSet
        In the order of the reference.

    Raises
    ------
    ScaleError
        If there are too few examples, or the reference has no difficulties.
    """
    wanted = reference.rows["difficulty"].to_numpy(dtype=float)  # (M,)
    offered = examples.rows["difficulty"].to_numpy(dtype=float)  # (N,)
    usable = np.flatnonzero(np.isfinite(offered))
    if not np.isfinite(wanted).all() or len(usable) < len(wanted):
        raise ScaleError(
            f"{count(len(wanted), 'example')} of '{reference.name}' should be matched in "
            f"difficulty, each by another of {count(len(usable), 'example')} of '{examples.name}' "
            "with a difficulty. Match fewer, or offer more; leave out what has no difficulty."
        )
    distance = np.abs(wanted[:, None] - offered[usable])  # (M, n)
    return _taken(examples, usable[linear_sum_assignment(distance)[1]])


def _check_size(examples: FinetuningSet, n: int) -> None:
    if not 1 <= n <= len(examples.rows):
        raise ScaleError(
            f"{n} of {count(len(examples.rows), 'example')} of '{examples.name}' cannot be taken; "
            f"ask for 1 to {len(examples.rows)}."
        )


def _taken(examples: FinetuningSet, places: IntArray) -> FinetuningSet:
    return replace(examples, rows=examples.rows.iloc[places].reset_index(drop=True))
