"""The rules of the house that a machine can check: floors, light import, names, clean files.

`docs/explanation/architecture.md` explains them.
"""

import ast
import fnmatch
import graphlib
import importlib.util
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import irtkit

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "irtkit"

FLOORS = {
    room: number
    for number, rooms in enumerate(
        [
            "errors arrays atomic threads",
            "coding fields layout storage responses models latent",
            "estimation",
            "scoring simulate linking planning",
            "diagnostics",
            "screening norms",
            "scale",
            "io",
            "datasets plots",
            "bridge",
            "report",
            "terminal environment options method_options demo cli __main__",
        ]
    )
    for room in rooms.split()
}

HEAVY = {
    *("torch", "transformers", "datasets", "pymc", "arviz"),
    *("dask", "distributed", "matplotlib", "polars"),
}
NAMELESS = {"utils", "helpers", "common", "base", "core"}
MACHINE = re.compile(
    r"/(?:root|home|work)/|index[-_]url|find[-_]links|https?://\S*/(?:simple|packages)/"
)

Graph = dict[str, set[str]]


def imports_within(package: Path) -> Graph:
    """Map each module of the package to those that it imports, type checking apart."""
    sources = {dotted(path, package): path for path in package.rglob("*.py")}
    graph = {}
    for module, path in sources.items():
        tree = Running().visit(ast.parse(path.read_text("utf-8")))
        parent = module if path.name == "__init__.py" else module.rpartition(".")[0]
        graph[module] = {
            name if name in sources else name.rpartition(".")[0]
            for node in ast.walk(tree)
            for name in imported(node, parent)
            if name.split(".")[0] == package.name
        }
    del graph[package.name]  # the top may import everything
    return graph


class Running(ast.NodeTransformer):
    """Leaves out what stands under `if TYPE_CHECKING`, which never runs."""

    def visit_If(self, node: ast.If) -> ast.AST:
        if ast.unparse(node.test).endswith("TYPE_CHECKING"):
            node.body = [ast.Pass()]
        self.generic_visit(node)
        return node


def dotted(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(node: ast.AST, parent: str) -> list[str]:
    """Name what an import statement imports: modules, or members of modules."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        source = "." * node.level + (node.module or "")
        source = importlib.util.resolve_name(source, parent)
        return [f"{source}.{alias.name}" for alias in node.names]
    return []


def floor(module: str) -> int:
    """Floor of a module; the package's own front door stands above all."""
    parts = module.split(".")
    return FLOORS[parts[1]] if len(parts) > 1 else max(FLOORS.values()) + 1


def uphill(graph: Graph) -> list[str]:
    """List the imports that lead to a higher floor."""
    return [
        f"{module} (floor {floor(module)}) imports {target} (floor {floor(target)})"
        for module, targets in graph.items()
        for target in sorted(targets)
        if floor(target) > floor(module)
    ]


def planted(folder: Path, files: dict[str, str]) -> Graph:
    """Return the import graph of a package made of `files`."""
    package = folder / "irtkit"
    for name, source in {"__init__.py": "", **files}.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return imports_within(package)


def test_every_module_has_a_floor():
    rooms = {module.split(".")[1] for module in imports_within(PACKAGE)}
    assert not rooms - FLOORS.keys()


def test_modules_import_only_from_their_floor_and_below():
    assert uphill(imports_within(PACKAGE)) == []


def test_imports_are_acyclic():
    graphlib.TopologicalSorter(imports_within(PACKAGE)).prepare()


@pytest.mark.parametrize(
    "source",
    [
        "import irtkit.cli",
        "from irtkit.scoring import score",
        "from irtkit import scoring",
        "import irtkit as irt",
        "def late():\n    from irtkit.io.text import read",
        "from .scoring import score",
    ],
)
def test_an_import_uphill_is_found(tmp_path, source):
    rooms = {"scoring.py": "", "cli.py": "", "io/__init__.py": "", "io/text.py": ""}
    assert len(uphill(planted(tmp_path, {**rooms, "latent.py": source}))) == 1


def test_an_import_for_type_checking_is_exempt(tmp_path):
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import irtkit.cli"
    assert uphill(planted(tmp_path, {"cli.py": "", "errors.py": source})) == []


def test_a_cycle_within_a_room_is_found(tmp_path):
    room = {
        "io/__init__.py": "from irtkit.io.text import read",
        "io/text.py": "from irtkit.io.tables import write",
        "io/tables.py": "from irtkit.io import read",
    }
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter(planted(tmp_path, room)).prepare()


def test_documented_floors_are_those_enforced():
    text = (ROOT / "docs" / "explanation" / "architecture.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|", text, flags=re.MULTILINE)
    told = {room: int(number) for number, rooms in rows for room in re.findall(r"`(\w+)`", rooms)}
    assert told == {room: number for room, number in FLOORS.items() if room != "__main__"}


def loaded_by(statement: str) -> set[str]:
    """Return the names of the top-level modules that a fresh interpreter loads."""
    program = f"{statement}; import json, sys; print(json.dumps(list(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return {name.partition(".")[0] for name in json.loads(run.stdout)}


def test_importing_irtkit_loads_nothing_heavy():
    added = loaded_by("import irtkit") - loaded_by("import numpy, scipy, pandas")
    assert not loaded_by("import irtkit") & HEAVY
    assert "pyarrow" not in added  # pandas loads it by itself where it is installed


def test_public_names_are_sorted():
    def order(name: str) -> tuple[int, str]:  # as ruff sorts: constants, classes, functions
        return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)

    assert irtkit.__all__
    assert list(irtkit.__all__) == sorted(irtkit.__all__, key=order)
    assert len(set(irtkit.__all__)) == len(irtkit.__all__)


