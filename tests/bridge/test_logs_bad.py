"""Damaged, hostile and misleading logs: only errors of irtkit leave, and they name the place."""

import contextlib
import gzip
import json
import os
import tracemalloc
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from irtkit.bridge.logs import LogOptions, found_format, read_item_texts, read_logs
from irtkit.bridge.predictions import read_predictions
from irtkit.errors import FileError, IrtkitError, PredictionError
from irtkit.io import streams
from tests.bridge import logs_made as made

BAD_LINES = {
    "cut": (b'{"doc_id": 2, "doc_ha', "Line 3: It is not complete JSON"),
    "list": (b"[1, 2]", "Line 3 is no object with fields: '\\[1, 2\\]'"),
    "twice": (b'{"doc_id": 2, "doc_id": 3}', "Line 3: The field 'doc_id' stands twice"),
    "latin": (b'{"doc_id": "\xe9"}', "Line 3 is not UTF-8 at byte"),
    "deep": (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "Line 3: It is nested too deep"),
    "digits": (b'{"doc_id": ' + b"9" * 5000 + b"}", "Line 3: It is not complete JSON"),
    "no id": (b'{"acc": 1}', "Line 3: doc_id holds None"),
    "no score": (b'{"doc_id": 2, "acc_norm": 1}', "Line 3 has no score 'acc'"),
    "list score": (b'{"doc_id": 2, "acc": [1]}', "Line 3: acc holds a list"),
    "text score": (b'{"doc_id": 2, "acc": "high"}', "Line 3: acc holds 'high'"),
    "infinite": (b'{"doc_id": 2, "acc": Infinity}', "Line 3: acc holds inf"),
    "huge": (b'{"doc_id": 2, "acc": ' + b"9" * 400 + b"}", "Line 3: acc holds 999"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_in_the_middle_is_named(name, tmp_path):
    line, message = BAD_LINES[name]
    good = [json.dumps(made.lm_eval_line(n, f"q{n}", acc=1)).encode() for n in (1, 2)]
    path = tmp_path / "samples_quiz.jsonl"
    path.write_bytes(b"\n".join([good[0], b"", line, good[1]]))
    with pytest.raises(PredictionError, match=rf"samples_quiz\.jsonl: {message}"):
        read_logs(path)


def test_nan_is_no_score_and_a_mark_at_the_start_no_fault(tmp_path):
    rows = [
        made.lm_eval_line(n, f"q{n}", acc=value) for n, value in enumerate((1.0, float("nan")))
    ]
    path = made.lines(tmp_path / "samples_quiz.jsonl", rows)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_logs(path).dense().tolist() == [[1, -1]]


def test_a_line_without_end_is_refused_before_it_is_held(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "MOST_LINE", 1000)
    path = tmp_path / "samples_quiz.jsonl"
    path.write_bytes(json.dumps(made.lm_eval_line(1, "q1", acc=1)).encode() + b"\n" + b" " * 5000)
    with pytest.raises(PredictionError, match="Line 2 has more than 0 MiB"):
        read_logs(path)


def test_documents_are_not_held(tmp_path):
    rows = (made.lm_eval_line(n, f"q{n}", acc=1) | {"resps": ["x" * 50_000]} for n in range(400))
    path = made.lines(tmp_path / "samples_quiz.jsonl", rows)
    read_logs(path)
    tracemalloc.start()
    try:
        assert read_logs(path).n_items == 400
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 20_000_000
    assert peak < 1_500_000


def test_a_damaged_or_bursting_gzip_is_refused(tmp_path, monkeypatch):
    good = gzip.compress(made.lm_eval(tmp_path, "a").read_bytes() * 50)
    path = tmp_path / "samples_quiz.jsonl.gz"
    path.write_bytes(good[: len(good) // 2])
    with pytest.raises(IrtkitError):
        read_logs(path)
    monkeypatch.setattr(streams, "MOST_DECOMPRESSED", 10_000)
    path.write_bytes(good)
    with pytest.raises(FileError, match="unpacks to more than"):
        read_logs(path, options=LogOptions(duplicates="first"))


def test_a_log_that_grows_while_it_is_read_is_refused(tmp_path):
    path = made.lm_eval(tmp_path, "a")
    rows = streams.json_lines(path)
    next(rows)
    with path.open("a") as stream:
        stream.write("{}\n")
    with pytest.raises(FileError, match="changed while it was read"):
        list(rows)


# Zip files


def bad_zip(folder, name, content):
    members = made.inspect_members("a")
    members[name] = content
    return made.zipped(folder / "log.eval", members)


@pytest.mark.parametrize("name", ["../../evil.json", "/etc/x.json", "a/../../b", "C:\\x.json"])
def test_a_member_that_leads_out_is_refused(tmp_path, name):
    with pytest.raises(FileError, match="leads out of the archive"):
        read_logs(bad_zip(tmp_path, name, b"{}"))
    assert os.listdir(tmp_path) == ["log.eval"]


@pytest.mark.parametrize("write", [made.zipped, made.zstandard])
def test_a_zip_bomb_is_stopped_by_what_comes_out_not_by_what_it_says(tmp_path, write, monkeypatch):
    members = made.inspect_members("a") | {"summaries.json": b"[" + b" " * 50_000_000 + b"]"}
    path = write(tmp_path / "log.eval", members)
    assert path.stat().st_size < 1_000_000
    monkeypatch.setattr(streams, "MOST_MEMBER", 1_000_000)
    with pytest.raises(FileError, match=r"'summaries.json' unpacks to more than 1 MiB"):
        read_logs(path)


def test_all_members_together_have_a_limit(tmp_path, monkeypatch):
    members = made.inspect_members("a")
    del members["summaries.json"]
    monkeypatch.setattr(streams, "MOST_DECOMPRESSED", 600)
    with pytest.raises(FileError, match="unpacks to more than"):
        read_logs(made.zipped(tmp_path / "log.eval", members))


@pytest.mark.parametrize("write", [made.zipped, made.zstandard])
def test_a_zip_cut_anywhere_is_refused(tmp_path, write):
    whole = write(tmp_path / "log.eval", made.inspect_members("a")).read_bytes()
    for end in range(0, len(whole), 41):
        (tmp_path / "log.eval").write_bytes(whole[:end])
        with pytest.raises(IrtkitError):
            read_logs(tmp_path / "log.eval")


@pytest.mark.parametrize("write", [made.zipped, made.zstandard])
def test_a_zip_with_a_changed_byte_gives_the_same_answers_or_an_error(tmp_path, write):
    whole = write(tmp_path / "log.eval", made.inspect_members("a")).read_bytes()
    rng = np.random.default_rng(5)
    outcomes = set()
    for _ in range(200):
        broken = bytearray(whole)
        broken[rng.integers(len(whole))] ^= int(rng.integers(1, 256))
        (tmp_path / "log.eval").write_bytes(bytes(broken))
        try:
            outcomes.add(tuple(read_logs(tmp_path / "log.eval").dense()[0].tolist()))
        except IrtkitError:
            outcomes.add("error")
    assert "error" in outcomes
    assert outcomes <= {"error", made.RIGHT["a"]}


def test_an_encrypted_or_foreign_zip_is_refused(tmp_path):
    path = made.zipped(tmp_path / "log.eval", made.inspect_members("a"))
    raw = bytearray(path.read_bytes())
    place = 0
    while (place := raw.find(b"PK\x01\x02", place)) >= 0:
        raw[place + 8] |= 1
        place += 4
    path.write_bytes(bytes(raw))
    with pytest.raises(FileError, match=r"header\.json.*encrypted"):
        read_logs(path)
    with pytest.raises(PredictionError, match=r"has no header\.json"):
        read_logs(made.zipped(tmp_path / "other.eval", {"a.txt": b"x"}))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a", "2")
    with pytest.raises(FileError, match="names a member twice"):
        read_logs(path)


# Files that are something else


def test_other_files_are_named_for_what_they_are(tmp_path):
    (tmp_path / "samples_quiz.jsonl").write_bytes(b"\x80\x04\x95junk")
    with pytest.raises(PredictionError, match="pickle"):
        read_logs(tmp_path / "samples_quiz.jsonl")
    made.document(tmp_path / "results.json", {"results": {}})
    with pytest.raises(PredictionError, match="JSON, but neither a log of Inspect"):
        read_logs(tmp_path / "results.json")
    with pytest.raises(PredictionError, match="holds no log of a known format"):
        read_logs(tmp_path)
    with pytest.raises(FileError, match="does not exist"):
        read_logs(tmp_path / "none.jsonl")
    with pytest.raises(PredictionError, match="folder of several logs"):
        found_format(tmp_path)
    pd.DataFrame({"__doc__": ["x"], "__metric__": [1.0]}).to_parquet(
        tmp_path / "details_x.parquet"
    )
    with pytest.raises(PredictionError, match="not a document and metrics with fields"):
        read_logs(tmp_path / "details_x.parquet")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipes_and_links_never_hang(tmp_path):
    os.mkfifo(tmp_path / "samples_quiz.jsonl")
    with pytest.raises(FileError, match=r"device, pipe or socket"):
        read_logs(tmp_path / "samples_quiz.jsonl")
    (tmp_path / "loop").symlink_to(tmp_path)
    with pytest.raises(PredictionError, match="no log of a known format"):
        read_logs(tmp_path)


def test_a_run_of_helm_without_its_specification_is_refused(tmp_path):
    run = made.helm(tmp_path, "a")
    (run / "run_spec.json").unlink()
    with pytest.raises(PredictionError, match=r"no run_spec\.json"):
        read_logs(run)
    made.document(run / "run_spec.json", [])
    with pytest.raises(PredictionError, match="no adapter_spec"):
        read_logs(run)
    for rows in ({"a": 1}, [1], [{"instance_id": "i", "stats": 3}]):
        run = made.helm(tmp_path, "a")
        made.document(run / "per_instance_stats.json", rows)
        with pytest.raises(PredictionError):
            read_logs(run)


@pytest.mark.parametrize("write", [made.helm, made.openai_evals])
def test_formats_without_a_hash_say_so(tmp_path, write):
    with pytest.raises(PredictionError, match="hash"):
        read_logs(write(tmp_path, "a"), options=LogOptions(identity="hash"))


# Anything at all

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["value", "name", "id", "text", "stats", "a"]), inner)
    ),
    max_leaves=6,
)
QUIET = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def read_or_refuse(path):
    for read in (read_predictions, read_item_texts):
        with contextlib.suppress(IrtkitError):
            read(path)


