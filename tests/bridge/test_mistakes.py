"""Records of mistakes: choice, counts, statistics, files, and the observer that makes them."""

import json

import numpy as np
import pandas as pd
import pytest

from irtkit.arrays import same
from irtkit.bridge.finetuning.examples import labelled_set
from irtkit.bridge.mistakes.data_maps import data_map, read_data_map, write_data_map
from irtkit.bridge.mistakes.record import (
    MistakeRecord,
    chosen,
    epoch_summary,
    mistake_counts,
    mistaken_set,
)
from irtkit.bridge.mistakes.recorder import MistakeRecorder, label_probabilities, right_labels
from irtkit.errors import FileError, ModelError, PredictionError

LABELS = ("no", "perhaps", "yes")
# Which of the three epochs each of eight examples is right after; all eight ways occur.
RIGHT = np.array([[n >> 2 & 1, n >> 1 & 1, n & 1] for n in range(8)], dtype=bool).T  # (E, N)
GOLD = np.array([0, 1, 2, 0, 1, 2, 0, 1])
CATEGORIES = ("a", "a", "a", "b", "b", "b", "b", "b")
ROUNDING = 1e-12  # of a softmax of logarithms


def made(right=RIGHT, gold=GOLD, categories=CATEGORIES):
    """Return a record in which the examples are right as told, with uneven probabilities."""
    rng = np.random.default_rng(3)
    tables = rng.dirichlet(np.ones(3), size=right.shape)  # (E, N, L)
    tables.sort(axis=-1)
    for (epoch, n), is_right in np.ndenumerate(right):
        low, middle, high = tables[epoch, n]
        place = gold[n] if is_right else (gold[n] + 1) % 3
        tables[epoch, n] = [low, low, low]
        tables[epoch, n, (place + 1) % 3] = middle
        tables[epoch, n, place] = high
    items = tuple(f"q{n}" for n in range(right.shape[1]))
    return MistakeRecord(items, LABELS, gold, tables, categories)


def examples_of(record, name="corpus"):
    texts = pd.DataFrame(
        {
            "item": record.items,
            "text": [f"text of {item}" for item in record.items],
            "label": [record.label_set[place] for place in record.gold],
        }
    )
    return labelled_set(name, texts, record.label_set)


def test_a_record_tells_what_was_mistaken():
    record = made()
    assert record.n_epochs == 3
    assert np.array_equal(record.mistaken, ~RIGHT)
    for epoch, n in np.ndindex(3, 8):
        expected = record.probabilities[epoch, n, GOLD[n]]
        assert record.gold_probability[epoch, n] == expected


def test_of_equal_probabilities_the_first_label_counts():
    tables = np.full((1, 3, 3), 1 / 3)
    record = MistakeRecord(("a", "b", "c"), LABELS, np.arange(3), tables)
    assert record.mistaken.tolist() == [[False, True, True]]
    assert record.categories == ("all", "all", "all")


def test_expressions_choose_what_was_mistaken():
    record = made()
    assert np.flatnonzero(chosen(record, "e1 & e2 & e3")).tolist() == [0]
    assert np.flatnonzero(chosen(record, "e1 | e2")).tolist() == [0, 1, 2, 3, 4, 5]
    assert np.flatnonzero(chosen(record, "~e3 & e1")).tolist() == [1, 3]
    with pytest.raises(ModelError, match="'e4' at character 1"):
        chosen(record, "e4")


def test_counts_are_by_category_and_gold_label():
    table = mistake_counts(made(), "e1")
    assert table.index.names == ["category", "label"]
    assert table["n"].sum() == 8
    assert table["n_chosen"].to_dict() == {
        ("a", "no"): 1,
        ("a", "perhaps"): 1,
        ("a", "yes"): 1,
        ("b", "no"): 1,
        ("b", "perhaps"): 0,
        ("b", "yes"): 0,
    }
    assert table.loc[("b", "no"), "share"] == 0.5


def test_the_summary_of_epochs_counts_what_was_learnt_and_forgotten():
    table = epoch_summary(made())
    assert table.index.tolist() == ["e1", "e2", "e3"]
    assert table["n_mistaken"].tolist() == [4, 4, 4]
    assert table["share"].tolist() == [0.5, 0.5, 0.5]
    assert table["n_learnt"].tolist() == [4, 2, 2]
    assert table["n_forgotten"].tolist() == [0, 2, 2]


def forgettings(trend):
    """Count by walking through the epochs."""
    events, before = 0, False
    for now in trend:
        events += before and not now
        before = now
    return events if any(trend) else np.inf


