"""Reading responses, keys, decisions, calibrations and scales from files."""

import json
import time

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings

from irtkit.arrays import same
from irtkit.coding import Coding
from irtkit.errors import FileError, IrtkitError, ResponseError, ScaleError
from irtkit.estimation import calibrate
from irtkit.io import (
    TextFormat,
    read_calibration,
    read_columns,
    read_decisions,
    read_key,
    read_responses,
    write_calibration,
    write_table,
)
from irtkit.io.documents import read_json, write_json
from irtkit.layout import Long, Wide
from irtkit.models import TwoPL
from irtkit.responses import Responses
from irtkit.screening import Decision
from irtkit.simulate import simulate

SPARSE_SECONDS = 10  # takes one; a pass over all cells takes twenty and more
MADE = simulate(TwoPL(), n_persons=40, n_items=5, seed=1, missing=0.2).responses


def frame(responses):
    codes = pd.DataFrame(responses.dense(), columns=list(responses.items)).astype("Int8")
    codes = codes.mask(codes < 0)
    codes.insert(0, "person", list(responses.persons))
    return codes


def long_frame(responses):
    rows, places = np.nonzero(responses.dense() >= 0)
    return pd.DataFrame(
        {
            "person": [responses.persons[r] for r in rows],
            "item": [responses.items[i] for i in places],
            "answer": responses.dense()[rows, places],
        }
    )


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.tsv"])
def test_wide_files_give_the_same_responses(tmp_path, name):
    path = tmp_path / name
    if name.endswith("tsv"):
        frame(MADE).to_csv(path, sep="\t", index=False)
    else:
        write_table(frame(MADE), path)
    assert read_responses(path).fingerprint() == MADE.fingerprint()


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.jsonl"])
def test_long_files_give_the_same_responses(tmp_path, name):
    path = tmp_path / name
    rows = long_frame(MADE)
    if name.endswith("jsonl"):
        rows.to_json(path, orient="records", lines=True)
    else:
        write_table(rows, path)
    made = read_responses(path, layout=Long()).select_items(MADE.items)
    order = [made.persons.index(person) for person in MADE.persons]
    assert made.select_persons(order).fingerprint() == MADE.fingerprint()


def test_wide_json_lines_and_the_py_irt_form_are_read(tmp_path):
    wide, nested = tmp_path / "w.jsonl", tmp_path / "n.jsonlines"
    rows = [{"subject_id": "a", "q1": 1, "q2": 0}, {"subject_id": "b", "q1": 0}]
    wide.write_text("\n".join(map(json.dumps, rows)))
    nested.write_text(
        '{"subject_id": "a", "responses": {"q1": 1, "q2": 0}}\n'
        '{"subject_id": "b", "responses": {"q1": 0}}\n'
    )
    made = read_responses(wide)
    assert made.dense().tolist() == [[1, 0], [0, -1]]
    assert read_responses(nested).fingerprint() == made.fingerprint()


def test_bad_line_of_json_lines_is_named(tmp_path):
    path = tmp_path / "a.jsonl"
    for line, message in [
        ("{", "Line 2: It is not complete JSON"),
        ('{"person": "b", "x": NaN}', "Line 2: It holds NaN"),
        ('{"person": "b", "person": "c"}', "'person' stands twice"),
        ("[1]", "Line 2 is no object"),
        ('{"person": "b", "x": [1]}', "holds a list"),
    ]:
        path.write_text('{"person": "a", "x": 1}\n' + line + "\n")
        with pytest.raises(ResponseError, match=message):
            read_responses(path)


def test_real_crowd_labels_are_graded_as_their_authors_did(shared_data):
    folder = shared_data / "lalor2016_snli_amt"
    coding = Coding(
        label_map={"e": "entailment", "n": "neutral", "c": "contradiction"}, missing_as_wrong=True
    )
    for group, persons in ((4, 976), (5, 983)):
        made = read_responses(
            folder / f"irt_file_{group}.csv", key=folder / f"group_{group}.txt", coding=coding
        )
        graded = read_responses(folder / f"irt_file_{group}_coded.csv")
        assert (made.n_persons, made.n_items) == (persons, 90)
        assert made.items == graded.items
        assert (made.dense() == graded.dense()).all()
        assert made.label_set == ("contradiction", "entailment", "neutral")
        missing = persons * 90 - int(made.label_counts().to_numpy().sum())
        assert made.notes == (f"{missing} missing answers counted as wrong.",)


