"""Files of crowd labels in all their forms: what is read, what is dropped, what is refused."""

import csv
import gzip
import io
import json

import numpy as np
import pandas as pd
import pytest

from irtkit.bridge.crowd.counts import LabelCounts
from irtkit.bridge.crowd.labels import CrowdLabels
from irtkit.bridge.crowd_files import CrowdLayout, Cuts, read_crowd
from irtkit.coding import Coding
from irtkit.errors import FileError, ResponseError
from irtkit.io import TextFormat


@pytest.fixture
def reads(tmp_path):
    """Return a function that writes a file and reads it."""

    def reads(content, name="labels.csv", **more):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        layout = more.pop("layout", None)
        own = [
            k for k in more if k in CrowdLayout.__slots__ and not isinstance(more[k], TextFormat)
        ]
        places = {k: more.pop(k) for k in own}
        return read_crowd(path, layout=layout or CrowdLayout(**places), **more)

    return reads


def triples(crowd):
    """The answers as a set of worker, item, label."""
    return {
        (crowd.workers[w], crowd.items[i], crowd.label_set[y])
        for w, i, y in zip(crowd.worker, crowd.item, crowd.label, strict=True)
    }


def written(rows, delimiter=","):
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return stream.getvalue()


EXPECTED = {("a", "x", "yes"), ("b", "x", "no"), ("a", "y", "no")}
LONG = "worker,item,label\na,x,yes\nb,x,no\na,y,no\n"


