"""Delimited text -> columns: CSV, TSV and their relatives.

Strict on type, encoding, quotes and the number of cells on each line. Cells stay text, numbered
by their distinct values; what they mean is `coding.py`.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from irtkit.coding import Column, is_number
from irtkit.errors import ResponseError, count, listing, shown
from irtkit.io.files import kind_of

MOST_COLUMNS = 100_000
OTHER_SEPARATORS = (";", "\t", "|")
LINES_TO_GUESS = 5
BLOCK_CELLS = 2**20
LINE = re.compile(r"([^\r\n]*)(?:\r\n?|\n|$)")

Row = tuple[int, list[str]]
Places = npt.NDArray[np.signedinteger]


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
    ResponseError
        If the bytes are no text of that encoding, or the table is empty, ragged or wrongly
        quoted; the message names the place.
    """
    separator = text.separator or ("\t" if tabs else ",")
    if len(separator) != 1 or separator in '"\r\n':
        raise ResponseError(f"The separator {shown(separator)} should be one character, no quote.")
    body = decoded(content, text.encoding)
    if not body.strip():
        raise ResponseError("The file is empty: it holds no respondents.")
    rows = text_rows(body, separator)
    line, first = next(rows)
    _check_first_line(first, body, separator)
    if text.header:
        _check_names(first)
        return _encoded(rows, first, text.decimal)
    names = ["person", *(f"i{n}" for n in range(1, len(first)))]
    return _encoded(chain([(line, first)], rows), names, text.decimal)


def text_rows(body: str, separator: str) -> Iterator[Row]:
    """Yield the line number where each row begins, and its cells; empty last lines are none.

    Raises
    ------
    ResponseError
        If a quote is not closed; the message names the line where it opened.
    """
    reader = csv.reader(lines(body), delimiter=separator, strict=True)
    line = 1
    empty: list[int] = []
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ResponseError(_what_is_wrong(error, body, line, separator)) from None
        if cells:
            yield from ((number, [""]) for number in empty)
            empty.clear()
            yield line, cells
        else:
            empty.append(line)
        line = reader.line_num + 1


def lines(body: str) -> Iterator[str]:
    """Yield the lines of a text, each ended by a newline, however they end in it.

    Only CR, LF and CRLF end a line; `str.splitlines` would also cut at characters such as
    U+2028, which texts hold.
    """
    return (found[1] + "\n" for found in LINE.finditer(body) if found[0])


def _what_is_wrong(error: csv.Error, body: str, line: int, separator: str) -> str:
    """Say what is wrong with the row that begins on a line."""
    if "field larger" in str(error):
        return (
            f"The row of line {line} has a cell of more than {csv.field_size_limit():,} "
            "characters. If it should not, a quote in it is not closed."
        )
    return (
        f"The quotes do not match ({error}): a quote opened on line "
        f"{_opening_line(body, line, separator)} is not closed, or a quote inside a cell is not "
        "doubled."
    )


def _opening_line(body: str, start: int, separator: str) -> int:
    """Find where the bad quote opens in the row that begins on line `start`."""
    rest = "".join(itertools.islice(lines(body), start - 1, None))
    mark = re.escape(separator)
    cell = re.compile(rf'(?:"(?:[^"]|"")*"|[^"\n{mark}][^\n{mark}]*)?([\n{mark}])')
    place = 0
    while found := cell.match(rest, place):
        place = found.end()
    return start + rest.count("\n", 0, place)


def _encoded(rows: Iterable[Row], names: list[str], decimal: str) -> list[Column]:
    """Number the distinct cells of each column, a block of rows at a time."""
    seen: list[dict[str, int]] = [defaultdict(itertools.count().__next__) for _ in names]
    index: list[list[Places]] = [[] for _ in names]
    rows = iter(rows)
    size = max(1, BLOCK_CELLS // len(names))
    while block := list(itertools.islice(rows, size)):
        for line, cells in block:
            if len(cells) != len(names):
                raise ResponseError(
                    f"Line {line} has {count(len(cells), 'field')}, the header has {len(names)}. "
                    "Every row needs a cell for every column; leave it empty where there is no "
                    "answer."
                )
        for number, column in enumerate(zip(*(cells for _, cells in block), strict=True)):
            places = np.fromiter(map(seen[number].__getitem__, column), np.int32, len(block))
            index[number].append(places.astype(np.min_scalar_type(-len(seen[number]))))
    return [
        Column(
            name,
            np.concatenate(parts) if parts else np.empty(0, np.int8),
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


def decoded(content: bytes, encoding: str = "utf-8") -> str:
    """Decode bytes strictly; a UTF-8 mark at the start is dropped.

    Raises
    ------
    ResponseError
        Naming the place and what was seen.
    """
    kind = kind_of(content)
    if kind is not None:
        raise ResponseError(
            f"The file is {kind}, not text. Export it as text, or name it as it is."
        )
    plain = encoding.lower().replace("_", "-")
    if plain in ("utf-8", "utf8"):
        if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise ResponseError(
                f"The file starts with the bytes {content[:2].hex(' ')}: it is UTF-16. Say "
                "--encoding utf-16, or save it as UTF-8."
            )
        content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        body = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        seen = content[error.start : error.start + 4].hex(" ")
        raise ResponseError(
            f"The bytes {seen} at offset {error.start} (line {line}) are not {encoding}. Say "
            "which encoding it is (for example --encoding latin-1), or save the file as UTF-8."
        ) from error
    except UnicodeError as error:
        raise ResponseError(f"The file is not {encoding}: {error}.") from error
    except (LookupError, ValueError):
        raise ResponseError(f"There is no encoding {shown(encoding)}.") from None
    if "\x00" in body:
        line = body[: body.index("\x00")].count("\n") + 1
        raise ResponseError(
            f"Line {line} holds a NUL byte, which is no text. Is the file damaged?"
        )
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
        rows = body.count("\n") + 1
        raise ResponseError(
            f"The table has {len(names):,} columns and {rows:,} lines; reading it would need "
            f"about {len(names) * (rows * 2 + 2000) / 2**30:.1f} GiB. A wide table may have "
            f"{MOST_COLUMNS:,} columns: use the long layout, or transpose it."
        )
    if len(names) > 1:
        return
    start = [line.rstrip("\n") for line in itertools.islice(lines(body), LINES_TO_GUESS)]
    for other in {*OTHER_SEPARATORS, ","} - {separator}:
        numbers = {line.count(other) for line in start if line}
        if len(numbers) == 1 and numbers != {0}:
            raise ResponseError(
                f"The table has one column {shown(names[0])}, but each line holds "
                f"{numbers.pop()} {shown(other)}. Say --sep {shown(other)}."
            )