def test_public_names_exist_and_have_docstrings():
    assert not [name for name in irtkit.__all__ if not hasattr(irtkit, name)]
    bare = []
    for name in irtkit.__all__:
        public = getattr(irtkit, name)
        text = public.__doc__ or ""
        made = text.startswith(f"{name}(")  # what dataclass writes where nobody did
        if not (inspect.isclass(public) or inspect.isroutine(public)) or made or not text:
            bare.append(name)
    assert not [name for name in bare if name != "__version__"]


def ignored_names() -> list[str]:
    """Return the patterns of .gitignore, and the history itself."""
    lines = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    return [".git", *[line.strip().strip("/") for line in lines if line.strip()]]


def text_files() -> dict[str, str]:
    """Map the path of each text file of the project to its text."""
    ignored = ignored_names()
    texts = {}
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if not any_match(name, ignored)]
        for name in files:
            raw = (Path(folder) / name).read_bytes() if not any_match(name, ignored) else b"\0"
            if b"\0" not in raw:
                path = (Path(folder) / name).relative_to(ROOT).as_posix()
                texts[path] = raw.decode("utf-8", errors="replace")
    return texts


def any_match(name: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def test_no_file_names_a_folder_of_one_machine_or_a_package_host():
    texts = text_files()
    assert "README.md" in texts
    found = {path: match[0] for path, text in texts.items() if (match := MACHINE.search(text))}
    assert not found


@pytest.mark.parametrize("folder", ["root", "home", "work"])
def test_a_folder_of_one_machine_is_found(folder):
    assert MACHINE.search(f'open("/{folder}/answers.csv")')


@pytest.mark.parametrize(
    "line", ["pip install --index" + "-url x", "https://host.example/pypi" + "/simple/irtkit"]
)
def test_a_package_host_is_found(line):
    assert MACHINE.search(line)


def readme_commands() -> list[str]:
    """Return the lines of the README's code blocks."""
    text = (ROOT / "README.md").read_text("utf-8").replace("\\\n", "")
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines()]


def test_readme_installs_with_the_constraints_file():
    installs = [line for line in readme_commands() if "pip install" in line]
    assert len(installs) >= 2
    assert not [line for line in installs if "pip install -c constraints.txt " not in line]


def test_readme_test_command_is_what_ci_runs():
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    lines = re.sub(r'"\$VENV/bin/(\w+)"', r".venv/bin/\1", script).splitlines()
    (command,) = [line for line in readme_commands() if "pip install" in line and "pytest" in line]
    places = [lines.index(part.strip()) for part in command.split("&&")]
    assert places == sorted(places)
    assert places[-1] == len(lines) - 1


def test_links_between_pages_lead_somewhere():
    pages = [ROOT / path for path in text_files() if path.endswith(".md")]
    links = [
        (page, target)
        for page in pages
        for target in re.findall(r"\]\(([^)#:\s]+)\)", page.read_text("utf-8"))
    ]
    assert links
    assert not [(page.name, to) for page, to in links if not (page.parent / to).exists()]


def test_ci_can_be_executed():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_no_module_has_a_name_that_says_nothing():
    modules = imports_within(PACKAGE)
    assert not [module for module in modules if NAMELESS & set(module.split("."))]