def fields(row):
    return st.dictionaries(st.sampled_from(sorted(row)), VALUES, max_size=4)


ROWS = {
    "lm_eval": made.lm_eval_line(1, "q1", acc=1.0),
    "every_eval_ever": made.every_eval_line("a", "q1", 1.0),
    "openai_event": made.openai_event(1, "q1", "match", correct=True),
    "openai_spec": {"spec": {"completion_fns": ["a"], "eval_name": "quiz"}},
    "py_irt": {"subject_id": "a", "responses": {"q1": 1}},
    "choice": made.choice_line(0, "q1", (-3.0, -1.0), "1"),
}


@QUIET
@pytest.mark.parametrize("name", ROWS)
@given(drawn=st.data())
def test_lines_with_any_fields_are_read_or_refused(name, drawn, tmp_path):
    row = ROWS[name]
    changed = [row | drawn.draw(fields(row)) for _ in range(3)]
    read_or_refuse(made.lines(tmp_path / "samples_quiz.jsonl", [row, *changed]))


@QUIET
@given(drawn=st.data())
def test_samples_of_inspect_with_any_fields_are_read_or_refused(drawn, tmp_path):
    sample = made.inspect_sample("s1", "C", limit=None, error=None, attachments={})
    changed = [sample | {"id": n} | drawn.draw(fields(sample)) for n in range(3)]
    log = made.inspect_log("a", changed)
    log |= drawn.draw(fields(log))
    if not isinstance(log.get("eval"), dict):
        log["eval"] = {"task": "t", "model": drawn.draw(VALUES)}
    read_or_refuse(made.document(tmp_path / "log.json", log))


