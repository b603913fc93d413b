"""Sets of several scales, soft targets, texts of SNLI, and which examples are chosen."""

import gzip
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from irtkit.bridge.finetuning.examples import FinetuningSet, combined, labelled_set, relabelled
from irtkit.bridge.finetuning.scale_sets import Soft, finetuning_set, snli_texts
from irtkit.bridge.finetuning.selection import (
    balanced_examples,
    difficulty_matched,
    filtered_examples,
    first_examples,
    item_information,
    ordered_examples,
    random_examples,
)
from irtkit.cli import run
from irtkit.errors import ModelError, ScaleError
from irtkit.io import write_scale
from irtkit.layout import Long
from irtkit.models import ThreePL, TwoPL
from irtkit.responses import Responses
from irtkit.scale import build_scale
from irtkit.screening import ItemStates, screen

LABELS = ("no", "perhaps", "yes")
ROUNDING = 1e-12


def scale_of(name, first, golds, *, seed, model=None):
    """Build a scale of raw labels to items named from a number on."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=300)
    rows = []
    for place, gold in enumerate(golds):
        chance = 1 / (1 + np.exp(-(0.8 + 0.1 * place) * (theta + place - 2)))
        right = rng.random(300) < chance
        wrong = (gold + np.where(rng.random(300) < 0.7, 1, 2)) % 3
        answer = np.where(right, gold, wrong)
        rows += [(f"w{p}", f"q{first + place}", LABELS[k]) for p, k in enumerate(answer)]
    frame = pd.DataFrame(rows, columns=["person", "item", "answer"])
    key = {f"q{first + place}": LABELS[gold] for place, gold in enumerate(golds)}
    answers = Responses.from_frame(frame, layout=Long(), key=key)
    return build_scale(screen(answers, model or TwoPL(), (ItemStates(),)), name=name)


@pytest.fixture(scope="module")
def scales():
    return [
        scale_of("A", 0, [0, 0, 0, 1, 2, 2], seed=1),
        scale_of("B", 10, [1, 1, 0, 2], seed=2),
        scale_of("C", 20, [2, 1, 0, 0], seed=3),
    ]


@pytest.fixture
def texts(scales):
    items = [item for scale in scales for item in scale.items]
    return pd.DataFrame(
        {"item": items, "text": [f"Premise of {i}." for i in items], "text_pair": "So it is."}
    )


def test_several_scales_make_one_set_in_their_order(scales, texts):
    made = finetuning_set(scales[:2], texts, target="crowd", held_out=scales[2])
    parts = [finetuning_set(scale, texts, target="crowd").rows for scale in scales[:2]]
    pd.testing.assert_frame_equal(made.rows, pd.concat(parts, ignore_index=True))
    assert made.name == "A + B"


def test_an_item_of_the_held_out_scale_is_refused_by_id_and_by_text(scales, texts):
    with pytest.raises(ModelError, match="held-out scale 'A' set also in training: 'q0'"):
        finetuning_set(scales[:2], texts, held_out=scales[0])
    texts.loc[texts["item"] == "q21", "text"] = "premise of Q11"
    with pytest.raises(ModelError, match=r"q21 \(q11 in training\)"):
        finetuning_set(scales[:2], texts, held_out=[scales[2]])


def test_a_scale_without_its_texts_cannot_be_held_out(scales, texts):
    with pytest.raises(ScaleError, match="4 items of the scale 'C' without a text"):
        finetuning_set(scales[0], texts[~texts["item"].isin(scales[2].items)], held_out=scales[2])


def test_the_same_item_on_two_scales_is_refused(scales, texts):
    with pytest.raises(ScaleError, match="in two of the sets: 'q0'"):
        finetuning_set([scales[0], replace(scales[0], name="twin")], texts)
    with pytest.raises(ScaleError, match="no scale to train on"):
        finetuning_set([], texts)


def test_soft_targets_are_smoothed_counts_to_a_power(scales, texts):
    scale = scales[0]
    made = finetuning_set(scale, texts, target="soft", soft=Soft(2.0, 3.0))
    for row, counts in zip(made.rows.itertuples(), scale.label_counts, strict=True):
        powers = [((n + 2.0) / (sum(counts) + 6.0)) ** (1 / 3.0) for n in counts]
        expected = [power / sum(powers) for power in powers]
        assert row.label_distribution == pytest.approx(expected, abs=ROUNDING)
    assert made.target == "soft"


def test_soft_targets_without_smoothing_at_temperature_one_are_the_crowds(scales, texts):
    soft = finetuning_set(scales[0], texts, target="soft", soft=Soft(0.0, 1.0))
    crowd = finetuning_set(scales[0], texts, target="crowd")
    assert soft.distributions == pytest.approx(crowd.distributions, abs=ROUNDING)


def test_a_label_that_nobody_gave_keeps_no_mass_without_smoothing():
    found = Soft(0.0, 2.0).distribution(np.array([[4.0, 0.0, 9.0]]))
    assert found[0].tolist() == pytest.approx([0.4, 0.0, 0.6])


@pytest.mark.parametrize("given", [(-1.0, 1.0), (1.0, 0.0), (np.nan, 1.0), (1.0, np.inf)])
def test_smoothing_and_temperature_out_of_range_are_refused(given):
    with pytest.raises(ScaleError, match="Smoothing is a number from zero"):
        Soft(*given)


def test_weighted_shares_take_the_place_of_the_populations(scales, texts):
    items = list(scales[0].items)
    shares = pd.DataFrame(np.tile([0.5, 0.2, 0.3], (6, 1)), items[::-1], ["yes", "no", "perhaps"])
    made = finetuning_set(scales[0], texts, target="crowd", shares=shares)
    assert made.distributions == pytest.approx(np.tile([0.2, 0.3, 0.5], (6, 1)))
    soft = finetuning_set(scales[0], texts, target="soft", soft=Soft(1.0), shares=shares)
    assert soft.distributions == pytest.approx(np.tile([1.2, 1.3, 1.5], (6, 1)) / 4)
    for spoilt in (shares.iloc[1:], shares.drop(columns="no"), shares * 2):
        with pytest.raises(ScaleError, match=r"one row an item|sum one"):
            finetuning_set(scales[0], texts, target="crowd", shares=spoilt)


def test_order_by_difficulty_discrimination_and_information(scales, texts):
    made = finetuning_set(scales[0], texts)
    for by in ("difficulty", "discrimination"):
        assert ordered_examples(made, by).rows[by].is_monotonic_increasing
        assert ordered_examples(made, by, descending=True).rows[by].is_monotonic_decreasing
    at = {"scales": scales, "theta": 0.7}
    best = ordered_examples(made, "information", descending=True, **at)
    values = item_information(best, **at)
    assert (np.diff(values) <= 0).all()
    row = best.rows.iloc[0]
    chance = 1 / (1 + np.exp(-row["discrimination"] * (0.7 - row["difficulty"])))
    assert values[0] == pytest.approx(row["discrimination"] ** 2 * chance * (1 - chance))
    with pytest.raises(ScaleError, match="on none of the scales: 'q0'"):
        item_information(made, scales[1:], 0.0)
    with pytest.raises(ScaleError, match="Unknown order 'length'"):
        ordered_examples(made, "length")


def test_information_is_that_of_the_items_own_model(texts):
    scale = scale_of("A", 0, [0, 0, 0, 1, 2, 2], seed=1, model=ThreePL())
    made = finetuning_set(scale, texts)
    calibration = scale.calibration
    p = np.exp(calibration.log_prob(np.array([0.3]))[0, :, 1])
    step = 1e-5
    ends = np.exp(calibration.log_prob(np.array([0.3 - step, 0.3 + step]))[:, :, 1])
    slope = (ends[1] - ends[0]) / (2 * step)
    expected = slope**2 / (p * (1 - p))
    assert item_information(made, [scale], 0.3) == pytest.approx(expected, rel=1e-6)


def test_examples_without_a_difficulty_come_last_and_are_filtered_out(scales, texts):
    made = finetuning_set(scales[0], texts)
    rows = made.rows.copy()
    rows.loc[1, "difficulty"] = np.nan
    made = replace(made, rows=rows)
    for descending in (False, True):
        ordered = ordered_examples(made, descending=descending)
        assert ordered.rows["item"].iloc[-1] == "q1"
    kept = filtered_examples(made, difficulty=(-10, 10))
    assert "q1" not in set(kept.rows["item"])
    assert len(kept.rows) == len(rows) - 1


def test_filters_are_closed_ranges_and_hold_together(scales, texts):
    made = finetuning_set(scales[0], texts)
    b = np.sort(made.rows["difficulty"])
    kept = filtered_examples(made, difficulty=(b[1], b[3]))
    assert sorted(kept.rows["difficulty"]) == b[1:4].tolist()
    info = item_information(made, scales, 0.0)
    at = {"scales": scales, "information": (np.median(info), np.inf)}
    both = filtered_examples(made, difficulty=(b[1], b[3]), **at)
    expected = set(kept.rows["item"]) & set(made.rows["item"][info >= np.median(info)])
    assert set(both.rows["item"]) == expected
    with pytest.raises(ScaleError, match="lies in these ranges"):
        filtered_examples(made, difficulty=(90, 91))


def test_random_examples_are_a_sample_and_smaller_ones_lie_within_larger_ones(scales, texts):
    made = finetuning_set(scales[0], texts)
    few, more = (random_examples(made, n, seed=4).rows["item"].tolist() for n in (2, 5))
    assert more[:2] == few
    assert len(set(more)) == 5
    assert any(random_examples(made, 5, seed=k).rows["item"].tolist() != more for k in range(5))
    for n in (0, 7):
        with pytest.raises(ScaleError, match="cannot be taken; ask for 1 to 6"):
            random_examples(made, n, seed=1)
    assert first_examples(made, 2).rows["item"].tolist() == ["q0", "q1"]


def test_balanced_examples_have_as_many_of_each_label(scales, texts):
    made = finetuning_set(scales[0], texts)
    kept = balanced_examples(made, seed=3)
    assert kept.rows["label"].tolist() == sorted(kept.rows["label"].tolist())
    assert np.bincount(kept.rows["label"]).tolist() == [1, 1, 1]
    drawn = {balanced_examples(made, seed=k).rows["item"].iloc[0] for k in range(20)}
    assert drawn == {"q0", "q1", "q2"}
    one_label = replace(made, rows=made.rows[made.rows["label"] != 1])
    with pytest.raises(ScaleError, match="no example of 'perhaps'"):
        balanced_examples(one_label, seed=1)


def plain(name, difficulties):
    rows = pd.DataFrame({"item": [f"{name}{n}" for n in range(len(difficulties))]})
    rows["text"], rows["label"], rows["weight"] = rows["item"], 0, 1.0
    rows["label_distribution"] = [[1.0, 0.0]] * len(rows)
    rows["difficulty"], rows["discrimination"] = np.array(difficulties, float), 1.0
    return FinetuningSet(name, "gold", ("a", "b"), rows)


def test_matched_examples_have_the_least_sum_of_differences():
    reference, offered = plain("r", [0.0, 0.1, 3.0]), plain("o", [0.05, np.nan, 0.9, 2.0, 9.0])
    found = difficulty_matched(offered, reference).rows
    total = np.abs(found["difficulty"] - reference.rows["difficulty"].to_numpy()).sum()
    assert set(found["item"]) == {"o0", "o2", "o3"}
    assert total == pytest.approx(0.05 + 0.8 + 1.0)
    assert found["item"].iloc[2] == "o3"
    with pytest.raises(ScaleError, match="Match fewer"):
        difficulty_matched(plain("o", [1.0, np.nan, 2.0]), reference)
    with pytest.raises(ScaleError, match="Match fewer"):
        difficulty_matched(offered, plain("r", [np.nan]))


def corpus(**given):
    table = {"item": ["a", "b"], "text": ["One.", "Two."], "label": ["yes", "no"], **given}
    return pd.DataFrame(table)


def test_any_labelled_table_makes_a_set():
    made = labelled_set("corpus", corpus(), LABELS)
    assert made.target == "gold"
    assert made.rows["label"].tolist() == [2, 0]
    assert made.distributions.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert made.rows["difficulty"].isna().all()
    crowd = labelled_set("c", corpus(label_distribution=[[0.2, 0.3, 0.5], [1, 0, 0]]), LABELS)
    assert crowd.target == "crowd"
    assert crowd.distributions[0].tolist() == [0.2, 0.3, 0.5]


BAD_CORPORA = {
    "label": (corpus(label=["yes", "noo"]), "labels 'noo' are not among.*Did you mean 'no'"),
    "no label": (corpus().drop(columns="label"), "no column 'label'"),
    "empty": (corpus(text=["One.", " "]), "empty text: 'b'"),
    "twice": (corpus(item=["a", "a"]), "with two texts: 'a'"),
    "sum": (corpus(label_distribution=[[0.2, 0.3, 0.4], [1, 0, 0]]), "sum one: 'a'"),
    "few": (corpus(label_distribution=[[0.5, 0.5], [1, 0, 0]]), "3 shares of sum one: 'a'"),
    "negative": (corpus(label_distribution=[[1.2, -0.2, 0], [1, 0, 0]]), "sum one: 'a'"),
    "nan": (corpus(label_distribution=[[np.nan, 1, 0], [1, 0, 0]]), "sum one: 'a'"),
}


@pytest.mark.parametrize("name", BAD_CORPORA)
def test_a_labelled_table_with_a_fault_is_refused(name):
    table, message = BAD_CORPORA[name]
    with pytest.raises(ScaleError, match=message):
        labelled_set("corpus", table, LABELS)


def test_a_label_set_has_two_different_labels():
    for labels in (("yes",), ("yes", "yes")):
        with pytest.raises(ScaleError, match="two labels or more, each once"):
            labelled_set("corpus", corpus(), labels)


def test_labels_in_another_order_are_the_same_examples():
    made = labelled_set("c", corpus(label_distribution=[[0.2, 0.3, 0.5], [1, 0, 0]]), LABELS)
    turned = relabelled(made, ("yes", "no", "perhaps"))
    assert turned.distributions.tolist() == [[0.5, 0.2, 0.3], [0, 1, 0]]
    assert turned.rows["label"].tolist() == [0, 1]
    back = relabelled(turned, LABELS)
    pd.testing.assert_frame_equal(back.rows, made.rows)
    assert back.fingerprint() == made.fingerprint() != turned.fingerprint()
    with pytest.raises(ScaleError, match="Map them to the same names"):
        relabelled(made, ("a", "b", "c"))


def test_sets_of_other_targets_or_columns_are_not_combined():
    one = labelled_set("one", corpus(), LABELS)
    crowd = replace(labelled_set("two", corpus(item=["c", "d"]), LABELS), target="crowd")
    pairs = labelled_set("pairs", corpus(item=["c", "d"], text_pair=["x", "y"]), LABELS)
    for other, message in ((crowd, "One set has one target"), (pairs, "pairs of texts")):
        with pytest.raises(ScaleError, match=message):
            combined("all", [one, other])
    with pytest.raises(ScaleError, match="no set to combine"):
        combined("all", [])


def test_fingerprint_tells_rows_apart():
    made = labelled_set("corpus", corpus(), LABELS)
    prints = {
        made.fingerprint(),
        labelled_set("corpus", corpus(text=["One.", "Tvo."]), LABELS).fingerprint(),
        labelled_set("corpus", corpus()[::-1], LABELS).fingerprint(),
        labelled_set("corpus", corpus(label=["yes", "yes"]), LABELS).fingerprint(),
    }
    assert len(prints) == 4


def snli_lines(pairs):
    return "".join(
        json.dumps({"pairID": p, "sentence1": f"P {p}", "sentence2": f"H {p}", "gold_label": "-"})
        + "\n"
        for p in pairs
    )


def test_texts_of_pair_ids_are_found_in_the_files_of_snli(tmp_path):
    (tmp_path / "train.jsonl").write_text(snli_lines(["1.jpg#0r1e", "2.jpg#1r1n"]))
    packed = gzip.compress((snli_lines(["3.jpg#0r1c"]) + "\n").encode())
    (tmp_path / "dev.jsonl.gz").write_bytes(packed)
    paths = [tmp_path / "train.jsonl", tmp_path / "dev.jsonl.gz"]
    found = snli_texts(paths, ["3.jpg#0r1c", "1.jpg#0r1e"])
    assert found.to_dict("records") == [
        {"item": "3.jpg#0r1c", "text": "P 3.jpg#0r1c", "text_pair": "H 3.jpg#0r1c"},
        {"item": "1.jpg#0r1e", "text": "P 1.jpg#0r1e", "text_pair": "H 1.jpg#0r1e"},
    ]
    with pytest.raises(ScaleError, match=r"1 item in none of the files: '9\.jpg#0r1e'"):
        snli_texts(paths, ["9.jpg#0r1e"])


def test_files_that_are_not_snlis_are_refused(tmp_path):
    (tmp_path / "other.jsonl").write_text('{"item": "x", "text": "t"}\n')
    (tmp_path / "short.jsonl").write_text('{"pairID": "x", "sentence1": "t"}\n')
    for name in ("other", "short"):
        with pytest.raises(ScaleError, match="Is it a JSONL file of SNLI"):
            snli_texts([tmp_path / f"{name}.jsonl"], ["x"])


@pytest.fixture
def folder(scales, texts, tmp_path):
    for scale in scales:
        write_scale(scale, tmp_path / f"{scale.name}.json")
    texts.to_csv(tmp_path / "texts.csv", index=False)
    return tmp_path


def exported(folder, *words):
    given = [str(word) for word in words]
    code = run(["export", *given, "-o", str(folder / "out.jsonl"), "--overwrite"])
    assert code == 0
    lines = (folder / "out.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_export_command_takes_scales_targets_and_orders(folder, scales):
    texts = ["--texts", folder / "texts.csv"]
    two = [folder / "A.json", folder / "B.json"]
    rows = exported(folder, *two, *texts, "--held-out", folder / "C.json")
    assert [row["item"] for row in rows] == [*scales[0].items, *scales[1].items]
    hard = exported(folder, *two, *texts, "--by", "difficulty", "--descending", "--first", 3)
    known = sorted((row["difficulty"] for row in rows), reverse=True)
    assert [row["difficulty"] for row in hard] == known[:3]
    soft = exported(folder, two[0], *texts, "--target", "soft", "--temperature", 1000)
    assert soft[0]["label_distribution"] == pytest.approx([1 / 3] * 3, abs=0.01)
    even = exported(folder, two[0], *texts, "--balanced", "--seed", 5)
    assert sorted(row["label"] for row in even) == [0, 1, 2]
    near = exported(folder, two[0], *texts, "--by", "information", "--theta", 1, "--descending")
    assert len(near) == 6


def test_export_command_finds_texts_in_snli(folder, scales):
    (folder / "snli.jsonl").write_text(snli_lines(scales[0].items))
    rows = exported(folder, folder / "A.json", "--snli", folder / "snli.jsonl")
    assert [row["text_pair"] for row in rows] == [f"H {item}" for item in scales[0].items]


def test_export_command_wants_one_source_of_texts_and_no_leak(folder, capsys):
    scale, output = str(folder / "A.json"), ["-o", str(folder / "new.jsonl")]
    texts = ["--texts", str(folder / "texts.csv")]
    assert run(["export", scale, *output]) == 2
    assert run(["export", scale, *texts, "--snli", "x.jsonl", *output]) == 2
    assert run(["export", scale, *texts, "--held-out", scale, *output]) == 2
    assert "cannot measure" in capsys.readouterr().err
    assert not (folder / "new.jsonl").exists()
