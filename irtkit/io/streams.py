"""Reading what is too large to hold: JSON lines one at a time, members of a zip one by one.

Logs of other programs are read here, so their JSON may hold NaN, which irtkit's own files may
not. A limit stands on whatever a damaged or hostile file could make grow: the length of a line,
the size of a member, the sum of all members, their number. Nothing is ever unpacked to disk.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from irtkit.errors import FileError, ResponseError, shown
from irtkit.io.files import GZIP, MOST_DECOMPRESSED, kind_of, read_bytes, reason_of, regular_file

MOST_LINE = 64 * 2**20
MOST_DOCUMENT = 2**30
MOST_MEMBER = 256 * 2**20
MOST_MEMBERS = 500_000
ZSTANDARD = 93  # the compression of recent Inspect logs; Python reads it from 3.14 on
LOCAL_HEADER = struct.Struct("<4s22xHH")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, struct.error, OverflowError, ValueError)


def json_lines(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield number and object of each line of JSON lines (also gzipped), blank lines left out.

    Parameters
    ----------
    path : path

    Raises
    ------
    FileError
        If the file cannot be read, is damaged or changes meanwhile.
    ResponseError
        If a line is no JSON object; the message names file and line.
    """
    path = Path(path)
    before = regular_file(path)
    number = size = 0
    try:
        with _opened(path) as stream:
            while line := stream.readline(MOST_LINE + 1):
                number += 1
                size += len(line)
                _check_size(path, number, len(line), size, before.st_size)
                line = (line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line).strip()
                if line:
                    yield number, _object(line, f"{path}: Line {number}")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileError(
            f"The compressed file {path} is damaged after line {number} ({error}). Nothing of it "
            "was used; fetch it again."
        ) from error
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"{path} cannot be read: {reason_of(error)}.") from error
    if (
        after := regular_file(path)
    ).st_size != before.st_size or after.st_mtime != before.st_mtime:
        raise FileError(f"{path} changed while it was read. Wait until it is complete.")


def _opened(path: Path) -> gzip.GzipFile | BufferedReader:
    with path.open("rb") as stream:
        start = stream.read(8)
    kind = kind_of(start)
    if kind is not None and not start.startswith(GZIP):
        raise ResponseError(f"{path} is {kind}, not JSON lines. Name it as what it is.")
    return gzip.open(path, "rb") if start.startswith(GZIP) else path.open("rb")


def _check_size(path: Path, number: int, line: int, size: int, packed: int) -> None:
    if line > MOST_LINE:
        raise ResponseError(
            f"{path}: Line {number} has more than {MOST_LINE / 2**20:,.0f} MiB, the limit. Are "
            "these JSON lines, one object a line?"
        )
    if size > max(MOST_DECOMPRESSED, packed):
        raise FileError(
            f"{path} unpacks to more than {MOST_DECOMPRESSED / 2**20:,.0f} MiB, the limit. Unpack "
            "it yourself if that is right."
        )


def _object(line: bytes, place: str) -> dict[str, Any]:
    value = loaded(line, place)
    if not isinstance(value, dict):
        start = line[:80].decode(errors="replace")
        raise ResponseError(f"{place} is no object with fields: {shown(start)}.")
    return value


def loaded(content: bytes, place: str) -> Any:
    """Parse JSON that may hold NaN; repeated fields, deep nesting and bad UTF-8 are refused.

    Raises
    ------
    ResponseError
        Beginning with `place`.
    """
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        raise ResponseError(f"{place} is not UTF-8 at byte {error.start}.") from None
    except RecursionError:
        raise ResponseError(f"{place}: It is nested too deep.") from None
    except ResponseError as error:
        raise ResponseError(f"{place}: {error}") from None
    except ValueError as error:
        raise ResponseError(f"{place}: It is not complete JSON: {error}.") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ResponseError(f"The field {shown(twice)} stands twice in one object.")
    return found


def json_document(path: str | Path) -> Any:
    """Read one JSON value that another program wrote, NaN allowed.

    Raises
    ------
    FileError
        If the file cannot be read.
    ResponseError
        If it is no JSON, or larger than a GiB.
    """
    content = read_bytes(path, most=MOST_DOCUMENT)
    kind = kind_of(content)
    if kind is not None:
        raise ResponseError(f"{path} is {kind}, not JSON. Name it as what it is.")
    if len(content) > MOST_DOCUMENT:
        raise ResponseError(f"{path} has {len(content):,} bytes; at most a GiB is read at once.")
    return loaded(content.removeprefix(BYTE_ORDER_MARK), str(path))


