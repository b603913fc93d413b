"""What the documentation prints is what the code prints."""

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def blocks(path):
    return BLOCK.findall((ROOT / path).read_text("utf-8"))


def test_python_of_the_readme_prints_what_stands_below_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = blocks("README.md")
    place = next(n for n, (kind, _) in enumerate(found) if kind == "python")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(found[place][1], "README.md", "exec"), {})
    assert found[place + 1] == ("text", printed.getvalue())


# What the how-to pages take as given.
GIVEN = """
import numpy as np
import pandas as pd
import scipy.sparse as sp
import irtkit as irt

items = irt.load_items("crowd_nli").query("scale == 'kitchen'")
crowd = irt.load_dataset("crowd_nli").select_items(list(items["item"]))
scale = irt.build_scale(irt.screen(crowd, irt.TwoPL(), irt.preset("lalor2016")), name="kitchen")
irt.write_scale(scale, "scale.json")
items[["item", "label"]].to_json("model.jsonl", orient="records", lines=True)
texts = items
answers = irt.simulate(irt.TwoPL(), n_persons=300, n_items=14, seed=1).responses
answers = irt.Responses.from_array(answers.dense(), items=[f"q{n}" for n in range(1, 15)])
frame = pd.DataFrame({"worker": ["a", "a"], "item": ["x", "y"], "label": [0, 1]})
frame = frame.pivot(index="worker", columns="item", values="label").reset_index()
codes, matrix = np.eye(3), sp.eye_array(3)
persons = ["a", "b"]
"""

NEEDS = {  # pages about an extra, and what must be there to run them
    "docs/how-to/draw-plots.md": ("matplotlib",),
    "docs/how-to/small-samples.md": ("nutpie", "pymc", "matplotlib"),
}
PAGES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))


@pytest.mark.parametrize("page", [p for p in PAGES if any(k == "python" for k, _ in blocks(p))])
def test_python_of_a_page_runs(page, tmp_path, monkeypatch):
    for name in NEEDS.get(page, ()):
        pytest.importorskip(name)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        if page.startswith("docs/how-to"):
            exec(GIVEN, names)
        for kind, code in blocks(page):
            if kind == "python":
                exec(compile(code, page, "exec"), names)