def test_the_data_map_is_that_of_the_definitions():
    record = made()
    table = data_map(record)
    assert table.index.tolist() == list(record.items)
    for n, row in enumerate(table.itertuples()):
        of_gold = [record.probabilities[epoch, n, GOLD[n]] for epoch in range(3)]
        mean = sum(of_gold) / 3
        assert row.confidence == pytest.approx(mean, abs=ROUNDING)
        spread = (sum((p - mean) ** 2 for p in of_gold) / 3) ** 0.5
        assert row.variability == pytest.approx(spread, abs=ROUNDING)
        assert row.correctness == RIGHT[:, n].sum()
        assert row.forgetting_events == forgettings(RIGHT[:, n])
        assert row.label == LABELS[GOLD[n]]
        assert row.category == CATEGORIES[n]
    assert table["first_right"].tolist() == [0, 3, 2, 2, 1, 1, 1, 1]
    assert table.loc["q5", "forgetting_events"] == 1  # right, wrong, right
    assert table.loc["q0", "forgetting_events"] == np.inf  # never right


def test_a_single_epoch_has_no_forgetting():
    table = data_map(made(RIGHT[:1]))
    assert table["forgetting_events"].tolist() == [np.inf] * 4 + [0.0] * 4
    assert (table["variability"] == 0).all()


def test_the_mistaken_set_holds_the_chosen_rows_as_they_were():
    record = made()
    examples = examples_of(record)
    before = examples.rows.copy()
    found = mistaken_set(examples, record, "e1 | e2")
    expected = examples.rows.iloc[:6].reset_index(drop=True)
    pd.testing.assert_frame_equal(found.rows, expected)
    pd.testing.assert_frame_equal(examples.rows, before)
    assert (found.name, found.target) == ("corpus: e1 | e2", examples.target)
    assert found.label_set == LABELS


def test_examples_are_matched_by_id_in_any_order_and_may_be_a_part():
    record = made()
    examples = examples_of(record)
    shuffled = type(examples)(
        "s", "gold", LABELS, examples.rows.iloc[[6, 3, 1, 0]].reset_index(drop=True)
    )
    assert mistaken_set(shuffled, record, "e1").rows["item"].tolist() == ["q3", "q1", "q0"]


