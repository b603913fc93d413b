"""The report: what stands on the page, that it stays text, and that it is the same twice."""

import base64
import hashlib
import re
from dataclasses import replace

import numpy as np
import pytest

import irtkit as irt
from irtkit.norms import percentile_words
from irtkit.report.completion import completed, ends
from irtkit.report.flags import dependent, marks, misfitting
from irtkit.report.item_table import item_table
from irtkit.report.methods import methods
from irtkit.report.page import Section, page
from irtkit.report.parts import Part
from irtkit.report.references import REFERENCES
from irtkit.report.scale_page import scale_page
from irtkit.report.story import preset_of
from irtkit.report.summary import measures, warnings
from irtkit.report.wording import number, p_value, several, share
from tests.report.conftest import ATTACKS, LONG, N_ITEMS, N_PERSONS
from tests.report.outline import Outline

pytest.importorskip("matplotlib")
SECTIONS = [
    *("Summary", "Items", "Screening", "Fit and dimensions", "Reliability and range"),
    *("Norms and ceiling", "Scored models", "Methods, to paste", "Files, versions and hashes"),
]


@pytest.fixture(scope="module")
def found(report):
    return Outline(report[0].read_text("utf-8"))


@pytest.fixture(scope="module")
def part(scale, screening, answers):
    bare = Part("Quiz", scale.calibration, scale, answers.select_items(scale.items))
    return completed(replace(bare, log=screening.log))


def text_of(section_part):
    return " ".join(section_part.itertext())


def words_of(part):
    made = methods(part, measures(part, None, ends(part)))
    return made.split("\n\nReferences\n\n")


def test_every_section_is_there_in_order(found):
    assert found.texts["h2"] == SECTIONS
    anchors = found.values("section", "id")
    links = [link.removeprefix("#") for link in found.values("a", "href")]
    assert links == anchors == list(dict.fromkeys(anchors))


def test_summary_says_what_it_is_and_what_all_right_is_worth(found, scale):
    words = " ".join(found.texts["p"])
    kept = len(scale.items)
    assert f"is an evaluation scale of {kept} items, kept of {N_ITEMS} that were offered" in words
    assert f"calibrated on {N_PERSONS} persons with the two-parameter logistic model" in words
    marginal = irt.reliability(scale.calibration).marginal
    assert f"Its marginal reliability is {marginal:.2f}".replace("0.", ".") in words
    best = ends(Part("a", scale.calibration, scale)).table().iloc[0]
    low, high = percentile_words(best["percentile_low"]), percentile_words(best["percentile_high"])
    assert f"percentile {best['percentile']:.1f} (95% interval {low} to {high})" in words


def test_each_item_is_a_body_with_its_numbers_text_and_curve(found, scale, report):
    assert found.tags.count("tbody") >= len(scale.items)
    assert len(found.values("svg", "data-lines")) == len(scale.items)
    text = report[0].read_text("utf-8")
    table = scale.calibration.table()
    for item in ("q11", "q12"):
        row = text[text.index(f">{item}</button>") :].split("</tr>")[0]
        values = [float(v) for v in re.findall(r'data-value="([^"]*)"', row)]
        wanted = ["discrimination", "se_discrimination", "difficulty", "se_difficulty"]
        assert values[:4] == pytest.approx(table.loc[item, wanted].tolist())


def test_curve_in_the_page_is_that_of_the_model(part):
    made = item_table(part, marks(part), "item")
    whole = next(made.iter("table"))
    low, high = map(float, whole.get("data-reach").split(","))
    curves = [svg.get("data-lines") for svg in made.iter("svg")]
    shares = np.array([line.split(",") for line in curves], dtype=float) / 1000.0  # (I, Q)
    theta = np.linspace(low, high, shares.shape[1])
    expected = np.exp(part.calibration.log_prob(theta))[:, :, 1].T
    assert np.abs(shares - expected).max() < 6e-4  # thousandths


def test_observed_points_are_those_of_the_item_curves(part):
    made = item_table(part, marks(part), "item")
    rows = part.tables["item_curves"]
    for svg, item in zip(made.iter("svg"), part.items, strict=True):
        seen = [point.split(",") for point in svg.get("data-seen").split(";")]
        own = rows[(rows["item"] == item) & (rows["category"] == "1")]
        wanted = own[["theta", "observed", "low", "high"]].to_numpy()
        assert np.array(seen, dtype=float) == pytest.approx(wanted, rel=6e-3)


def test_pictures_are_within_the_page_with_words_and_a_reading(found):
    sources = found.values("img", "src")
    assert len(sources) >= 8
    for source in sources:
        kind, content = source.split(",", 1)
        assert kind in ("data:image/svg+xml;base64", "data:image/png;base64")
        assert len(base64.b64decode(content, validate=True)) > 1000
    assert all(len(alt) > 20 for alt in found.values("img", "alt"))
    assert len(found.values("img", "alt")) == len(sources)
    readings = found.texts["figcaption"]
    assert sum("." in words for words in readings) == len(readings)


