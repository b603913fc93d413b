"""Readers on damaged files: only errors of irtkit leave, in bounded time, and they name the file.

Each starts from a valid file and damages its bytes, or the values of its document; sealed
documents are sealed again, so that the damage reaches what is behind the seal.
"""

import contextlib
import json
import time

import pandas as pd
import pytest

pytest.importorskip("pyarrow")

import hypothesis.strategies as st
from hypothesis import given

from irtkit.bridge.crowd_files import read_crowd
from irtkit.bridge.finetuning.reading import read_finetuning_set
from irtkit.bridge.logs import read_item_texts, read_logs
from irtkit.bridge.mistakes.data_maps import read_data_map
from irtkit.bridge.predictions import read_predictions
from irtkit.bridge.training.checkpoints import newest
from irtkit.errors import FileError, IrtkitError, ScaleError
from irtkit.estimation.checkpoint import checkpoint_document
from irtkit.estimation.record import calibration_document
from irtkit.io import (
    read_calibration,
    read_checkpoint,
    read_decisions,
    read_groups,
    read_key,
    read_list,
    read_responses,
    read_scale,
    read_table,
    write_table,
)
from irtkit.io.documents import sealed
from irtkit.layout import Long
from irtkit.scale import scale_document, scale_score
from tests.bridge import logs_made as made
from tests.faults import writers
from tests.faults.mutations import changed, damaged
from tests.faults.profiles import examples

OF_MANY = (read_item_texts, read_data_map)  # what they say may concern several files
SECONDS = 20  # of one example, on a busy machine
WIDE = "person,q1,q2,q3\na,1,0,1\nb,0,,1\nc,1,1,0\n"
LONG = "person,item,answer\na,q1,1\na,q2,0\nb,q1,0\nb,q2,1\n"
KEY = "item,label\nq1,A\nq2,B\n"
DECISIONS = "item,decision,reason\nq1,keep,needed\nq2,drop,unclear\n"
GROUPS = "person,group\na,x\nb,y\nc,x\n"
PREDICTIONS = "model,item,label\na,q1,yes\na,q2,no\nb,q1,no\nb,q2,no\n"
SHARES = "item,yes,no\nq1,0.9,0.1\nq2,0.2,0.8\n"
CROWD = "item,worker,label,gold\nq1,w1,yes,yes\nq1,w2,no,yes\nq2,w1,no,no\nq2,w2,no,no\n"
SNLI = {
    "pairID": "q1",
    "sentence1": "A.",
    "sentence2": "B.",
    "annotator_labels": ["a", "a", "b"],
    "gold_label": "a",
}
SET = {"item": "q1", "text": "a", "label": "no", "label_distribution": [1.0, 0.0], "weight": 1.0}
DYNAMICS = {"guid": "q1", "logits_epoch_0": [0.1, 0.9], "gold": 1}


def json_lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def parquet():
    frame = pd.DataFrame({"person": ["a", "b", "c"], "q1": [0, 1, 1], "q2": [1, 0, 1]})
    return frame.to_parquet(index=False)


def of_long(path):
    return read_responses(path, layout=Long())


def of_groups(path):
    return read_groups(path, ["a", "b"])


def of_one_log(path):
    return read_logs([path])


def with_key(path):
    return read_responses(path, key={"q1": "1", "q2": "0", "q3": "1"})


