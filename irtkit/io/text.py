"""Delimited text -> columns: CSV, TSV and their relatives.

The bytes are checked first (type, encoding, separators on each line, quotes), so that the fast
parser afterwards cannot guess wrong. Cells stay text; what they mean is `coding.py`.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

import numpy as np
import pandas as pd

from irtkit.coding import Column
from irtkit.errors import FileError, ResponseError, count, listing, shown
from irtkit.io.files import kind_of

MOST_COLUMNS = 100_000
OTHER_SEPARATORS = (";", "\t", "|")
LINES_TO_GUESS = 5


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
    body = decoded(content, text.encoding).replace("\r\n", "\n").replace("\r", "\n")
    body = body.rstrip("\n")
    if not body.strip():
        raise ResponseError("The file is empty: it holds no respondents.")
    quoted = '"' in body
    names = _first_record(body, separator)
    if text.header:
        _check_names(names)
    _check_width(names, body, separator)
    if quoted:
        _check_records(body, separator, len(names))
    else:
        _check_lines(body, separator, len(names))
    frame = pd.read_csv(
        io.StringIO(body),
        sep=separator,
        header=None,
        skiprows=_lines_of_header(body, separator) if text.header else 0,
        names=list(range(len(names))),
        dtype="category",
        na_filter=False,
        skip_blank_lines=False,
        engine="c",
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        index_col=False,
    )
    if not text.header:
        names = ["person", *(f"i{n}" for n in range(1, len(names)))]
    return [_column(name, frame[n], text.decimal) for n, name in enumerate(names)]


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


def _first_record(body: str, separator: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(body), delimiter=separator, strict=True))
    except csv.Error:
        raise ResponseError("The quote opened on line 1 is never closed properly.") from None


def _lines_of_header(body: str, separator: str) -> int:
    reader = csv.reader(io.StringIO(body), delimiter=separator)
    next(reader)
    return reader.line_num


def _check_names(names: list[str]) -> None:
    seen: set[str] = set()
    repeated = [name for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
    numbers = all(_is_number(name) for name in names)
    if repeated and not numbers:
        raise ResponseError(
            f"{count(len(set(repeated)), 'column')} named more than once: "
            f"{listing(dict.fromkeys(repeated), 10)}. Each column needs a name of its own."
        )
    if repeated:
        raise ResponseError(
            f"The first line holds nothing but numbers ({listing(names)}), so it looks like "
            "answers. If the table has no header say --no-header."
        )


def _check_width(names: list[str], body: str, separator: str) -> None:
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
    for other in OTHER_SEPARATORS + ((",",) if separator != "," else ()):
        numbers = {line.count(other) for line in start}
        if len(numbers) == 1 and numbers != {0}:
            raise ResponseError(
                f"The table has one column {shown(names[0])}, but each line holds "
                f"{numbers.pop()} {shown(other)}. Say --sep {shown(other)}."
            )


def _check_lines(body: str, separator: str, width: int) -> None:
    """Count the separators of each line at once; there are no quotes."""
    raw = np.frombuffer(body.encode(), dtype=np.uint8)
    ends = np.append(np.flatnonzero(raw == ord("\n")), len(raw))
    if len(separator.encode()) != 1:
        raise ResponseError(f"The separator {shown(separator)} should be a single character.")
    marks = np.flatnonzero(raw == ord(separator))
    fields = np.diff(np.searchsorted(marks, ends), prepend=0) + 1  # per line
    wrong = np.flatnonzero(fields != width)
    if len(wrong):
        _refuse_ragged(int(wrong[0]) + 1, int(fields[wrong[0]]), width)


def _check_records(body: str, separator: str, width: int) -> None:
    """Walk over the records of a file with quotes, remembering where each began."""
    reader = csv.reader(io.StringIO(body), delimiter=separator, strict=True)
    start = 1
    try:
        for record in reader:
            if len(record) != width:
                _refuse_ragged(start, len(record), width)
            start = reader.line_num + 1
    except csv.Error as error:
        raise ResponseError(
            f"The quotes do not match ({error}): a quote opened on line {start} is not closed, or "
            "a quote inside a cell is not doubled."
        ) from None


def _refuse_ragged(line: int, found: int, width: int) -> None:
    raise ResponseError(
        f"Line {line} has {count(found, 'field')}, the header has {width}. Every row needs a cell "
        "for every column; leave it empty where there is no answer."
    )


def _column(name: str, series: pd.Series, decimal: str) -> Column:
    words = [str(word) for word in series.cat.categories]
    if decimal != ".":
        words = [
            word.replace(decimal, ".") if _is_number_with(word, decimal) else word
            for word in words
        ]
    return Column(name, series.cat.codes.to_numpy().astype(np.int32), tuple(words))


def _is_number_with(word: str, decimal: str) -> bool:
    return word.count(decimal) == 1 and _is_number(word.replace(decimal, "."))


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
