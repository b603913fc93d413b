"""Crowds of labels to try things on."""

import itertools

import numpy as np

from irtkit.bridge.crowd.labels import CrowdLabels

EXACT = 1e-12  # the same sums in another order
CLOSE = 1e-9  # products and logs of many numbers

TRIPLES = [
    *("a i1 yes", "b i1 yes", "c i1 no"),
    *("a i2 no", "b i2 no", "c i2 no"),
    *("a i3 maybe", "b i3 yes"),
    *("c i4 yes", "a i4 yes", "b i4 maybe"),
]


GOLD = {"i1": "yes", "i2": "no", "i4": "maybe"}


def crowd_of(lines=TRIPLES, **more):
    return CrowdLabels.from_triples(*zip(*(line.split() for line in lines), strict=True), **more)


def drawn(n_workers=30, n_items=60, n_labels=3, *, share=1.0, seed=0, worst=0.4):
    """Workers with confusion matrices of their own, and the true labels."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(n_labels, size=n_items)
    skill = rng.uniform(worst, 0.95, n_workers)
    rows = []
    for worker, item in itertools.product(range(n_workers), range(n_items)):
        if rng.random() < share:
            right = rng.random() < skill[worker]
            label = truth[item] if right else (truth[item] + 1 + worker % 2) % n_labels
            rows.append((f"w{worker}", f"i{item}", f"l{label}"))
    names = {f"i{item}": f"l{label}" for item, label in enumerate(truth)}
    return CrowdLabels.from_triples(*zip(*rows, strict=True), gold=names)