READERS = {  # name of the file, its content, who reads it
    "wide": ("a.csv", WIDE.encode(), (read_responses, with_key, read_table)),
    "tabs": ("a.tsv", WIDE.replace(",", "\t").encode(), (read_responses,)),
    "long": ("a.csv", LONG.encode(), (of_long, read_responses)),
    "records": (
        "a.jsonl",
        json_lines({"person": "a", "q1": 1, "q2": 0}, {"person": "b", "q1": 0, "q2": 1}),
        (read_responses, read_table),
    ),
    "py-irt": (
        "a.jsonl",
        json_lines({"subject_id": "a", "responses": {"q1": 1}}),
        (read_responses,),
    ),
    "parquet": ("a.parquet", parquet(), (read_responses, read_table)),
    "key": ("key.csv", KEY.encode(), (read_key,)),
    "list": ("items.txt", b"q1\nq2\n", (read_list,)),
    "decisions": ("d.csv", DECISIONS.encode(), (read_decisions,)),
    "groups": ("g.csv", GROUPS.encode(), (of_groups,)),
    "predictions": ("p.csv", PREDICTIONS.encode(), (read_predictions,)),
    "shares": ("p.csv", SHARES.encode(), (read_predictions,)),
    "crowd": ("c.csv", CROWD.encode(), (read_crowd,)),
    "crowd lines": ("c.jsonl", json_lines(SNLI, {**SNLI, "pairID": "q2"}), (read_crowd,)),
    "texts": ("t.csv", b"item,text\nq1,One?\nq2,Two?\n", (read_table, read_item_texts)),
    "set": (
        "s.jsonl",
        json_lines(SET, {**SET, "item": "q2", "label": "yes"}),
        (read_finetuning_set,),
    ),
}


def bounded(read, path):
    """Read, or be refused by name; return what was read."""
    began, found, refusal = time.monotonic(), None, None
    try:
        found = read(path)
    except IrtkitError as error:
        refusal = str(error)
    assert time.monotonic() - began < SECONDS
    assert refusal is None or path.name in refusal or read in OF_MANY, refusal
    return found


@pytest.mark.parametrize("name", READERS)
def test_the_undamaged_files_are_read(name, tmp_path):
    file, content, readers = READERS[name]
    (tmp_path / file).write_bytes(content)
    for read in readers[:1]:
        assert read(tmp_path / file) is not None


@pytest.mark.parametrize("label", [None, 1.5, [1], {}, True, 3], ids=str)
def test_a_label_that_is_no_name_is_refused(label, tmp_path):
    """Found by damage: a record without a label was a Python error."""
    path = tmp_path / "s.jsonl"
    path.write_bytes(json_lines({**SET, "label": label}, {**SET, "item": "q2", "label": "yes"}))
    with contextlib.suppress(IrtkitError):
        assert set(read_finetuning_set(path).label_set) == {str(label), "yes"}
    rest = {name: value for name, value in SET.items() if name != "label"}
    path.write_bytes(json_lines(rest, {**SET, "item": "q2", "label": "yes"}))
    with pytest.raises(ScaleError, match=r"s\.jsonl: 1 example without a label.*number 1"):
        read_finetuning_set(path)


@examples(25)
@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_damaged_tables_are_read_or_refused(name, data, tmp_path):
    file, content, readers = READERS[name]
    path = tmp_path / file
    path.write_bytes(data.draw(damaged(content)))
    for read in readers:
        bounded(read, path)


LOGS = {
    "lm-eval": lambda folder: made.lm_eval(folder, "a"),
    "lighteval": lambda folder: made.lighteval(folder, "a"),
    "helm": lambda folder: made.helm(folder, "a"),
    "every eval": lambda folder: made.every_eval_ever(folder, "a"),
    "openai": lambda folder: made.openai_evals(folder, "a"),
    "inspect": lambda folder: made.document(folder / "log.json", made.inspect_log("a")),
    "inspect zip": lambda folder: made.zipped(folder / "log.eval", made.inspect_members("a")),
    "py-irt": lambda folder: made.py_irt(folder / "data.jsonlines"),
}


@examples(20)
@pytest.mark.parametrize("name", LOGS)
@given(data=st.data())
def test_damaged_logs_are_read_or_refused(name, data, tmp_path_factory):
    path = LOGS[name](tmp_path_factory.mktemp("log"))
    files = [path] if path.is_file() else [p for p in sorted(path.rglob("*")) if p.is_file()]
    victim = data.draw(st.sampled_from(files))
    victim.write_bytes(data.draw(damaged(victim.read_bytes())))
    for read in (read_predictions, read_item_texts, of_one_log):
        bounded(read, path)


