"""Pages: one file, nothing from elsewhere, every text as text."""

import base64
import hashlib
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from irtkit.bridge.ranking.leaderboard import leaderboard
from irtkit.bridge.ranking.paired import paired_comparison
from irtkit.estimation import MML, Priors
from irtkit.models import TwoPL
from irtkit.report.leaderboard_page import leaderboard_page
from irtkit.report.page import Column, Section, element, page, paragraph, table
from irtkit.scale import build_scale
from irtkit.screening import preset, screen
from irtkit.simulate import simulate
from tests.report.outline import HOSTILE, Outline


@pytest.fixture(scope="module")
def results():
    answers = simulate(TwoPL(), n_persons=40, n_items=30, seed=3).responses
    method = MML(priors=Priors.small_sample())
    scale = build_scale(screen(answers, TwoPL(), preset("leaderboard"), method=method), name="a")
    standings = leaderboard(answers, scale)
    kept = answers.select_items(scale.items)
    first = [(standings.index[0], other) for other in standings.index[1:4]]
    return standings, paired_comparison(kept, scale.calibration, pairs=first), scale


def hostile(results):
    standings, pairs, scale = results
    names = dict(zip(standings.index, HOSTILE, strict=False))
    rows = tuple((text, text, text) for text in HOSTILE)
    return (
        standings.rename(index=names),
        pairs.rename(index=names),
        replace(scale, name=HOSTILE[0], provenance=replace(scale.provenance, dropped=rows)),
    )


def test_hostile_texts_are_shown_as_text(results):
    text = leaderboard_page(HOSTILE[2], *hostile(results), notes=HOSTILE)
    found = Outline(text)
    assert found.open == []
    assert found.tags.count("script") == found.tags.count("style") == 1
    assert "img" not in found.tags
    assert HOSTILE[0] in found.texts["th"]
    assert HOSTILE[1] in found.texts["td"]
    assert HOSTILE[2] in found.texts["h1"] == found.texts["title"]
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]
    assert not {"\u202e", "\x00", "\x1b"} & set(text)
    assert "\\u202egnp.exe \\x00\\x1b[31m" in text


def test_nothing_is_fetched_and_nothing_else_runs(results):
    text = leaderboard_page("A page", *hostile(results))
    found = Outline(text)
    links = {"src", "href", "action", "formaction", "poster", "background", "style", "srcset"}
    assert not [name for _, name, _ in found.attributes if name in links]
    assert not re.search(r"url\(|@import|https?://", text)
    assert not {"link", "iframe", "object", "embed", "form", "base"} & set(found.tags)


def test_policy_allows_the_one_style_and_the_one_script(results):
    found = Outline(leaderboard_page("A page", *results))
    (policy,) = [value for tag, name, value in found.attributes if "default-src" in str(value)]
    assert policy.startswith("default-src 'none'; ")
    for kind in ("style", "script"):
        digest = hashlib.sha256("".join(found.texts[kind]).encode()).digest()
        assert f"{kind}-src 'sha256-{base64.b64encode(digest).decode()}';" in policy
    assert "unsafe" not in policy
    assert found.tags.index("meta") < found.tags.index("style")


def test_page_shows_each_model_pair_and_dropped_item(results):
    standings, pairs, scale = results
    found = Outline(leaderboard_page("Quiz", *results, notes=["A note."]))
    heads = found.texts["th"]
    assert [name for name in heads if name in standings.index][: len(standings)] == list(
        standings.index
    )
    assert len(pairs) == 3
    assert found.texts["h1"] == ["Quiz"]
    assert "A note." in found.texts["li"]
    for item, _, reason in scale.provenance.dropped:
        assert item in heads
        assert reason in found.texts["td"]
    kept, offered = len(scale.items), scale.provenance.n_items_offered
    assert f"40 models on the {kept} items of the scale “a”, kept of {offered}." in " ".join(
        found.texts["p"]
    )
    sizes = len(standings) + len(pairs) + len(scale.provenance.dropped) + 3
    assert found.tags.count("tr") == sizes
    assert found.tags.count("circle") == len(standings)


def test_the_same_results_make_the_same_page(results):
    assert leaderboard_page("A", *results) == leaderboard_page("A", *results)


def test_long_tables_are_cut_and_say_so(results, monkeypatch):
    for name in ("MODELS", "PAIRS", "ITEMS", "DRAWN"):
        monkeypatch.setattr(f"irtkit.report.leaderboard_page.MOST_{name}", 2)
    standings, pairs, scale = hostile(results)
    text = leaderboard_page("A", standings, pairs, scale)
    found = Outline(text)
    assert found.tags.count("tr") == 3 * 3
    assert found.tags.count("circle") == 2
    for number in (40, 3, len(HOSTILE)):
        assert f"The first 2 of {number}; the tables written beside hold all." in text


def test_no_pairs_no_dropped_items_and_no_numbers_are_said(results):
    standings, _, scale = results
    bare = replace(scale, provenance=replace(scale.provenance, dropped=()))
    empty = standings.assign(lz=np.nan)
    found = Outline(leaderboard_page("A", empty, pd.DataFrame(), bare))
    assert "There are no two models to compare." in found.texts["p"]
    assert "No item was dropped." in found.texts["p"]
    assert "-" in found.texts["td"]
    assert not [value for _, _, value in found.attributes if value == "nan"]


def test_items_whose_key_may_be_wrong_come_first(results):
    standings, pairs, scale = results
    rows = (
        ("sound", "dead", "All alike."),
        ("odd", "item_rest", "So the key may be wrong. 3 left."),
    )
    wrong = replace(scale, provenance=replace(scale.provenance, dropped=rows))
    text = leaderboard_page("A", standings, pairs, wrong)
    assert text.count("The keys of these may be wrong") == 1
    assert Outline(text).texts["th"].count("odd") == 2
    assert Outline(text).texts["th"].count("sound") == 1
    assert "The keys of these" not in leaderboard_page("A", *results)


def test_ceilings_and_unexpected_answers_are_remarked(results):
    standings, pairs, scale = results
    standings = standings.assign(at_ceiling=False, at_floor=False, lz=0.0)
    standings.loc[standings.index[0], "at_ceiling"] = True
    standings.loc[standings.index[1:3], "lz"] = -4.0
    found = Outline(leaderboard_page("A", standings, pairs, scale))
    assert found.texts["td"].count("all right") == 1
    assert found.texts["td"].count("unexpected answers") == 2
    assert "1 model gives all answers right, or all wrong." in found.texts["p"][0]
    assert "2 models give answers that the scale does not expect." in found.texts["p"][0]


def test_numbers_sort_by_value_and_not_by_how_they_are_written():
    column = Column("p", ["<.001", "-"], [1e-9, np.nan])
    text = page("A", [Section("B", [table([Column("x", ["a", "b"]), column], caption="c")])])
    found = Outline(text)
    values = [value for _, name, value in found.attributes if name == "data-value"]
    assert values == ["1e-09", ""]
    assert ("th", "class", "number") in found.attributes


def test_page_without_a_table_has_no_script():
    found = Outline(page("A", [Section("", [paragraph("b")])]))
    assert "script" not in found.tags
    assert "h2" not in found.tags


def test_element_keeps_texts_and_elements_in_order():
    made = element("p", "a", element("b", "c"), "d", {"class": "e"}, "<f>")
    text = page("t", [Section("", [made])])
    assert '<p class="e">a<b>c</b>d&lt;f&gt;</p>' in text