class TestLong:
    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("l.csv", LONG),
            ("l.tsv", LONG.replace(",", "\t")),
            ("l.csv.gz", gzip.compress(LONG.encode())),
            ("l.csv", "task,worker,label\nx,a,yes\nx,b,no\ny,a,no\n"),
            ("l.csv", "Item,WORKER_ID,Answer\nx,a,yes\nx,b,no\ny,a,no\n"),
            (
                "l.jsonl",
                '{"worker": "a", "item": "x", "label": "yes"}\n'
                '{"worker": "b", "item": "x", "label": "no"}\n'
                '{"worker": "a", "item": "y", "label": "no"}\n',
            ),
        ],
        ids=["csv", "tsv", "gzip", "crowd-kit", "other-names", "json-lines"],
    )
    def test_all_spellings_say_the_same(self, reads, name, content):
        crowd = reads(content, name)
        assert triples(crowd) == EXPECTED
        assert "one row an answer; 3 answers of 2 workers to 2 items" in crowd.notes[0]

    def test_parquet_is_read(self, tmp_path):
        pytest.importorskip("pyarrow")
        path = tmp_path / "l.parquet"
        frame = pd.DataFrame({"worker": [1, 2], "item": ["x", "x"], "label": [0, 1]})
        frame.to_parquet(path)
        assert triples(read_crowd(path)) == {("1", "x", "0"), ("2", "x", "1")}

    def test_snow_files_bring_their_gold(self, reads):
        text = (
            "!amt_annotation_ids\t!amt_worker_ids\torig_id\tresponse\tgold\n"
            "n1\tA1\t7\t1\t1\nn2\tA2\t7\t0\t1\nn3\tA1\t8\t0\t0\n"
        )
        crowd = reads(text, "rte.tsv")
        assert triples(crowd) == {("A1", "7", "1"), ("A2", "7", "0"), ("A1", "8", "0")}
        assert crowd.gold_labels() == {"7": "1", "8": "0"}

    def test_columns_can_be_named(self, reads):
        text = "id,who,what,says,right,sentence\n1,a,x,yes,no,S\n2,b,x,no,no,S\n"
        crowd = reads(text, worker="who", item="what", label="says", gold="right", text="sentence")
        assert triples(crowd) == {("a", "x", "yes"), ("b", "x", "no")}
        assert crowd.gold_labels() == {"x": "no"}
        assert crowd.texts.to_dict("records") == [{"item": "x", "text": "S"}]

    def test_rejected_rows_are_dropped_and_told(self, reads):
        text = "worker,item,label,status\na,x,yes,Approved\nb,x,no,Rejected\n"
        crowd = reads(text)
        assert triples(crowd) == {("a", "x", "yes")}
        assert "1 row left out: rejected by the requester." in crowd.notes
        assert len(triples(reads(text, keep_rejected=True))) == 2

    def test_several_files_are_put_together(self, tmp_path):
        for name, text in (("1.csv", LONG), ("2.csv", "worker,item,label\nc,x,yes\n")):
            (tmp_path / name).write_text(text)
        crowd = read_crowd([tmp_path / "1.csv", tmp_path / "2.csv"])
        assert triples(crowd) == EXPECTED | {("c", "x", "yes")}
        with pytest.raises(ResponseError, match="3 labels for an item that the same worker"):
            read_crowd([tmp_path / "1.csv", tmp_path / "1.csv"])

    def test_a_key_replaces_the_gold_of_the_file(self, reads, tmp_path):
        text = "worker,item,label,gold\na,x,yes,yes\nb,x,no,yes\n"
        assert reads(text).gold_labels() == {"x": "yes"}
        (tmp_path / "key.csv").write_text("item,label\nx,no\n")
        assert reads(text, key=tmp_path / "key.csv").gold_labels() == {"x": "no"}
        assert reads(text, key={"x": "no"}).gold_labels() == {"x": "no"}

    def test_ratings_are_cut_into_labels(self, reads):
        text = "worker,item,rating\na,x,0\nb,x,33\nc,x,66.9\nd,x,67\ne,x,\n"
        crowd = reads(text, cuts=Cuts((33, 67), ("low", "mid", "high")))
        assert triples(crowd) == {
            ("a", "x", "low"),
            ("b", "x", "mid"),
            ("c", "x", "mid"),
            ("d", "x", "high"),
        }
        with pytest.raises(ResponseError, match="rating 'much' is no number"):
            reads("worker,item,rating\na,x,much\n", cuts=Cuts((33,), ("low", "high")))

    def test_cuts_must_rise_and_name_their_sides(self):
        with pytest.raises(ResponseError, match="do not rise"):
            Cuts((67, 33), ("a", "b", "c"))
        with pytest.raises(ResponseError, match="1 cut makes 2 labels"):
            Cuts((50,), ("a", "b", "c"))

    @pytest.mark.parametrize(
        ("text", "more", "message"),
        [
            ("person,q1,q2\na,1,0\n", {}, "of no form that irtkit knows.*from_responses"),
            (LONG, {"item": "itme"}, "no column 'itme'.*Did you mean 'item'"),
            ("worker,user,item,label\na,b,x,1\n", {}, "worker could stand in 'worker', 'user'"),
            (
                "worker,item,label,gold\na,x,1,1\nb,x,0,0\n",
                {},
                "item 'x' has two gold labels",
            ),
            ("worker,item,label,text\na,x,1,S\nb,x,0,T\n", {}, "1 item with two texts: 'x'"),
            ("worker,item,label\na,x\n", {}, "Line 2 has 2 fields"),
            ("worker,item,label\n", {}, "no labels"),
            ("", {}, "is empty"),
            ("worker;item;label\na;x;1\n", {}, "Say --sep ';'"),
            (LONG, {"form": "wide"}, "Unknown form 'wide'"),
            (LONG, {"form": "argilla"}, "is a table, which an Argilla export is not"),
            (LONG, {"repeats": "all"}, "Unknown policy 'all'"),
        ],
        ids=[
            *("wide", "typo", "two-workers", "two-golds", "two-texts", "ragged", "header-only"),
            *("empty", "separator", "form", "other-form", "policy"),
        ],
    )
    def test_what_cannot_be_read_is_refused_with_the_file_named(self, reads, text, more, message):
        with pytest.raises(ResponseError, match=message) as caught:
            reads(text, **more)
        assert "form" in more or "repeats" in more or "labels.csv" in str(caught.value)

    def test_a_folder_or_nothing_is_refused(self, tmp_path):
        with pytest.raises(FileError, match="a folder"):
            read_crowd(tmp_path)
        with pytest.raises(ResponseError, match="No file was named"):
            read_crowd([])

    def test_separator_and_encoding_are_settable(self, reads):
        text = "worker;item;label\na;x;ja\nb;x;nein ü\n".encode("latin-1")
        crowd = reads(text, text=TextFormat(";", encoding="latin-1"))
        assert crowd.label_set == ("ja", "nein ü")