class Archive:
    """The members of a zip file, read one at a time into memory.

    Parameters
    ----------
    path : path

    Raises
    ------
    FileError
        If it is no zip file, damaged, encrypted, or not plausible: a member that leads out of
        the archive or is named twice, more members or more bytes than the limits.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        regular_file(self.path)
        self._left = MOST_DECOMPRESSED
        try:
            self._zip = zipfile.ZipFile(self.path)
        except OSError as error:
            raise FileError(f"{self.path} cannot be read: {reason_of(error)}.") from error
        except (*DAMAGED, NotImplementedError) as error:
            raise FileError(
                f"{self.path} is no complete zip file ({error}). Fetch it again."
            ) from error
        try:
            self._check_names()
        except FileError:
            self._zip.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    @property
    def names(self) -> list[str]:
        """Names of the members, in the order of the archive."""
        return self._zip.namelist()

    def read(self, name: str) -> bytes:
        """Read a member.

        Raises
        ------
        FileError
            If it is damaged, encrypted or unpacks to more than the limits.
        """
        member = self._zip.getinfo(name)
        most = min(MOST_MEMBER, self._left)
        try:
            with self._stream(member) as stream:
                content: bytes = stream.read(most + 1)
        except FileError:
            raise
        except (*DAMAGED, OSError) as error:
            raise FileError(
                f"{self.path}: the member {shown(name)} is damaged ({error}). Fetch it again."
            ) from error
        except (NotImplementedError, RuntimeError) as error:
            raise FileError(f"{self.path}: the member {shown(name)}: {error}.") from error
        if len(content) > most:
            raise FileError(
                f"{self.path}: the member {shown(name)} unpacks to more than "
                f"{most / 2**20:,.0f} MiB, the limit. Is this a log?"
            )
        self._left -= len(content)
        return content

    def json(self, name: str) -> Any:
        """Read a member as JSON; see `loaded`."""
        return loaded(self.read(name), f"{self.path}: {name}")

    def _check_names(self) -> None:
        names = self.names
        if len(names) > MOST_MEMBERS:
            raise FileError(f"{self.path} has {len(names):,} members; is this a log?")
        if len(set(names)) < len(names):
            raise FileError(f"{self.path} names a member twice; write it again.")
        for name in names:
            parts = name.replace("\\", "/").split("/")
            if ".." in parts or parts[0] == "" or ":" in parts[0]:
                raise FileError(
                    f"{self.path} holds the member {shown(name)}, which leads out of the archive. "
                    "No program that writes logs does that; it is not read."
                )

    def _stream(self, member: zipfile.ZipInfo) -> Any:
        if member.compress_type == ZSTANDARD and not hasattr(zipfile, "ZIP_ZSTANDARD"):
            return self._zstandard(member)
        return self._zip.open(member)

    def _zstandard(self, member: zipfile.ZipInfo) -> Any:
        """Open a member compressed with Zstandard, which this Python's zipfile cannot."""
        try:
            import pyarrow
        except ImportError as error:
            raise FileError(
                f"{self.path} is compressed with Zstandard, which needs pyarrow: pip install -c "
                "constraints.txt 'irtkit[parquet]'"
            ) from error
        if member.flag_bits & 1:
            raise RuntimeError("it is encrypted")
        with self.path.open("rb") as stream:
            stream.seek(member.header_offset)
            magic, name, extra = LOCAL_HEADER.unpack(stream.read(LOCAL_HEADER.size))
            if magic != b"PK\x03\x04" or member.compress_size > MOST_MEMBER:
                raise zipfile.BadZipFile("bad local header")
            stream.seek(name + extra, 1)
            packed = stream.read(member.compress_size)
        if len(packed) < member.compress_size:
            raise EOFError("it ends early")
        return pyarrow.CompressedInputStream(pyarrow.BufferReader(packed), "zstd")


def first_bytes(path: Path, size: int) -> bytes:
    """Return how a file begins.

    Raises
    ------
    FileError
        If it is no regular file or cannot be read.
    """
    regular_file(path)
    try:
        with path.open("rb") as stream:
            return stream.read(size)
    except OSError as error:
        raise FileError(f"{path} cannot be read: {reason_of(error)}.") from error


def first_object(path: Path) -> dict[str, Any] | None:
    """Return the object on the first line of a file, or None where there is none."""
    with contextlib.suppress(FileError, ResponseError):
        for _, row in json_lines(path):
            return row
    return None