def test_without_the_label_map_the_message_says_which(shared_data):
    folder = shared_data / "lalor2016_snli_amt"
    with pytest.raises(ResponseError, match=r"'c', 'e', 'n'.*--label-map AS_ANSWERED=contradic"):
        read_responses(folder / "irt_file_5.csv", key=folder / "group_5.txt")


def test_other_real_tables_are_read(shared_data):
    matrices = shared_data / "llm_matrices"
    crux = read_responses(matrices / "zeroeval_crux_binary.csv")
    assert (crux.n_persons, crux.n_items) == (51, 800)
    tiny = read_responses(matrices / "openllm_response_matrix_tinyarc.csv", layout=Wide(person=""))
    assert tiny.n_items == 99
    assert "222gate/Blur" not in tiny.items[0]
    rte = read_columns(shared_data / "snow2008_rte" / "rte.standardized.tsv")
    made = Responses.from_columns(
        rte, layout=Long("!amt_worker_ids", "orig_id", "response"), coding=Coding()
    )
    assert (made.n_persons, made.n_items) == (164, 800)
    assert made.n_answered().sum() == 8000
    pyirt = read_responses(shared_data / "pyirt" / "minitest.jsonlines")
    assert pyirt.n_items == 4


def test_key_forms_are_read_alike(tmp_path):
    expected = {"a": "x", "b": "y", "c": ""}
    for number, text in enumerate(
        ["item,label\na,x\nb,y\nc,\n", "a\tx\nb\ty\nc\t\n", "a x\nb y\nc\n"]
    ):
        path = tmp_path / f"{number}.txt"
        path.write_text(text)
        assert read_key(path) == expected
    (tmp_path / "k").write_text("a x\na y\n")
    with pytest.raises(ResponseError, match="line 2 names item 'a' with two labels"):
        read_key(tmp_path / "k")
    (tmp_path / "k").write_text("a x z\n")
    with pytest.raises(ResponseError, match="line 1 should hold an item and its label"):
        read_key(tmp_path / "k")


@pytest.mark.parametrize(
    "text",
    [
        'item,label\n"Hello, world",x\n"say ""hi""",y\n',
        'item\tlabel\nHello, world\tx\n"say ""hi"""\ty\n',
        '\nItem;label\nHello, world;x\n"say ""hi""";y\n',
        'Hello, world\tx\n"say ""hi"""\ty\n',
    ],
)
def test_key_of_items_named_by_their_text_is_read(tmp_path, text):
    (tmp_path / "key").write_text(text)
    assert read_key(tmp_path / "key") == {"Hello, world": "x", 'say "hi"': "y"}


def test_only_newlines_end_a_line(tmp_path):
    odd = "one\u2028two\x85three"
    lines, key = tmp_path / "a.jsonl", tmp_path / "key.csv"
    row = {"person": "p", odd: "yes", "b": "no"}
    lines.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    key.write_text(f"item,label\n{odd},yes\nb,yes\n", encoding="utf-8")
    made = read_responses(lines, key=key)
    assert made.items == (odd, "b")
    assert made.dense().tolist() == [[1, 0]]