def mturk(rows, more=()):
    head = ["HITId", "AssignmentId", "WorkerId", "AssignmentStatus", "WorkTimeInSeconds", *more]
    return written([head, *rows])


class TestMturk:
    def test_one_item_a_row(self, reads):
        text = mturk(
            [
                ["h1", "1", "A", "Approved", "10", "p", "x", "yes"],
                ["h1", "2", "B", "Submitted", "20", "p", "x", "no"],
                ["h2", "3", "A", "Rejected", "1", "q", "y", "no"],
            ],
            ["Input.text", "Input.id", "Answer.choice"],
        )
        crowd = reads(text)
        assert triples(crowd) == {("A", "h1", "yes"), ("B", "h1", "no")}
        assert crowd.seconds.tolist() == [10, 20]
        assert "1 row left out: rejected by the requester." in crowd.notes
        named = reads(text, item="Input.id", text="Input.text", keep_rejected=True)
        assert named.items == ("x", "y")
        assert named.texts["text"].tolist() == ["p", "q"]

    def test_several_items_a_row_by_number(self, reads):
        text = mturk(
            [
                ["h1", "1", "A", "Approved", "9", "x", "y", "P", "Q", "e", "n", "e", "e"],
                ["h2", "2", "B", "Approved", "9", "y", "z", "Q", "R", "c", "n", "e", "n"],
            ],
            [
                *("Input.id_0", "Input.id_1", "Input.p_0", "Input.p_1"),
                *("Answer.label0", "Answer.label1", "Input.g_0", "Input.g_1"),
            ],
        )
        crowd = reads(
            text, item="Input.id_{n}", label="Answer.label{n}", text="Input.p_{n}",
            gold="Input.g_{n}",
        )  # fmt: skip
        assert triples(crowd) == {
            *(("A", "x", "e"), ("A", "y", "n")),
            *(("B", "y", "c"), ("B", "z", "n")),
        }
        assert crowd.texts.set_index("item")["text"].to_dict() == {"x": "P", "y": "Q", "z": "R"}
        assert crowd.gold_labels() == {"x": "e", "y": "e", "z": "n"}
        assert crowd.seconds is None  # a row's time is that of all its items
        with pytest.raises(ResponseError, match="item 'y' has two gold labels"):
            reads(text.replace("c,n,e,n", "c,n,c,n"), item="Input.id_{n}",
                  label="Answer.label{n}", gold="Input.g_{n}")  # fmt: skip
        with pytest.raises(ResponseError, match="two texts: 'y'"):
            reads(text.replace("Q,R", "X,R"), item="Input.id_{n}",
                  label="Answer.label{n}", text="Input.p_{n}")  # fmt: skip
        without = reads(text, label="Answer.label{n}")
        assert set(without.items) == {"h1:0", "h1:1", "h2:0", "h2:1"}

    def test_one_column_a_label(self, reads):
        text = mturk(
            [
                ["h1", "1", "A", "Approved", "9", "true", "false"],
                ["h1", "2", "B", "Approved", "9", "false", "TRUE"],
                ["h1", "3", "C", "Approved", "9", "false", "false"],
            ],
            ["Answer.c.yes", "Answer.c.no"],
        )
        crowd = reads(text, label="Answer.c.{label}")
        assert triples(crowd) == {("A", "h1", "yes"), ("B", "h1", "no")}
        assert "1 row without a label left out." in crowd.notes
        with pytest.raises(ResponseError, match="ticks 'yes', 'no' at once"):
            reads(text.replace("false,TRUE", "true,true"), label="Answer.c.{label}")

    def test_answers_in_several_columns_need_a_pattern(self, reads):
        text = mturk([["h1", "1", "A", "Approved", "9", "1", "2"]], ["Answer.r0", "Answer.r1"])
        with pytest.raises(ResponseError, match=r"stand in 2 columns: 'Answer\.r0', 'Answer\.r1'"):
            reads(text)
        with pytest.raises(ResponseError, match=r"like 'Answer.x\{n\}'"):
            reads(text, label="Answer.x{n}")
        with pytest.raises(ResponseError, match=r"no column 'Input\.id_0' for the item"):
            reads(text, item="Input.id_{n}", label="Answer.r{n}")

    def test_repeats_across_rows_follow_the_policy(self, reads):
        rows = [["h1", "1", "A", "Approved", "9", "x", "1"]] * 2
        text = mturk(rows, ["Input.id", "Answer.r"])
        with pytest.raises(ResponseError, match="'A x x'"):
            reads(text, item="Input.id")
        assert len(reads(text, item="Input.id", repeats="first").label) == 1


