"""How a report writes numbers, models and rules in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

MODELS = {
    "rasch": "Rasch model",
    "1pl": "one-parameter logistic model (1PL)",
    "2pl": "two-parameter logistic model (2PL)",
    "3pl": "three-parameter logistic model (3PL)",
    "4pl": "four-parameter logistic model (4PL)",
    "graded": "graded response model",
    "gpcm": "generalised partial credit model",
    "pcm": "partial credit model",
    "nominal": "nominal response model",
}
RULES = {
    "state": "no usable answers",
    "sign": "able persons do worse",
    "item_rest": "no evidence that able persons do better",
    "communality": "too little in common with the ability",
    "s_x2": "the curve does not fit (S-X²)",
    "infit": "the answers do not fit (infit)",
    "ld_x2": "depends on another item (LD-X²)",
    "twin": "answered like another item",
    "dead": "all answer alike, or all but one",
    "information": "hardly any information",
    "analyst": "an analyst's decision",
}
STATES = {
    "unanswered": "Nobody answered it, so it has no parameters.",
    "constant": "Everybody answered it alike, so it has no parameters.",
    "empty category": "A category was never chosen.",
    "at boundary": "A parameter lies at its bound: the answers do not hold it.",
    "separating": "It separates persons almost perfectly; its slope is not held by the answers.",
    "reverse-keyed": "Able persons answer it wrong more often: the key may be wrong.",
    "duplicate": "It is answered exactly like another item.",
}
MINUS = "\N{MINUS SIGN}"
UNKNOWN = "\N{EN DASH}"


def number(value: float, decimals: int = 2) -> str:
    """Write a number with so many decimals and a proper minus; a dash where it is unknown."""
    if math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    written = f"{value:.{decimals}f}"
    return written.replace("-", MINUS) if float(written) else written.removeprefix("-")


def share(value: float, decimals: int = 2) -> str:
    """Write a statistic between -1 and 1 without its zero, as is the custom: .85."""
    written = number(value, decimals)
    return written.replace("0.", ".", 1) if abs(value) < 1 else written


def p_value(value: float) -> str:
    """Write a p-value to three decimals."""
    if math.isnan(value):
        return UNKNOWN
    return "< .001" if value < 0.001 else f"{value:.3f}".removeprefix("0")


def several(words: Sequence[str], most: int = 5) -> str:
    """Join words to a list in a sentence, the first few of many."""
    if len(words) > most:
        return f"{', '.join(words[:most])} and {len(words) - most:,} more"
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