def test_story_tells_each_drop_and_the_decision_of_the_analyst(found, screening):
    words = " ".join([*found.texts["p"], *found.texts["li"]])
    assert "The rules of the preset lalor2016, in order: state" in words
    gone = screening.dropped
    assert f"Of {N_ITEMS} items {len(gone)} w" in words
    assert f"q14 went (analyst). Two readings. {ATTACKS[0]}" in words
    for reason in gone["reason"]:
        assert reason in found.texts["td"]
    spared = screening.log[
        (screening.log["decision"] == "keep") & (screening.log["rule"] != "end")
    ]
    assert len(spared)
    assert "The analyst overruled the rules:" in words
    for row in spared.to_dict("records"):
        assert f"{row['item']} ({row['rule']}): {row['reason']}" in found.texts["li"]


def test_methods_cite_what_was_used_and_nothing_else(part):
    said, works = words_of(part)
    assert "marginal maximum likelihood (Bock & Aitkin, 1981)" in said
    assert "after Lalor, Wu, and Yu (2016)" in said
    for word in ("em", "2pl", "lalor2016", "s_x2", "ld_x2", "parallel", "holm", "m2"):
        assert REFERENCES[word] in works
    for word in ("rasch", "graded", "nuts", "priors", "c2", "nominal"):
        assert REFERENCES[word] not in works
    assert works.split("\n\n") == sorted(works.split("\n\n"))
    said, works = words_of(replace(part, tables={}, scale=None))
    assert "S-X²" not in said
    assert "Screened" not in said
    assert REFERENCES["lalor2016"] not in works
    assert REFERENCES["holm"] not in works


def test_methods_of_other_models_and_of_priors(answers):
    method = irt.MML(priors=irt.Priors.small_sample())
    known = irt.calibrate(answers, irt.Rasch(), method=method)
    said, works = words_of(Part("a", known))
    assert "the Rasch model (Rasch, 1960) was calibrated" in said
    assert REFERENCES["rasch"] in works
    assert REFERENCES["2pl"] not in works
    assert (REFERENCES["priors"] in works) == bool(known.log_prior)


def test_every_author_in_the_text_stands_in_the_list(part):
    said, works = words_of(part)
    for author in re.findall(r"([A-Z][\w-]+)(?: &| et al\.|,) [^)]*?\d{4}", said):
        assert author in works, author


def test_hashes_of_the_files_are_told(found, material):
    for name in ("scale.json", "answers.csv", "log.csv", "texts.jsonl"):
        digest = hashlib.sha256((material / name).read_bytes()).hexdigest()
        assert digest in found.texts["td"]


def test_scored_models_are_listed_with_intervals_and_accuracy(found):
    assert "2 models, the ablest first. Select a title to sort." in found.texts["caption"]
    assert ATTACKS[1] in found.texts["th"]
    assert "100.0%" in found.texts["td"]
    assert "all right: read the interval" in found.texts["td"]


def test_hostile_texts_stay_text(found, report):
    text = report[0].read_text("utf-8")
    assert found.open == []
    assert found.tags.count("script") == found.tags.count("style") == 1
    assert not {"iframe", "link", "form", "object", "embed", "base"} & set(found.tags)
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]
    assert not {"action", "formaction", "srcset", "style"} & {n for _, n, _ in found.attributes}
    assert all(link.startswith("#") for link in found.values("a", "href"))
    assert all(source.startswith("data:image/") for source in found.values("img", "src"))
    buttons = found.texts["button"]
    assert set(ATTACKS) <= set(buttons)
    assert any(LONG in words for words in found.texts["p"])
    assert "49" not in [words.strip() for words in buttons]
    assert text.count("<script>") == 1
    assert f"Quiz {ATTACKS[2]}" in found.texts["title"] == found.texts["h1"]


def test_policy_allows_the_one_style_and_the_one_script(found):
    (policy,) = [value for _, _, value in found.attributes if "default-src" in str(value)]
    assert policy.startswith("default-src 'none'; ")
    for kind in ("style", "script"):
        digest = hashlib.sha256("".join(found.texts[kind]).encode()).digest()
        assert f"{kind}-src 'sha256-{base64.b64encode(digest).decode()}';" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_same_files_make_the_same_bytes(material, report, tmp_path):
    path = tmp_path / "again.html"
    irt.write_report(material, path)
    assert path.read_bytes() == report[0].read_bytes()


def test_a_scale_alone_says_what_is_not_shown(material, tmp_path):
    path = tmp_path / "alone.html"
    irt.write_report(material / "scale.json", path)
    found = Outline(path.read_text("utf-8"))
    words = " ".join([*found.texts["p"], *found.texts["li"]])
    assert "No answers were found" in words
    assert "No texts of the items were found" in words
    assert "No scored models were found" in words
    assert "there are no answers to compute the fit from" in words
    assert not found.values("svg", "data-seen")
    assert found.texts["dd"].count("\N{EN DASH}") == 2