QUALTRICS = [
    [
        *("StartDate", "Status", "IPAddress", "Finished", "ResponseId", "LocationLatitude"),
        *("Q1", "Q2", "Q2_First Click", "PROLIFIC_PID"),
    ],
    [
        *("Start Date", "Response Type", "IP Address", "Finished", "Response ID", "Latitude"),
        *("Is A,\ntrue?", "Is B true?", "Timing", "PROLIFIC_PID"),
    ],
    [
        *('{"ImportId":"startDate"}', '{"ImportId":"status"}', '{"ImportId":"ipAddress"}'),
        *('{"ImportId":"finished"}', '{"ImportId":"_recordId"}', '{"ImportId":"locationLat"}'),
        *('{"ImportId":"QID1"}', '{"ImportId":"QID2"}', '{"ImportId":"QID2_FIRST_CLICK"}'),
        '{"ImportId":"PROLIFIC_PID"}',
    ],
    ["d", "IP Address", "192.0.2.1", "True", "R1", "1.5", "yes", "no", "0.3", "p1"],
    ["d", "Survey Preview", "192.0.2.2", "True", "R2", "1.5", "yes", "yes", "0.3", "p2"],
    ["d", "0", "192.0.2.3", "1", "R3", "1.5", "no", "", "0.3", "p3"],
    ["d", "8", "192.0.2.4", "1", "R4", "1.5", "no", "no", "0.3", "p4"],
    ["d", "0", "192.0.2.5", "0", "R5", "1.5", "no", "no", "0.3", "p5"],
    ["d", "16", "192.0.2.6", "1", "R6", "1.5", "yes", "yes", "0.3", "p6"],
]


class TestQualtrics:
    def test_questions_are_items_and_unreal_respondents_are_dropped(self, reads):
        crowd = reads(written(QUALTRICS))
        assert triples(crowd) == {
            *(("p1", "Q1", "yes"), ("p1", "Q2", "no"), ("p3", "Q1", "no")),
            *(("p6", "Q1", "yes"), ("p6", "Q2", "yes")),
        }
        assert crowd.texts["text"].tolist() == ["Is A,\ntrue?", "Is B true?"]
        assert "2 rows left out: preview, test or spam." in crowd.notes
        assert "1 row left out: the survey was not finished." in crowd.notes

    def test_addresses_and_places_are_never_kept(self, reads):
        crowd = reads(written(QUALTRICS))
        kept = repr([crowd.workers, crowd.items, crowd.label_set, crowd.notes, crowd.texts])
        assert "192.0.2" not in kept
        assert "1.5" not in kept
        for name in ("IPAddress", "LocationLatitude"):
            with pytest.raises(ResponseError, match="never reads it"):
                CrowdLayout(worker=name)

    def test_respondents_and_questions_can_be_named(self, reads):
        crowd = reads(written(QUALTRICS), worker="ResponseId", label="Q{n}")
        assert set(crowd.workers) == {"R1", "R3", "R6"}
        with pytest.raises(ResponseError, match="No column holds a question"):
            reads(written(QUALTRICS), label="Z{n}")

    def test_tabs_and_utf16_are_read_where_they_are_said(self, reads):
        content = written(QUALTRICS, "\t").encode("utf-16")
        crowd = reads(content, "q.tsv", text=TextFormat(encoding="utf-16"))
        assert len(crowd.label) == 5
        with pytest.raises(ResponseError, match="UTF-16"):
            reads(content, "q.tsv")


def studio_task(number, annotations, **data):
    return {"id": number, "data": {"text": f"t{number}", **data}, "annotations": annotations}


def studio_vote(by, label, **more):
    value = {"choices": [label]} if isinstance(label, str) else {"choices": label}
    part = {"from_name": "nli", "to_name": "text", "type": "choices", "value": value}
    return {"completed_by": by, "lead_time": 4.5, "result": [part], **more}


