"""Run the notebooks, each from a clean kernel in an empty folder, and store them with outputs.

What is stored says nothing of the machine: no times, no paths, no versions. The tests in
`tests/test_notebooks.py` run the same functions and compare. README.md says how to use it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode

from irtkit.io.files import write_atomically

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent
SECONDS = 600  # for one cell, on a busy machine
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"}
PICTURE = "image/png"


class ThisInterpreter(AsyncKernelManager):
    """Starts the interpreter that runs this program, whatever kernels are installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """Describe how the kernel is started."""
        launcher = [sys.executable, "-m", "ipykernel_launcher", "--log-level=ERROR"]
        return KernelSpec(argv=[*launcher, "-f", "{connection_file}"], language="python")


def notebooks() -> list[Path]:
    """List the notebooks, in the order of their numbers."""
    return sorted(FOLDER.glob("[0-9]*.ipynb"))


def read(path: Path) -> NotebookNode:
    """Read a notebook in the current format."""
    return nbformat.read(path, as_version=4)


def executed(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Run a copy of a notebook in a folder and return it, tidied.

    The kernel imports irtkit from this checkout, and keeps its own files in the folder too.

    Raises
    ------
    CellExecutionError
        If a cell raises.
    """
    fresh = deepcopy(notebook)
    client = NotebookClient(
        fresh,
        kernel_manager_class=ThisInterpreter,
        timeout=SECONDS,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute(env=environment(folder))
    return tidied(fresh)


def environment(folder: Path) -> dict[str, str]:
    """Return the variables for a kernel: one thread, no start-up files, no debugger."""
    own = {
        "OMP_NUM_THREADS": "1",  # the same sums in the same order on every machine
        "IPYTHONDIR": str(folder / ".ipython"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "PYTHONWARNINGS": "ignore:IProgress not found",  # tqdm would like widgets
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }
    return {**os.environ, **own}


def tidied(notebook: NotebookNode) -> NotebookNode:
    """Return a copy without what depends on machine and time; cells keep ids and tags."""
    clean = deepcopy(notebook)
    clean.metadata = NotebookNode(kernelspec=NotebookNode(KERNEL), language_info=LANGUAGE)
    for cell in clean.cells:
        cell.metadata = NotebookNode({k: v for k, v in cell.metadata.items() if k == "tags"})
        for output in cell.get("outputs", []):
            if "metadata" in output:
                output.metadata = NotebookNode()
            if PICTURE in output.get("data", {}):
                output.data[PICTURE] = output.data[PICTURE].replace("\n", "") + "\n"
    return clean


def store(path: Path) -> None:
    """Run a notebook and replace its file."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = executed(read(path), Path(folder))
    nbformat.validate(fresh)
    write_atomically(path, (nbformat.writes(fresh) + "\n").encode())


def main(names: Sequence[str] | None = None) -> None:
    """Run all notebooks, or those whose names begin as given."""
    parser = argparse.ArgumentParser(description="Run notebooks and store them with outputs.")
    parser.add_argument("names", nargs="*", help="beginnings of file names; all if none is given")
    wanted = tuple(parser.parse_args(names).names) or ("",)
    for path in notebooks():
        if path.name.startswith(wanted):
            store(path)
            print(f"{path.name}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