def test_examples_of_another_record_are_refused():
    record = made()
    examples = examples_of(record)
    with pytest.raises(ModelError, match="chooses none of 8 examples"):
        mistaken_set(examples, record, "e1 & ~e1")
    more = examples_of(made(np.hstack([RIGHT, RIGHT]), np.tile(GOLD, 2), CATEGORIES * 2))
    with pytest.raises(PredictionError, match="8 examples without a record: 'q8'"):
        mistaken_set(more, record, "e1")
    other = examples_of(made(gold=np.roll(GOLD, 1)))
    with pytest.raises(PredictionError, match="another gold label: 'q0'"):
        mistaken_set(other, record, "e1")
    renamed = type(examples)("x", "gold", LABELS[::-1], examples.rows)
    with pytest.raises(PredictionError, match="labels are 'yes'"):
        mistaken_set(renamed, record, "e1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"items": ("q0",) * 8}, "same id: 'q0'"),
        ({"gold": np.full(8, 3)}, "Gold labels must be positions 0 to 2 .* 'q0'"),
        ({"gold": GOLD[:3]}, "8 examples, but 3 gold labels"),
        ({"categories": ("a",)}, "8 examples, but 8 gold labels and 1 categories"),
        ({"probabilities": made().probabilities[0]}, "need probabilities of shape"),
        ({"probabilities": made().probabilities[:0]}, "need probabilities of shape"),
        ({"probabilities": np.full((1, 8, 3), np.nan)}, "'q0'.*do not sum to 1.*diverged"),
        ({"probabilities": np.full((1, 8, 3), 0.5)}, "do not sum to 1"),
        ({"probabilities": np.tile([1.5, -0.5, 0.0], (2, 8, 1))}, "negative"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(change, message):
    known = made()
    parts = {name: getattr(known, name) for name in MistakeRecord.__slots__}
    with pytest.raises(PredictionError, match=message):
        MistakeRecord(**{**parts, **change})


def test_a_record_cannot_be_changed():
    record = made()
    with pytest.raises(ValueError, match="read-only"):
        record.probabilities[0, 0, 0] = 1.0


# Files ------------------------------------------------------------------------------------------


def test_training_dynamics_are_written_as_cartography_reads_them(tmp_path):
    record = made()
    write_data_map(record, tmp_path / "training_dynamics")
    names = sorted(path.name for path in (tmp_path / "training_dynamics").iterdir())
    assert names == [f"dynamics_epoch_{n}.jsonl" for n in range(3)]  # and nothing else
    for epoch, name in enumerate(names):
        lines = (tmp_path / "training_dynamics" / name).read_text("utf-8").splitlines()
        for n, line in enumerate(lines):
            row = json.loads(line)
            assert set(row) == {"guid", f"logits_epoch_{epoch}", "gold"}
            assert (row["guid"], row["gold"]) == (f"q{n}", GOLD[n])
            powers = np.exp(row[f"logits_epoch_{epoch}"])
            expected = record.probabilities[epoch, n]
            assert powers / powers.sum() == pytest.approx(expected, abs=ROUNDING)


def test_what_is_written_is_read(tmp_path):
    record = made()
    write_data_map(record, tmp_path / "run")
    for place in (tmp_path / "run", tmp_path):
        if place == tmp_path:  # as Cartography's own output folder
            (tmp_path / "run").rename(tmp_path / "training_dynamics")
        found = read_data_map(place, label_set=LABELS)
        assert (found.items, found.label_set) == (record.items, LABELS)
        assert found.categories == ("all",) * 8
        assert np.array_equal(found.gold, record.gold)
        assert found.probabilities == pytest.approx(record.probabilities, abs=ROUNDING)
        assert np.array_equal(found.mistaken, record.mistaken)


def test_a_probability_of_zero_is_written_as_a_number(tmp_path):
    tables = np.array([[[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]]])
    record = MistakeRecord(("a", "b"), LABELS, np.array([0, 1]), tables)
    write_data_map(record, tmp_path / "run")
    found = read_data_map(tmp_path / "run")
    assert found.label_set == ("0", "1", "2")
    assert found.probabilities == pytest.approx(tables, abs=ROUNDING)


def written(folder, *epochs):
    folder.mkdir(exist_ok=True)
    for number, rows in enumerate(epochs):
        text = rows if isinstance(rows, str) else "".join(json.dumps(r) + "\n" for r in rows)
        (folder / f"dynamics_epoch_{number}.jsonl").write_text(text)
    return folder


def rows_of(epoch, *guids, **other):
    return [{"guid": g, f"logits_epoch_{epoch}": [0.5, -1.0], "gold": 1} | other for g in guids]


def test_files_of_a_trainer_that_shuffles_are_matched_by_id(tmp_path):
    one, two = rows_of(0, 7, 8), rows_of(1, 8, 7)
    two[0]["logits_epoch_1"] = [-3.0, 3.0]
    found = read_data_map(written(tmp_path / "run", one, two), label_set=("a", "b"))
    assert found.items == ("7", "8")
    assert found.mistaken.tolist() == [[True, True], [True, False]]


@pytest.mark.parametrize(
    ("epochs", "message"),
    [
        ([rows_of(0, "a"), rows_of(1, "b")], "other examples than the file of the first"),
        ([rows_of(0, "a", "b"), rows_of(1, "a")], "1 example, not 2"),
        ([rows_of(0, "a"), rows_of(1, "a", gold=0)], "other gold labels"),
        ([rows_of(0, "a", "a")], "names examples twice: 'a'"),
        ([rows_of(1, "a")], "Record 1 has no 'logits_epoch_0'"),
        ([[{"guid": "a", "logits_epoch_0": [1.0, 2.0]}]], "has no 'gold'"),
        ([rows_of(0, "a", gold=2)], "gold label 2, which is no position from 0 to 1"),
        ([rows_of(0, "a", gold=True)], "gold label True"),
        ([rows_of(0, "a", gold="1")], "gold label '1'"),
        ([rows_of(0, "a", logits_epoch_0=[1.0])], "should hold 2 numbers"),
        ([rows_of(0, "a", logits_epoch_0="12")], "should hold 2 numbers"),
        ([rows_of(0, "a") + rows_of(0, "b", logits_epoch_0=[1, 2, 3])], "Record 2 should hold 2"),
        ([""], "is empty"),
        (["{not json}\n"], "Line 1"),
        (['{"guid": "a", "logits_epoch_0": [NaN, 1.0], "gold": 0}\n'], "NaN, which is not JSON"),
        ([rows_of(0, "a"), rows_of(1, "a", logits_epoch_1=[1.0, 2.0, 3.0])], "number of labels"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(tmp_path, epochs, message):
    with pytest.raises(PredictionError, match=message):
        read_data_map(written(tmp_path / "run", *epochs))


def test_a_label_set_of_another_size_is_refused(tmp_path):
    with pytest.raises(PredictionError, match="with 3 labels need probabilities of shape"):
        read_data_map(written(tmp_path / "run", rows_of(0, "a")), label_set=LABELS)


def test_a_missing_epoch_is_refused(tmp_path):
    folder = written(tmp_path / "run", rows_of(0, "a"), rows_of(1, "a"), rows_of(2, "a"))
    (folder / "dynamics_epoch_1.jsonl").unlink()
    with pytest.raises(FileError, match=r"lacks 'dynamics_epoch_1\.jsonl'"):
        read_data_map(folder)
    (folder / "dynamics_epoch_0.jsonl").unlink()
    with pytest.raises(FileError, match="lacks 'dynamics_epoch_0"):
        read_data_map(folder)


def test_a_folder_without_training_dynamics_is_refused(tmp_path):
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(FileError, match="holds no training dynamics"):
            read_data_map(place)


def test_nothing_foreign_is_replaced(tmp_path):
    record, folder = made(), tmp_path / "run"
    write_data_map(record, folder)
    with pytest.raises(FileError, match="exists"):
        write_data_map(record, folder)
    write_data_map(made(RIGHT[:1]), folder, overwrite=True)
    assert [path.name for path in folder.iterdir()] == ["dynamics_epoch_0.jsonl"]
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(FileError, match=r"also holds 'notes\.txt'"):
        write_data_map(record, folder, overwrite=True)
    assert (folder / "notes.txt").read_text() == "mine"


# The observer -----------------------------------------------------------------------------------


class Answering:
    """A classifier whose probabilities are known, to the last digit."""

    def __init__(self, table, labels=LABELS):
        self.table, self.labels = table, labels

    def probabilities(self, texts):
        return self.table[: len(texts)]


def test_the_recorder_notes_each_epoch():
    record = made()
    recorder = MistakeRecorder(
        examples_of(record), categories=dict(zip(record.items, CATEGORIES, strict=True))
    )
    for epoch, table in enumerate(record.probabilities, start=1):
        recorder.after_epoch(epoch, Answering(table))
    assert same(recorder.record(), record)


def test_labels_in_another_order_are_brought_into_that_of_the_examples():
    record = made()
    turned = Answering(record.probabilities[0][:, [2, 0, 1]], ("yes", "no", "perhaps"))
    assert np.array_equal(
        label_probabilities(turned, examples_of(record)), record.probabilities[0]
    )
    assert np.array_equal(right_labels(turned, examples_of(record)), RIGHT[0])


def test_a_training_that_begins_anew_forgets_later_epochs():
    record = made()
    recorder = MistakeRecorder(examples_of(record))
    for epoch in (1, 2, 3, 1):
        recorder.after_epoch(epoch, Answering(record.probabilities[epoch - 1]))
    assert recorder.record().n_epochs == 1


def test_what_was_recorded_outlives_an_interruption():
    record = made()
    recorder, resumed = (MistakeRecorder(examples_of(record)) for _ in range(2))
    for epoch in (1, 2):
        recorder.after_epoch(epoch, Answering(record.probabilities[epoch - 1]))
    resumed.restore(json.loads(json.dumps(recorder.state())))
    resumed.after_epoch(3, Answering(record.probabilities[2]))
    assert np.array_equal(resumed.record().probabilities, record.probabilities)


def test_what_was_recorded_of_other_examples_is_refused():
    record = made()
    recorder = MistakeRecorder(examples_of(record))
    recorder.after_epoch(1, Answering(record.probabilities[0]))
    state = recorder.state()
    other = MistakeRecorder(examples_of(made(gold=np.roll(GOLD, 1))))
    with pytest.raises(PredictionError, match="mistakes of other examples"):
        other.restore(state)


def test_a_record_with_a_gap_is_refused():
    record = made()
    recorder = MistakeRecorder(examples_of(record))
    with pytest.raises(PredictionError, match="No epoch was recorded"):
        recorder.record()
    recorder.after_epoch(2, Answering(record.probabilities[0]))
    with pytest.raises(PredictionError, match="'e1'"):
        recorder.record()


def test_a_classifier_of_other_labels_is_refused():
    record = made()
    recorder = MistakeRecorder(examples_of(record))
    with pytest.raises(PredictionError, match="labels are 'a', 'b', 'c'"):
        recorder.after_epoch(1, Answering(record.probabilities[0], ("a", "b", "c")))


def test_examples_without_a_category_are_refused():
    with pytest.raises(PredictionError, match="7 examples without a category: 'q1'"):
        MistakeRecorder(examples_of(made()), categories={"q0": "a"})