class TestLabelStudio:
    def test_choices_are_labels_and_ground_truth_is_gold(self, reads):
        tasks = [
            studio_task(
                1,
                [
                    studio_vote(7, "yes"),
                    studio_vote({"id": 8, "email": "someone@example.org"}, "no"),
                    studio_vote(9, "no", was_cancelled=True),
                    studio_vote(1, "yes", ground_truth=True),
                ],
                key="x",
            ),
            studio_task(2, [studio_vote(7, "no")], key="y"),
        ]
        crowd = reads(json.dumps(tasks), "export.json")
        assert triples(crowd) == {("7", "1", "yes"), ("8", "1", "no"), ("7", "2", "no")}
        assert crowd.gold_labels() == {"1": "yes"}
        assert crowd.texts["text"].tolist() == ["t1", "t2"]
        assert crowd.seconds.tolist() == [4.5] * 3
        assert "1 row left out: skipped by the annotator." in crowd.notes
        assert reads(json.dumps(tasks), "export.json", item="key").items == ("x", "y")

    def test_what_is_no_single_label_is_refused(self, reads):
        two = json.dumps([studio_task(1, [studio_vote(7, ["a", "b"])])])
        with pytest.raises(ResponseError, match="item '1' holds 'a', 'b'"):
            reads(two, "e.json")
        nobody = json.dumps([studio_task(1, [studio_vote(None, "a")])])
        with pytest.raises(ResponseError, match="does not say by whom"):
            reads(nobody, "e.json")

    def test_of_several_questions_one_is_named(self, reads):
        vote = studio_vote(7, "a")
        rating = {"from_name": "sure", "type": "rating", "value": {"rating": 4}}
        vote["result"].append(rating)
        text = json.dumps([studio_task(1, [vote])])
        with pytest.raises(ResponseError, match="several questions: 'nli', 'sure'"):
            reads(text, "e.json")
        assert reads(text, "e.json", label="sure").label_set == ("4",)


ARGILLA_FLAT = [
    {
        "id": "r1",
        "text": "T1",
        "nli.responses": ["yes", "no", "no"],
        "nli.responses.users": ["u1", "u2", "u3"],
        "nli.responses.status": ["submitted", "submitted", "draft"],
        "nli.suggestion": "no",
    },
    {
        "id": "r2",
        "text": "T2",
        "nli.responses": None,
        "nli.responses.users": None,
        "nli.responses.status": None,
        "nli.suggestion": "no",
    },
]
ARGILLA_NESTED = [
    {
        "id": "r1",
        "fields": {"text": "T1"},
        "responses": {
            "nli": [{"value": "yes", "user_id": "u1"}, {"value": "no", "user_id": "u2"}]
        },
        "suggestions": {},
    }
]
ARGILLA_FIRST = [
    {
        "id": "r1",
        "text": "T1",
        "nli": {
            "user_id": ["u1", "u2", "u3"],
            "value": ["yes", "no", "no"],
            "status": ["submitted", "submitted", "discarded"],
        },
    }
]
ARGILLA_FIRST_LIST = [
    {
        "id": "r1",
        "text": "T1",
        "nli": [
            {"user_id": "u1", "value": "yes", "status": "submitted"},
            {"user_id": "u2", "value": "no", "status": "submitted"},
        ],
    }
]


class TestArgilla:
    @pytest.mark.parametrize(
        "records",
        [ARGILLA_FLAT, ARGILLA_NESTED, ARGILLA_FIRST, ARGILLA_FIRST_LIST],
        ids=["2-flat", "2-nested", "1-columns", "1-list"],
    )
    @pytest.mark.parametrize("lines", [False, True], ids=["json", "json-lines"])
    def test_submitted_responses_of_all_versions(self, reads, records, lines):
        content = "\n".join(map(json.dumps, records)) if lines else json.dumps(records)
        crowd = reads(content, "r.jsonl" if lines else "r.json")
        assert triples(crowd) == {("u1", "r1", "yes"), ("u2", "r1", "no")}
        assert crowd.texts["text"].tolist() == ["T1"]
        assert "an Argilla export" in crowd.notes[0]

    def test_of_several_questions_one_is_named(self, reads):
        records = [{**ARGILLA_FLAT[0], "sure.responses": ["1", "2", "1"]}]
        with pytest.raises(ResponseError, match="several questions: 'nli', 'sure'"):
            reads(json.dumps(records), "r.json")
        crowd = reads(json.dumps(records), "r.json", label="nli")
        assert len(crowd.label) == 2
        with pytest.raises(ResponseError, match="no question 'nil'"):
            reads(json.dumps(records), "r.json", label="nil")

    def test_several_labels_at_once_are_refused(self, reads):
        records = [{**ARGILLA_FLAT[0], "nli.responses": [["a", "b"], "no", "no"]}]
        with pytest.raises(ResponseError, match="one label an annotator"):
            reads(json.dumps(records), "r.json")


