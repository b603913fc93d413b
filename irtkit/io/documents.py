"""Strict JSON: what irtkit writes, it reads back exactly, and anything else is refused.

A sealed document carries the SHA-256 of its content, so that damage and edits are noticed.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from irtkit.errors import FileError, IrtkitError, ScaleError, shown
from irtkit.io.files import kind_of, read_bytes, write_atomically

MOST_BYTES = 256 * 2**20
DEEPEST = 64
LONGEST_INTEGER = 308  # digits; more would not fit float64
HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")
SEAL = "sha256"
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]')


def parsed(text: str) -> Any:
    """Parse one JSON value, refusing what Python lets through.

    Raises
    ------
    ScaleError
        For NaN and Infinity, numbers beyond float64, repeated keys, deep nesting, halves of
        surrogate pairs and bad syntax.
    """
    _check_depth(text)
    try:
        value = json.loads(
            text,
            parse_constant=_no_constant,
            object_pairs_hook=_unique,
            parse_float=_finite,
            parse_int=_whole,
        )
        if HALF_PAIR.search(text):
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeEncodeError as error:
        half = ascii(error.object[error.start])[1:-1]
        raise ScaleError(f"It holds {half}, half of a character, which is no text.") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise ScaleError(f"It is not complete JSON: {error}.") from None
    except ValueError as error:
        raise error if isinstance(error, ScaleError) else ScaleError(f"{error}.") from None


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON object from a file.

    Raises
    ------
    FileError
        If the file cannot be read.
    ScaleError
        If it is no strict JSON object; the message names the file and the place.
    """
    content = read_bytes(path, most=MOST_BYTES)
    kind = kind_of(content)
    if kind is not None:
        raise ScaleError(
            f"{path} is {kind}, not JSON. irtkit reads JSON only and never unpickles."
        )
    if len(content) > MOST_BYTES:
        raise ScaleError(f"{path} has {len(content):,} bytes; at most {MOST_BYTES:,} are read.")
    try:
        document = parsed(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ScaleError(f"{path} is not UTF-8 at byte {error.start}.") from None
    except ScaleError as error:
        raise ScaleError(f"{path}: {error}") from None
    if not isinstance(document, dict):
        raise ScaleError(f"{path} holds {type(document).__name__}, not an object with fields.")
    return document


def write_json(document: Mapping[str, Any], path: str | Path) -> None:
    """Write a document atomically, always as the same bytes.

    Raises
    ------
    FileError
        If it cannot be written.
    """
    write_atomically(path, json_content(document, path))


def json_content(document: Mapping[str, Any], path: str | Path) -> bytes:
    """Return a document as the bytes of a file, always the same.

    Raises
    ------
    FileError
        If a number is not finite or a text no Unicode; the message names the file.
    """
    try:
        content = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1).encode()
    except UnicodeEncodeError as error:
        raise FileError(f"{path} cannot be written: a text is no Unicode ({error}).") from error
    except ValueError as error:
        raise FileError(f"{path} cannot be written: a number is not finite ({error}).") from error
    return content + b"\n"


def backup_of(path: str | Path) -> Path:
    """Name the file that holds the version before a document; all links to it have the same."""
    return Path(f"{os.path.realpath(path)}.bak")


def previous_content(path: str | Path, content: bytes) -> bytes | None:
    """Read the sealed document that `content` will replace.

    Nothing is returned for a file that is absent, the same, or damaged: an older backup is then
    worth more.
    """
    if not os.path.exists(path):
        return None
    try:
        old = read_bytes(path, most=MOST_BYTES)
        unsealed(read_json(path), path)
    except IrtkitError:
        return None
    return None if old == content else old


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document with the hash of its content as its last field."""
    return {**document, SEAL: _hash(document)}


def unsealed(document: Mapping[str, Any], path: str | Path) -> dict[str, Any]:
    """Check the seal and return the document without it.

    Raises
    ------
    ScaleError
        If it is absent or does not match.
    """
    content = {name: value for name, value in document.items() if name != SEAL}
    if SEAL not in document:
        raise ScaleError(f"{path}: The field {SEAL} is missing, so damage could go unnoticed.")
    if document[SEAL] != _hash(content):
        raise ScaleError(
            f"{path} was changed after irtkit wrote it, or is damaged: its content does not match "
            f"its field {SEAL}. Build it again, or use the original."
        )
    return content


def _hash(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _check_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= DEEPEST:
        return
    depth = 0
    for token in TOKEN.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if depth > DEEPEST:
            raise ScaleError(f"It is nested more than {DEEPEST} deep.")


def _no_constant(word: str) -> NoReturn:
    raise ScaleError(f"It holds {word}, which is not JSON; numbers must be finite.")


def _finite(word: str) -> float:
    value = float(word)
    if not math.isfinite(value):
        raise ScaleError(f"It holds the number {word}, which is too large.")
    return value


def _whole(word: str) -> int:
    if len(word) > LONGEST_INTEGER:
        raise ScaleError(f"It holds the number {word[:20]}..., which is too large.")
    return int(word)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ScaleError(f"The field {shown(name)} stands twice in one object.")
        found[name] = value
    return found