@QUIET
@given(drawn=st.data())
def test_runs_of_helm_with_any_fields_are_read_or_refused(drawn, tmp_path):
    row = {"instance_id": "i", "train_trial_index": 0, "stats": [made.helm_stat("em", 1)]}
    rows = [row | drawn.draw(fields(row)) for _ in range(2)]
    rows[0]["stats"] = [made.helm_stat("exact_match", 1) | drawn.draw(fields({"name", "mean"}))]
    run = made.helm(tmp_path, "a", rows)
    spec = {"name": "quiz", "adapter_spec": {"model": "a"}}
    made.document(run / "run_spec.json", spec | drawn.draw(fields(spec)))
    state = {"request_states": [{"instance": {"id": "i", "input": {"text": "x"}}}]}
    made.document(run / "scenario_state.json", drawn.draw(st.just(state) | VALUES))
    read_or_refuse(run)


@QUIET
@given(
    content=st.binary(max_size=200), ending=st.sampled_from([".eval", ".jsonl", ".json", ".npz"])
)
def test_any_bytes_are_read_or_refused(content, ending, tmp_path):
    path = tmp_path / f"log{ending}"
    path.write_bytes(content)
    read_or_refuse(path)


@QUIET
@given(content=st.binary(max_size=120), member=st.sampled_from(["header", "summaries"]))
def test_any_bytes_in_a_zip_are_read_or_refused(content, member, tmp_path):
    read_or_refuse(bad_zip(tmp_path, f"{member}.json", content))


@QUIET
@given(seed=st.integers(0, 2**32))
def test_arrays_with_changed_bytes_are_read_or_refused(seed, tmp_path):
    rng = np.random.default_rng(seed)
    np.savez(tmp_path / "m.npz", predictions=np.eye(3), items=list("xyz"), label_ids=[0, 1, 2])
    with zipfile.ZipFile(tmp_path / "m.npz") as archive:
        members = {name: bytearray(archive.read(name)) for name in archive.namelist()}
    broken = list(members.values())[rng.integers(3)]
    broken[rng.integers(len(broken))] ^= int(rng.integers(1, 256))
    read_or_refuse(made.zipped(tmp_path / "m.npz", {n: bytes(c) for n, c in members.items()}))


@QUIET
@given(seed=st.integers(0, 2**32))
def test_parquet_with_changed_bytes_is_read_or_refused(seed, tmp_path):
    rng = np.random.default_rng(seed)
    folder = tmp_path / str(seed)
    folder.mkdir(exist_ok=True)
    path = folder / "details_quiz.parquet"
    if not path.exists():
        made.lighteval(folder, "a").rename(path)
    broken = bytearray(path.read_bytes())
    broken[rng.integers(len(broken))] ^= int(rng.integers(1, 256))
    path.write_bytes(bytes(broken))
    read_or_refuse(path)
