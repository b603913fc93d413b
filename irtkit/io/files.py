"""Opening and writing files so that nothing hangs, nothing is read half, nothing is lost.

Reading refuses whatever is not a regular file, damaged or oversized compression, and files that
change meanwhile. Writing is atomic; `atomic.py` says how.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import stat
import zlib
from collections.abc import Mapping
from pathlib import Path

from irtkit.atomic import reason_of, replacing, replacing_folder, sync_file
from irtkit.errors import FileError

GZIP = b"\x1f\x8b"
MOST_DECOMPRESSED = 4 * 2**30
MEMORY_PER_BYTE = 4  # reading a table needs about so many times its size
CHUNK = 2**22
KINDS = {
    b"PAR1": "a Parquet file",
    b"\x89HDF": "an HDF5 file",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip file",
    b"%PDF": "a PDF",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"ARROW1": "an Arrow file",
    b"\x80\x02": "a Python pickle",
    b"\x80\x03": "a Python pickle",
    b"\x80\x04": "a Python pickle",
    b"\x80\x05": "a Python pickle",
    b"SQLite": "an SQLite database",
}


def kind_of(content: bytes) -> str | None:
    """Name the type of a file that is not text by its first bytes, or None."""
    if content.startswith(b"PK\x03\x04") and b"xl/" in content[:4096]:
        return "an Excel workbook (xlsx)"
    return next((kind for magic, kind in KINDS.items() if content.startswith(magic)), None)


def read_bytes(path: str | Path, *, most: int = MOST_DECOMPRESSED) -> bytes:
    """Read a whole file, decompressing gzip.

    Parameters
    ----------
    path : path
    most : int
        Largest size in bytes after decompression.

    Raises
    ------
    FileError
        If it is no regular file, cannot be read, is damaged, larger than memory, or changes
        while it is read.
    """
    path = Path(path)
    before = regular_file(path)
    _check_memory(path, before.st_size)
    try:
        content = path.read_bytes()
        after = path.stat()
    except OSError as error:
        raise FileError(f"{path} cannot be read: {reason_of(error)}.") from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise FileError(f"{path} changed while it was read. Wait until it is complete.")
    return _decompressed(path, content, most) if content.startswith(GZIP) else content


def regular_file(path: Path) -> os.stat_result:
    """Stat a file, refusing what would hang or is not there."""
    try:
        found = path.stat()
    except FileNotFoundError as error:
        what = "is a link to nothing" if path.is_symlink() else "does not exist"
        raise FileError(f"{path} {what}. Check the name.") from error
    except OSError as error:
        raise FileError(f"{path} cannot be read: {reason_of(error)}.") from error
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "a device, pipe or socket"
        raise FileError(f"{path} is {what}, not a file. Name a file.")
    return found


def _check_memory(path: Path, size: int) -> None:
    free = _free_memory()
    needed = size * MEMORY_PER_BYTE
    if free is not None and needed > free:
        gigabytes, wanted, spare = (f"{n / 2**30:,.1f} GiB" for n in (size, needed, free))
        raise FileError(
            f"{path} has {gigabytes}; reading it needs about {wanted} of memory and {spare} are "
            "free. Split it, or write it as Parquet."
        )


def _free_memory() -> int | None:
    """Count the bytes that can be had without swapping, file caches included, where known."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * int(next(line for line in lines if "MemAvailable" in line).split()[1])
    if "SC_AVPHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _decompressed(path: Path, content: bytes, most: int) -> bytes:
    parts, size = [], 0
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            while part := stream.read(CHUNK):
                size += len(part)
                if size > most:
                    raise FileError(
                        f"{path} unpacks to more than {most / 2**20:,.0f} MiB, the limit. Unpack "
                        "it yourself if that is right."
                    )
                parts.append(part)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileError(
            f"The compressed file {path} is damaged after {size:,} unpacked bytes ({error}). "
            "Nothing of it was used; fetch it again."
        ) from error
    return b"".join(parts)


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file so that at any moment the old or the new content is there, complete.

    A link stays, and the file that it names is replaced.

    Raises
    ------
    FileError
        If it cannot be written; the old file is intact and no temporary file is left. Devices,
        pipes and folders are refused: a rename would replace the device itself.
    """
    if os.path.exists(path):
        regular_file(Path(path))
    with replacing(path) as temporary:
        _fill(temporary, content)


def _fill(path: Path, content: bytes) -> None:
    """Write all of the content into a file that is there, or made."""
    handle = os.open(path, os.O_CREAT | os.O_WRONLY, 0o666)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(handle, view) :]
    finally:
        os.close(handle)


def check_target(path: str | Path, *, overwrite: bool = False, folder: bool = False) -> None:
    """Refuse, before any work, an output that could not be written or would replace something.

    Parameters
    ----------
    path : path
    overwrite : bool
        It may replace what stands there.
    folder : bool
        The output is a folder, not a file.

    Raises
    ------
    FileError
        If it exists, is of the other kind, or its folder is absent or cannot be written.
    """
    path = Path(path)
    parent = path.absolute().parent
    try:
        exists, is_folder = path.exists(), path.is_dir()
        if exists and not is_folder:
            regular_file(path)
        if not parent.is_dir():
            raise FileError(f"The folder of {path} does not exist. Make it first.")
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{path} cannot be written: {reason_of(error)}.") from error
    if exists and is_folder != folder:
        what = "a folder, not a file" if is_folder else "a file, not a folder"
        raise FileError(f"{path} is {what}. Choose another name.")
    if exists and not overwrite:
        raise FileError(f"{path} exists. Say --overwrite to replace it, or choose another name.")
    if not os.access(parent, os.W_OK):
        raise FileError(f"{path} cannot be written: its folder is read-only.")


def write_folder_atomically(
    folder: str | Path, files: Mapping[str, bytes], *, overwrite: bool = False
) -> None:
    """Write a folder of files, complete or not at all.

    Parameters
    ----------
    folder : path
    files : mapping
        Relative name to content.
    overwrite : bool
        Replace an existing folder.

    Raises
    ------
    FileError
        If it cannot be written; what stood there is intact.
    """
    folder = Path(folder)
    for name in files:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise FileError(f"{folder} cannot hold {name}, which leads out of the folder.")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise FileError(f"{folder} is a link or a file, not a folder. Choose another name.")
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise FileError(f"{folder} exists. Say --overwrite to replace it, or choose another name.")
    with replacing_folder(folder) as temporary:
        for name, content in files.items():
            target = temporary / name
            target.parent.mkdir(parents=True, exist_ok=True)
            _fill(target, content)
            sync_file(target)
