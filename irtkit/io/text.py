"""Delimited text -> columns: CSV, TSV and their relatives.

Strict on type, encoding, quotes and the number of cells on each line. Cells stay text, numbered
by their distinct values; what they mean is `coding.py`.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from irtkit.coding import Column, is_number
from irtkit.errors import FileError, ResponseError, count, listing, shown
from irtkit.io.files import kind_of

MOST_COLUMNS = 100_000
OTHER_SEPARATORS = (";", "\t", "|")
LINES_TO_GUESS = 5
BLOCK_ROWS = 10_000

Row = tuple[int, list[str]]
Places = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class TextFormat:
    """How a text table is written.

    Parameters
    ----------
    separator : str or None
        Between columns; None is a tab in .tsv files and a comma elsewhere.
    decimal : str
        Decimal mark of numbers.
    encoding : str
        Of the bytes.
    header : bool
        The first line names the columns.
    """

    separator: str | None = None
    decimal: str = "."
    encoding: str = "utf-8"
    header: bool = True


def text_columns(content: bytes, text: TextFormat, *, tabs: bool = False) -> list[Column]:
    """Parse the bytes of a delimited text file.

    Parameters
    ----------
    content : bytes
    text : TextFormat
    tabs : bool
        The file's name says that a tab separates.

    Raises
    ------
    FileError
        If the bytes are no text of that encoding.
    ResponseError
        If the table is empty, ragged or wrongly quoted; the message names the line.
    """
    separator = text.separator or ("\t" if tabs else ",")
    if len(separator) != 1:
        raise ResponseError(f"The separator {shown(separator)} should be a single character.")
    body = _unix(decoded(content, text.encoding)).rstrip("\n")
    if not body.strip():
        raise ResponseError("The file is empty: it holds no respondents.")
    rows = _quoted_rows(body, separator) if '"' in body else _plain_rows(body, separator)
    line, first = next(rows)
    _check_first_line(first, body, separator)
    if text.header:
        _check_names(first)
        return _encoded(rows, first, text.decimal)
    names = ["person", *(f"i{n}" for n in range(1, len(first)))]
    return _encoded(chain([(line, first)], rows), names, text.decimal)


def _plain_rows(body: str, separator: str) -> Iterator[Row]:
    """Yield the line number and the cells of each row; there are no quotes."""
    for number, line in enumerate(body.split("\n"), start=1):
        yield number, line.split(separator)


def _quoted_rows(body: str, separator: str) -> Iterator[Row]:
    """Yield the line number where each row begins, and its cells."""
    reader = csv.reader(io.StringIO(body), delimiter=separator, strict=True)
    line = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ResponseError(
                f"The quotes do not match ({error}): a quote opened on line {line} is not closed, "
                "or a quote inside a cell is not doubled."
            ) from None
        yield line, cells or [""]
        line = reader.line_num + 1


def _encoded(rows: Iterable[Row], names: list[str], decimal: str) -> list[Column]:
    """Number the distinct cells of each column, a block of rows at a time."""
    seen: list[dict[str, int]] = [defaultdict(itertools.count().__next__) for _ in names]
    index: list[list[Places]] = [[] for _ in names]
    rows = iter(rows)
    while block := list(itertools.islice(rows, BLOCK_ROWS)):
        for line, cells in block:
            if len(cells) != len(names):
                raise ResponseError(
                    f"Line {line} has {count(len(cells), 'field')}, the header has {len(names)}. "
                    "Every row needs a cell for every column; leave it empty where there is no "
                    "answer."
                )
        for number, column in enumerate(zip(*(cells for _, cells in block), strict=True)):
            places = map(seen[number].__getitem__, column)
            index[number].append(np.fromiter(places, dtype=np.int32, count=len(block)))
    return [
        Column(
            name,
            np.concatenate(parts) if parts else np.empty(0, np.int32),
            tuple(_with_point(word, decimal) for word in words),
        )
        for name, parts, words in zip(names, index, seen, strict=True)
    ]


def _with_point(word: str, decimal: str) -> str:
    """Write a number with a decimal point; leave other words alone."""
    if decimal == "." or word.count(decimal) != 1:
        return word
    pointed = word.replace(decimal, ".")
    return pointed if is_number(pointed) else word


def lines(body: str) -> list[str]:
    """Split text at the ends of lines, and at no other character that Unicode breaks at."""
    return _unix(body).split("\n")


def _unix(body: str) -> str:
    return body.replace("\r\n", "\n").replace("\r", "\n")


def decoded(content: bytes, encoding: str = "utf-8") -> str:
    """Decode bytes strictly; a UTF-8 mark at the start is dropped.

    Raises
    ------
    FileError
        Naming the place and what was seen.
    """
    kind = kind_of(content)
    if kind is not None:
        raise FileError(f"The file is {kind}, not text. Export it as text, or name it as it is.")
    plain = encoding.lower().replace("_", "-")
    if plain in ("utf-8", "utf8"):
        if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise FileError(
                f"The file starts with the bytes {content[:2].hex(' ')}: it is UTF-16. Say "
                "--encoding utf-16, or save it as UTF-8."
            )
        content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        body = content.decode(encoding)
    except LookupError:
        raise FileError(f"There is no encoding {shown(encoding)}.") from None
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        seen = content[error.start : error.start + 4].hex(" ")
        raise FileError(
            f"The bytes {seen} at offset {error.start} (line {line}) are not {encoding}. Say "
            "which encoding it is (for example --encoding latin-1), or save the file as UTF-8."
        ) from error
    if "\x00" in body:
        line = body[: body.index("\x00")].count("\n") + 1
        raise FileError(f"Line {line} holds a NUL byte, which is no text. Is the file damaged?")
    return body


def _check_names(names: list[str]) -> None:
    repeated = [name for name, number in Counter(names).items() if number > 1]
    if not repeated:
        return
    if all(is_number(name) for name in names):
        raise ResponseError(
            f"The first line holds nothing but numbers ({listing(names)}), so it looks like "
            "answers. If the table has no header say --no-header."
        )
    raise ResponseError(
        f"{count(len(repeated), 'column')} named more than once: {listing(repeated, 10)}. Each "
        "column needs a name of its own."
    )


def _check_first_line(names: list[str], body: str, separator: str) -> None:
    """Refuse a table that is too wide, or that another separator cuts better."""
    if len(names) > MOST_COLUMNS:
        lines = body.count("\n") + 1
        raise ResponseError(
            f"The table has {len(names):,} columns and {lines:,} lines; reading it would need "
            f"about {len(names) * (lines * 2 + 2000) / 2**30:.1f} GiB. A wide table may have "
            f"{MOST_COLUMNS:,} columns: use the long layout, or transpose it."
        )
    if len(names) > 1:
        return
    start = body.split("\n", LINES_TO_GUESS)[:LINES_TO_GUESS]
    for other in {*OTHER_SEPARATORS, ","} - {separator}:
        numbers = {line.count(other) for line in start}
        if len(numbers) == 1 and numbers != {0}:
            raise ResponseError(
                f"The table has one column {shown(names[0])}, but each line holds "
                f"{numbers.pop()} {shown(other)}. Say --sep {shown(other)}."
            )