class TestLewidi:
    def test_both_years_are_read(self, reads):
        third = {
            "annotations": {"Ann1": "1", "Ann2": "0"},
            "annotators": "Ann1,Ann2",
            "text": {"context": "C", "response": "R"},
            "soft_label": {"0": 0.5, "1": 0.5},
        }
        second = {"annotations": "1,0", "annotators": "Ann1,Ann2", "text": "T", "hard_label": "1"}
        for record in (third, second):
            crowd = reads(json.dumps({"7": record}), "MP_train.json")
            assert triples(crowd) == {("Ann1", "7", "1"), ("Ann2", "7", "0")}
        assert crowd.gold_labels() == {"7": "1"}
        assert crowd.texts["text"].tolist() == ["T"]
        pair = reads(json.dumps({"7": third}), "a.json", text="context", text_pair="response")
        assert pair.texts.loc[0].tolist() == ["7", "C", "R"]

    def test_annotators_and_annotations_must_match(self, reads):
        bad = {"7": {"annotations": "1", "annotators": "Ann1,Ann2", "text": "T"}}
        with pytest.raises(ResponseError, match="2 annotators and 1 annotations"):
            reads(json.dumps(bad), "a.json")


def chaos_record(uid, counter, **more):
    example = {"uid": uid, "premise": f"p{uid}", "hypothesis": f"h{uid}"}
    return {"uid": uid, "label_counter": counter, "example": example, "old_label": "n", **more}


class TestCounts:
    def test_chaos_counts_are_read_and_missing_is_zero(self, reads):
        records = [chaos_record("1", {"n": 70, "e": 30}), chaos_record("2", {"c": 100})]
        counts = reads("\n".join(map(json.dumps, records)), "c.jsonl")
        assert isinstance(counts, LabelCounts)
        assert counts.label_set == ("c", "e", "n")
        assert counts.counts.tolist() == [[0, 30, 70], [100, 0, 0]]
        assert counts.gold_labels() == {"1": "n", "2": "n"}
        assert counts.texts["text_pair"].tolist() == ["h1", "h2"]
        assert "200 answers of unknown workers to 2 items" in counts.notes[0]

    def test_labels_are_mapped_and_added_up(self, reads):
        records = [chaos_record("1", {"n": 70, "e": 20, "c": 10})]
        coding = Coding(label_map={"n": "no", "c": "no", "e": "entailment"})
        counts = reads(json.dumps(records[0]), "c.jsonl", coding=coding)
        assert counts.label_set == ("entailment", "no")
        assert counts.counts.tolist() == [[20, 80]]
        assert counts.gold_labels() == {"1": "no"}

    def test_pairs_of_other_tasks_have_no_texts_but_counts(self, reads):
        record = {"uid": "1", "label_counter": {"1": 60, "2": 40}, "example": {"obs1": "a"}}
        counts = reads(json.dumps(record), "c.jsonl")
        assert counts.texts is None
        assert counts.counts.tolist() == [[60, 40]]

    def test_snli_lines_count_their_annotators(self, reads):
        records = [
            {
                "pairID": "a#0",
                "annotator_labels": ["entailment", "neutral", "", "entailment"],
                "gold_label": "entailment",
                "sentence1": "P",
                "sentence2": "H",
            },
            {
                "pairID": "b#0",
                "annotator_labels": ["neutral", "entailment"],
                "gold_label": "-",
                "sentence1": "P2",
                "sentence2": "H2",
            },
        ]
        counts = reads("\n".join(map(json.dumps, records)), "s.jsonl")
        assert counts.counts.tolist() == [[2, 1], [1, 1]]
        assert counts.gold_labels() == {"a#0": "entailment"}
        twice = "\n".join([json.dumps(records[0])] * 2)
        with pytest.raises(ResponseError, match="'a#0' stands in the file twice"):
            reads(twice, "s.jsonl")

    def test_gold_that_nobody_gave_is_a_label_too(self, reads):
        counts = reads(json.dumps(chaos_record("1", {"e": 3})), "c.jsonl")
        assert counts.label_set == ("e", "n")
        assert counts.counts.tolist() == [[3, 0]]

    @pytest.mark.parametrize(
        ("record", "message"),
        [
            (chaos_record("1", {}), "has no label_counter"),
            (chaos_record("1", {"e": "many"}), "hold 'many', no count"),
            (chaos_record("1", {"e": -1}), "is -1"),
            (chaos_record("1", {"e": True}), "no count"),
        ],
        ids=["none", "word", "negative", "truth"],
    )
    def test_counts_that_are_none_are_refused(self, reads, record, message):
        with pytest.raises(ResponseError, match=message):
            reads(json.dumps(record), "c.jsonl")

    def test_counts_and_workers_are_not_mixed(self, tmp_path):
        (tmp_path / "c.jsonl").write_text(json.dumps(chaos_record("1", {"e": 3})))
        (tmp_path / "l.csv").write_text(LONG)
        with pytest.raises(ResponseError, match="Read them apart"):
            read_crowd([tmp_path / "c.jsonl", tmp_path / "l.csv"])

    def test_ratings_cannot_be_cut_from_counts(self, reads):
        with pytest.raises(ResponseError, match="only ratings can be cut"):
            reads(json.dumps(chaos_record("1", {"e": 3})), "c.jsonl", cuts=Cuts((1,), ("a", "b")))