def test_flags_come_from_tests_after_adjustment(part):
    fit, pairs = part.tables["item_fit"], part.tables["local_dependence"]
    first, other, third = part.items[:3]
    fit = fit.assign(p_adjusted=1.0)
    fit.loc[first, "p_adjusted"] = 0.01
    pairs = pairs.assign(p_adjusted=1.0, fewest_expected=5.0)
    pairs.iloc[0, pairs.columns.get_loc("p_adjusted")] = 0.001
    pairs.iloc[1, pairs.columns.get_loc("p_adjusted")] = 0.001
    pairs.iloc[1, pairs.columns.get_loc("fewest_expected")] = 0.4
    changed = replace(part, tables={"item_fit": fit, "local_dependence": pairs})
    assert list(misfitting(changed).index) == [first]
    assert list(dependent(changed).index) == [(first, other)]
    found = marks(changed)
    assert [mark.word for mark in found[first]] == ["misfit", "dependent"]
    assert [mark.word for mark in found[other]] == ["dependent"]
    assert other in found[first][1].reason
    assert not found[third]
    told = warnings(changed, measures(changed, None, ends(changed)))
    assert f"1 item does not fit the curve: {first}." in told
    assert f"1 pair of items share more than the ability: {first} with {other}." in told


def test_doubtful_states_few_persons_and_low_reliability_are_warned_of(part):
    states = ("reverse-keyed", *part.calibration.states[1:])
    weak = replace(part.calibration, states=states, n_persons=99.0)
    changed = replace(part, calibration=weak, tables={})
    told = measures(changed, None, ends(changed))
    low = replace(told, reliability=irt.Reliability(0.41, float("nan")))
    words = " ".join(warnings(changed, low))
    assert "reliability of .41 is low" in words
    assert "99 persons calibrated the items" in words
    assert f"1 item with doubtful parameters: {part.items[0]} (reverse-keyed)." in words
    assert "key may be wrong" in marks(changed)[part.items[0]][0].reason


def test_a_second_component_is_warned_of(part):
    table = part.tables["dimensionality"].assign(
        retained=[True, True, *[False] * 99][: len(part.tables["dimensionality"])]
    )
    changed = replace(part, tables={"dimensionality": table})
    words = " ".join(warnings(changed, measures(changed, None, None)))
    assert "2 components exceed those of shuffled answers" in words
    words = " ".join(warnings(part, measures(part, None, None)))
    assert "components exceed" not in words


def test_a_ceiling_is_warned_of(part):
    norms = irt.Norms(np.array([0.0, 9.0]), np.array([0.0, 0.6]), np.array([0.6, 1.0]), 300.0)
    crowded = replace(part.scale, norms=norms)
    changed = replace(part, scale=crowded)
    words = " ".join(warnings(changed, measures(changed, None, ends(changed))))
    assert "A ceiling: 40% of the persons" in words


def test_items_with_ordered_answers_show_a_line_a_category():
    made = irt.simulate(irt.Graded(), n_persons=300, n_items=6, seed=3)
    known = irt.calibrate(made.responses, irt.Graded())
    part = completed(Part("Mood", known, answers=made.responses))
    table = item_table(part, marks(part), "item")
    sizes = known.assignment.n_categories
    for svg, size in zip(table.iter("svg"), sizes, strict=True):
        assert len(svg.get("data-lines").split(";")) == size
        assert len(svg.get("data-seen").split("|")) == size
    titles = [text_of(head) for head in table.iter("th")]
    assert "Threshold 1" in titles
    text = scale_page("Mood", [part], [])
    assert "Samejima" in text
    assert "there are no norms" in text


def test_rules_of_no_preset_are_told_as_rules(part):
    own = replace(part.scale, provenance=replace(part.scale.provenance, rules=("state",)))
    assert preset_of(part) == "lalor2016"
    assert preset_of(replace(part, scale=own)) == ""


def test_several_parts_have_their_own_anchors(part):
    text = scale_page("Two", [part, replace(part, name="Other")], [])
    found = Outline(text)
    anchors = found.values("section", "id")
    assert len(anchors) == len(set(anchors)) == 2 * 8 + 1 + 2 * ("1-notes" in anchors)
    rows = found.values("tr", "id")
    assert len(rows) == len(set(rows)) == 2 * len(part.items)
    assert "Items: Other" in found.texts["h2"]


def test_a_section_without_an_anchor_has_no_id():
    found = Outline(page("t", [Section("a", []), Section("b", [], "here")]))
    assert found.values("section", "id") == ["here"]


@pytest.mark.parametrize(
    ("write", "value", "words"),
    [
        (number, -0.001, "0.00"),
        (number, -1.5, "\N{MINUS SIGN}1.50"),
        (number, float("nan"), "\N{EN DASH}"),
        (number, float("inf"), "∞"),
        (share, 0.854, ".85"),
        (share, -0.05, "\N{MINUS SIGN}.05"),
        (share, 1.0, "1.00"),
        (p_value, 0.0004, "< .001"),
        (p_value, 0.0316, ".032"),
    ],
)
def test_numbers_are_written_as_readers_expect(write, value, words):
    assert write(value) == words


def test_lists_in_sentences():
    assert several(["a"]) == "a"
    assert several(["a", "b", "c"]) == "a, b and c"
    assert several(list("abcdefg"), 3) == "a, b, c and 4 more"
