"""Boolean expressions over epochs, such as ``e1 & e2 & e3`` or ``~e3 & (e1 | e2)``.

``e2`` is what was noted of each example after the second epoch. ``~`` (not) binds closer than
``&`` (and), which binds closer than ``|`` (or), as in Python; brackets bind closest. The text is
parsed by a small grammar and never evaluated as code. What is noted is the caller's: `record.py`
passes which examples were mistaken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from irtkit.arrays import BoolArray
from irtkit.errors import ModelError, count, shown

LONGEST = 2_000  # characters; deeper nesting than this allows would be no readable choice
DEEPEST = 50
TOKEN = re.compile(r"\s*(?:e(?P<epoch>[0-9]{1,6})(?![A-Za-z0-9_])|(?P<mark>[&|~()]))")
HOW = "Write epochs as e1, e2, ... with & (and), | (or), ~ (not) and brackets, e.g. 'e1 & ~e3'."


def evaluated(expression: str, noted: BoolArray) -> BoolArray:
    """Combine what was noted after each epoch, shape (E, N), into one value an example.

    Parameters
    ----------
    expression : str
        Epochs e1 .. eE with ``&``, ``|``, ``~`` and brackets.
    noted : array of bool, shape (E, N)
        Row e - 1 belongs to epoch e.

    Returns
    -------
    array of bool, shape (N,)

    Raises
    ------
    ModelError
        If the expression cannot be read, naming the place, or an epoch is not there.
    """
    reader = _Reader(expression, noted, _tokens(expression))
    value = reader.any_of(0)
    if reader.place < len(reader.tokens):
        raise _error(expression, reader.tokens[reader.place], "an operator & or |")
    return value


@dataclass(frozen=True, slots=True)
class _Token:
    """A mark or an epoch, and its place in the text, counted from 1."""

    text: str
    place: int


@dataclass(slots=True)
class _Reader:
    """Recursive descent: `any_of` reads a | b, `all_of` a & b, `one` ~a, (a) or an epoch."""

    expression: str
    noted: BoolArray
    tokens: list[_Token]
    place: int = field(default=0)

    def any_of(self, depth: int) -> BoolArray:
        value = self.all_of(depth)  # (N,)
        while self._take("|"):
            value = value | self.all_of(depth)
        return value

    def all_of(self, depth: int) -> BoolArray:
        value = self.one(depth)  # (N,)
        while self._take("&"):
            value = value & self.one(depth)
        return value

    def one(self, depth: int) -> BoolArray:
        if depth > DEEPEST:
            raise ModelError(f"The expression is nested more than {DEEPEST} deep. Simplify it.")
        if self._take("~"):
            return ~self.one(depth + 1)
        if self._take("("):
            value = self.any_of(depth + 1)
            if not self._take(")"):
                raise _error(self.expression, self._next(), "& or | or a closing bracket")
            return value
        token = self._next()
        if token is None or not token.text.startswith("e"):
            raise _error(self.expression, token, "an epoch such as e1")
        self.place += 1
        return self._epoch(token)

    def _epoch(self, token: _Token) -> BoolArray:
        number, n_epochs = int(token.text[1:]), len(self.noted)
        if not 1 <= number <= n_epochs:
            known = "e1" if n_epochs == 1 else f"e1 to e{n_epochs}"
            raise ModelError(
                f"{shown(token.text)} at character {token.place} of {shown(self.expression)} is "
                f"not recorded: there is {known} ({count(n_epochs, 'epoch')})."
            )
        return self.noted[number - 1].copy()

    def _next(self) -> _Token | None:
        return self.tokens[self.place] if self.place < len(self.tokens) else None

    def _take(self, mark: str) -> bool:
        token = self._next()
        found = token is not None and token.text == mark
        self.place += found
        return found


def _tokens(expression: str) -> list[_Token]:
    """Cut the text into marks and epochs, refusing any other character."""
    if len(expression) > LONGEST:
        raise ModelError(
            f"The expression has {len(expression):,} characters; at most {LONGEST:,} are read."
        )
    found, place, end = [], 0, len(expression.rstrip())
    while place < end:
        match = TOKEN.match(expression, place)
        if match is None:
            start = place + len(expression[place:]) - len(expression[place:].lstrip())
            word = _Token(_word(expression, start), start + 1)
            raise _error(expression, word, "an epoch or an operator")
        text = match["mark"] or f"e{match['epoch']}"
        found.append(_Token(text, match.end() - len(match[0].strip()) + 1))
        place = match.end()
    return found


def _word(expression: str, start: int) -> str:
    """Return the word, or the single character, that begins at a place."""
    match = re.match(r"\w+", expression[start:])
    return match[0] if match else expression[start]


def _error(expression: str, token: _Token | None, expected: str) -> ModelError:
    if not expression.strip():
        return ModelError(f"The expression is empty. {HOW}")
    where = "ends" if token is None else f"has {shown(token.text)} at character {token.place}"
    return ModelError(
        f"The expression {shown(expression)} {where}, where {expected} was expected. {HOW}"
    )
