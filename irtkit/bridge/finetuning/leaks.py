"""Overlap of training and evaluation: an item that was trained on cannot measure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any

import pandas as pd

from irtkit.errors import ModelError, count, listing


def check_leak(training: Any, evaluation: Any, *, what: str = "evaluation") -> None:
    """Refuse training items that are also evaluated on, by id or by text.

    Parameters
    ----------
    training, evaluation : FinetuningSet or DataFrame
        Columns item, text and, for pairs, text_pair; a table without texts is compared by id.
    what : str
        What the second set is for, as the message says it.

    Raises
    ------
    ModelError
        If an id, or a text after `normalised`, stands in both.
    """
    trained, evaluated = _rows(training), _rows(evaluation)
    ids = set(trained["item"].astype(str))
    same = [item for item in evaluated["item"].astype(str) if item in ids]
    if same:
        raise ModelError(
            f"{count(len(same), 'item')} of the {what} set also in training: {listing(same)}. "
            "What was trained on cannot measure: take these items out of one of the two."
        )
    if "text" not in trained or "text" not in evaluated:
        return
    known = dict(zip(text_keys(trained), trained["item"].astype(str), strict=True))
    twins = [
        f"{item} ({known[key]} in training)"
        for item, key in zip(evaluated["item"].astype(str), text_keys(evaluated), strict=True)
        if key in known
    ]
    if twins:
        raise ModelError(
            f"{count(len(twins), 'item')} of the {what} set with a text that is also trained on: "
            f"{listing(twins)}. Case, blanks and punctuation aside, the texts are equal: take "
            "them out of one of the two."
        )


def text_keys(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """Give the normalised text and text_pair of each row, by which two items are the same."""
    second: Iterable[Any] = rows["text_pair"] if "text_pair" in rows else [""] * len(rows)
    return [
        (normalised(str(text)), normalised(str(pair)))
        for text, pair in zip(rows["text"], second, strict=True)
    ]


def normalised(text: str) -> str:
    """Reduce a text to its words: one Unicode form, no case, punctuation or outer blanks."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(plain.translate(WORDS_ONLY).split()) or plain.strip()


class _WordsOnly(dict[int, int]):
    """Maps a character to a blank if it is punctuation, a symbol, a separator or a control."""

    def __missing__(self, code: int) -> int:
        self[code] = ord(" ") if unicodedata.category(chr(code))[0] in "PSZC" else code
        return self[code]


WORDS_ONLY = _WordsOnly()


def _rows(given: Any) -> pd.DataFrame:
    rows = getattr(given, "rows", given)
    if not isinstance(rows, pd.DataFrame) or "item" not in rows:
        raise ModelError("A fine-tuning set, or a DataFrame with a column item, is needed.")
    return rows