def test_table_without_a_header_is_named_by_its_layout(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("0,1,a\n1,0,b\n")
    made = read_responses(path, layout=Wide(person=2), text=TextFormat(header=False))
    assert (made.persons, made.items) == (("a", "b"), ("i1", "i2"))
    assert made.dense().tolist() == [[0, 1], [1, 0]]
    path.write_text("a,x,0\nb,x,1\n")
    made = read_responses(path, layout=Long(answer="said"), text=TextFormat(header=False))
    assert (made.persons, made.items) == (("a", "b"), ("x",))


def test_half_a_character_is_refused_when_read_and_when_written(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"a": "\\ud800"}')
    with pytest.raises(ScaleError, match="half of a character"):
        read_json(path)
    path.write_text('{"a": "\\ud83d\\ude00"}')
    assert read_json(path) == {"a": "\U0001f600"}
    with pytest.raises(FileError, match="no Unicode"):
        write_json({"a": "\ud800"}, path)
    assert read_json(path) == {"a": "\U0001f600"}


def test_documents_nest_at_most_64_deep_whatever_their_texts_hold(tmp_path):
    path = tmp_path / "a.json"
    write_json({"a": "[" * 200, "b": '"\\{' * 200, "c": [[]] * 200}, path)
    assert read_json(path)["a"] == "[" * 200
    path.write_text('{"a": ' + "[" * 64 + "]" * 64 + "}")
    with pytest.raises(ScaleError, match="nested more than 64 deep"):
        read_json(path)


def test_parquet_with_a_repeated_column_names_it(tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pa.Table.from_arrays([["a", "b"], [0, 1], [1, 0]], names=["id", "x", "x"])
    parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(ResponseError, match="1 item named more than once: 'x'"):
        read_responses(tmp_path / "a.parquet")


@pytest.mark.slow
def test_sparse_json_lines_take_time_by_their_answers_not_by_their_table(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = (
        {"subject_id": f"s{n}", "responses": {f"q{(n + k) % 8000}": k % 2 for k in range(10)}}
        for n in range(8000)
    )
    path.write_text("\n".join(map(json.dumps, rows)))
    start = time.process_time()
    made = read_responses(path)
    assert time.process_time() - start < SPARSE_SECONDS
    assert (made.n_persons, made.n_items, made.n_answered().sum()) == (8000, 8000, 80_000)


def test_decisions_are_read_and_their_faults_named(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text('item,decision,reason\na,keep,"good, really"\n')
    assert read_decisions(path) == [Decision("a", "keep", "good, really")]
    path.write_text("item,decision,reason\na,keep,\n")
    with pytest.raises(ResponseError, match=r"d\.csv: .*no reason"):
        read_decisions(path)
    path.write_text("item,verdict\na,keep\n")
    with pytest.raises(ResponseError, match="no column 'decision', 'reason'"):
        read_decisions(path)


def test_calibration_survives_its_file_and_edits_are_noticed(tmp_path):
    path = tmp_path / "c.json"
    made = calibrate(MADE, TwoPL())
    write_calibration(made, path)
    first = path.read_bytes()
    assert same(read_calibration(path), made)
    write_calibration(made, path)
    assert path.read_bytes() == first
    document = read_json(path)
    document["items"][0]["parameters"]["slope"] += 0.1
    write_json(document, path)
    with pytest.raises(ScaleError, match="changed after irtkit wrote it"):
        read_calibration(path)
    path.write_bytes(first[: len(first) // 2])
    with pytest.raises(ScaleError, match="not complete JSON"):
        read_calibration(path)


cells = st.sampled_from([-1, 0, 1])
plain_text = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_any_table_survives_writing_and_reading(tmp_path_factory, data):
    names = data.draw(st.lists(plain_text, min_size=2, max_size=4, unique_by=str.casefold))
    rows = data.draw(
        st.lists(st.lists(cells, min_size=len(names), max_size=len(names)), min_size=1)
    )
    path = tmp_path_factory.mktemp("table") / "t.csv"
    codes = np.array(rows, dtype=np.int8)
    try:
        made = Responses(codes, tuple(f"p{n}" for n in range(len(rows))), tuple(names))
    except ResponseError:
        return  # names that only look different
    wide = frame(made)
    wide.to_csv(path, index=False)
    if any(name.lower() in ("item", "answer") for name in names):
        return
    back = read_responses(path)
    assert back.items == made.items
    assert (back.dense() == made.dense()).all()


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    content=st.binary(max_size=200), suffix=st.sampled_from([".csv", ".jsonl", ".parquet", ".tsv"])
)
def test_any_bytes_are_read_or_refused_by_name(tmp_path, content, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    for read in (read_responses, read_key, read_calibration):
        try:
            read(path)
        except IrtkitError as error:
            assert str(path) in str(error)  # noqa: PT017 - any other error fails the test