DOCUMENTS = {
    "scale": (read_scale, lambda: scale_document(writers.scale(0))),
    "calibration": (read_calibration, lambda: calibration_document(writers.calibration(0))),
    "checkpoint": (read_checkpoint, lambda: checkpoint_document(writers.state(0))),
}


@examples(80)
@pytest.mark.parametrize("name", DOCUMENTS)
@given(data=st.data())
def test_changed_documents_with_a_right_seal_are_read_or_refused(name, data, tmp_path):
    read, make = DOCUMENTS[name]
    path = tmp_path / "d.json"
    document = sealed(data.draw(changed(make())))
    path.write_text(json.dumps(document), encoding="utf-8", errors="surrogatepass")
    found = bounded(read, path)
    if name == "scale" and found is not None:
        try:
            scale_score(writers.answers(0).select_items(list(found.items)), found)
        except IrtkitError:
            return


@examples(40)
@pytest.mark.parametrize("name", DOCUMENTS)
@given(data=st.data())
def test_damaged_documents_are_refused_or_unchanged(name, data, tmp_path):
    read, make = DOCUMENTS[name]
    path = tmp_path / "d.json"
    whole = sealed(make())
    path.write_bytes(data.draw(damaged(json.dumps(whole).encode())))
    try:
        read(path)
    except (ScaleError, FileError):
        return
    assert json.loads(path.read_bytes()) == whole  # only blanks or the like were touched


@pytest.fixture(scope="module")
def posterior(tmp_path_factory):
    """The reader of posteriors, and a file for it."""
    for name in ("pymc", "h5netcdf", "h5py"):
        pytest.importorskip(name)
    from irtkit.estimation.bayes import read_posterior
    from tests.faults.test_injected_faults import posterior_writer

    folder = tmp_path_factory.mktemp("posterior")
    posterior_writer().write(folder, 0)
    assert read_posterior(folder / "p.nc").parameters.shape[1] == 10
    return read_posterior, (folder / "p.nc").read_bytes()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of h5netcdf
@examples(30)
@given(data=st.data())
def test_damaged_posteriors_are_read_or_refused(data, posterior, tmp_path):
    read, content = posterior
    (tmp_path / "p.nc").write_bytes(data.draw(damaged(content)))
    bounded(read, tmp_path / "p.nc")


@examples(40)
@given(data=st.data())
def test_a_damaged_record_of_a_checkpoint_makes_it_not_count(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    for version in (0, 1):
        writers.training_checkpoint(folder, version)
    record = folder / "run" / "checkpoint-2" / "record.json"
    whole = json.loads(record.read_text())
    if data.draw(st.booleans()):
        record.write_bytes(data.draw(damaged(record.read_bytes())))
    else:
        record.write_text(json.dumps(data.draw(changed(whole))))
    path, found = newest(folder / "run")
    assert path.name in ("checkpoint-1", "checkpoint-2")
    assert isinstance(found, dict)


@examples(40)
@given(data=st.data())
def test_damaged_data_maps_are_read_or_refused(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("map")
    path = folder / "dynamics_epoch_0.jsonl"
    path.write_bytes(data.draw(damaged(json_lines(DYNAMICS, {**DYNAMICS, "guid": "q2"}))))
    bounded(read_data_map, folder)


@examples(60)
@given(frame=st.lists(st.tuples(st.text(max_size=6), st.floats()), min_size=1, max_size=4))
def test_any_table_is_written_and_read_as_it_was(frame, tmp_path):
    """Numbers keep their digits; a text that a spreadsheet would run gets an apostrophe."""
    table = pd.DataFrame(frame, columns=["name", "value"])
    path = tmp_path / "t.parquet"
    try:
        write_table(table, path)
    except FileError:
        return
    assert read_table(path).shape == table.shape
