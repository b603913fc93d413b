"""A folder of all that a report can show, with hostile ids and texts."""

import numpy as np
import pandas as pd
import pytest

import irtkit as irt

ATTACKS = [
    "<script>window.bad=1</script>",
    '"><img src=x onerror="window.bad=1">',
    "</script><script>window.bad=1</script>",
    "javascript:window.bad=1",
    '<svg onload="window.bad=1"><a xlink:href="javascript:window.bad=1">x</a></svg>',
    "x{background:url(https://evil.example/a.png);width:expression(window.bad=1)}",
    "{{7*7}} ${7*7} <%= 7*7 %>",
    "=cmd|' /C calc'!A0",
    "<iframe src=https://evil.example></iframe><link rel=stylesheet href=//evil.example/a.css>",
    '<form action=//evil.example><input autofocus onfocus="window.bad=1">',
]
N_PERSONS, N_ITEMS = 300, 14
LONG = "long " * 200_000  # 1 MB


def names():
    """Ids of items: hostile ones and plain ones."""
    return [*ATTACKS, *(f"q{n}" for n in range(len(ATTACKS) + 1, N_ITEMS + 1))]


@pytest.fixture(scope="session")
def answers():
    drawn = irt.simulate(irt.TwoPL(), n_persons=N_PERSONS, n_items=N_ITEMS, seed=1).responses
    return irt.Responses.from_array(drawn.dense(), items=names())


@pytest.fixture(scope="session")
def screening(answers):
    decisions = [irt.Decision("q14", "drop", f"Two readings. {ATTACKS[0]}")]
    decisions += [irt.Decision(item, "keep", f"Needed. {ATTACKS[4]}") for item in names()[:12]]
    return irt.screen(answers, irt.TwoPL(), irt.preset("lalor2016"), decisions=decisions)


@pytest.fixture(scope="session")
def scale(screening):
    return irt.build_scale(screening, name=f"Quiz {ATTACKS[2]}")


@pytest.fixture(scope="session")
def material(tmp_path_factory, answers, screening, scale):
    """A folder with a scale and all that belongs to it."""
    folder = tmp_path_factory.mktemp("material")
    irt.write_scale(scale, folder / "scale.json")
    irt.write_table(screening.log.set_index("step"), folder / "log.csv")
    table = pd.DataFrame(answers.dense(), columns=list(answers.items), index=answers.persons)
    table.rename_axis("person").to_csv(folder / "answers.csv")
    texts = pd.DataFrame({"item": names(), "text": [f"Is it? {name}" for name in names()]})
    texts.loc[3, "text"] = LONG
    texts.to_json(folder / "texts.jsonl", orient="records", lines=True)
    rng = np.random.default_rng(2)
    kept = list(scale.items)
    models = {ATTACKS[1]: np.ones(len(kept), int), "noisy": rng.integers(0, 2, len(kept))}
    rows = [
        (m, item, c) for m, given in models.items() for item, c in zip(kept, given, strict=True)
    ]
    pd.DataFrame(rows, columns=["model", "item", "correct"]).to_csv(
        folder / "models.csv", index=False
    )
    return folder


@pytest.fixture(scope="session")
def report(material, tmp_path_factory):
    """The report of the folder, and the notes that came with it."""
    pytest.importorskip("matplotlib")
    path = tmp_path_factory.mktemp("report") / "report.html"
    notes = irt.write_report(material, path)
    return path, notes