class TestJson:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("{}", "neither a list of records"),
            ("[1, 2]", "neither a list of records"),
            ("[]", "neither a list of records"),
            ('[{"id": 1}]', "of no form"),
            ('[{"id": NaN}]', "holds NaN"),
            ('[{"id": 1, "id": 2}]', "stands twice"),
            ("[", "not complete JSON"),
            (b"\x80\x04\x95", "a Python pickle"),
        ],
        ids=["object", "numbers", "empty", "fields", "nan", "twice", "cut", "pickle"],
    )
    def test_odd_documents_are_refused(self, reads, content, message):
        with pytest.raises(ResponseError, match=message):
            reads(content, "x.json")

    def test_a_bad_line_is_named(self, reads):
        with pytest.raises(ResponseError, match="Line 2"):
            reads(json.dumps(chaos_record("1", {"e": 3})) + "\n{oops\n", "x.jsonl")

    def test_a_form_that_the_records_are_not_is_refused(self, reads):
        with pytest.raises(ResponseError, match="not of a Label Studio export"):
            reads(json.dumps([{"id": 1}]), "x.json", form="label-studio")


class TestRealFiles:
    def test_ratings_with_rejected_and_repeated_answers(self, shared_data):
        path = shared_data / "pavlick2019_nli" / "ratings.csv"
        cuts = Cuts((33.5, 66.5), ("contradiction", "neutral", "entailment"))
        crowd = read_crowd(path, layout=CrowdLayout(cuts=cuts), repeats="first")
        assert (crowd.n_workers, crowd.n_items) == (509, 500)
        assert "1,220 rows left out: rejected by the requester." in crowd.notes

    def test_chaosnli_entropy_is_that_of_the_file(self, shared_data):
        from irtkit.bridge.crowd.agreement import item_agreement

        path = shared_data / "chaosnli" / "chaosNLI_snli.jsonl"
        counts = read_crowd(path)
        theirs = [json.loads(line)["entropy"] for line in path.read_text().splitlines()]
        assert np.allclose(item_agreement(counts)["entropy"], theirs, atol=1e-12)

    def test_snow_rte_has_ten_labels_an_item(self, shared_data):
        crowd = read_crowd(shared_data / "snow2008_rte" / "rte.standardized.tsv")
        assert isinstance(crowd, CrowdLabels)
        assert (crowd.n_workers, crowd.n_items, len(crowd.label)) == (164, 800, 8000)
        assert (crowd.gold >= 0).all()
