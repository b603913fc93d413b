"""What belongs together in a folder, and what the command refuses."""

import hashlib
import json
import shutil
import sys

import pandas as pd
import pytest

import irtkit as irt
from irtkit.cli import run
from irtkit.errors import FileError, ResponseError, ScaleError
from irtkit.io.results import typed
from irtkit.report.answers import AnswerFormat
from irtkit.report.completion import completed, person_scores
from irtkit.report.folder import findings, parts_of, sources_of
from irtkit.report.kinds import texts_of
from tests.report.conftest import N_ITEMS
from tests.report.outline import Outline

FORM = AnswerFormat()
LABELS = {"e": "entailment", "n": "neutral", "c": "contradiction"}


def parts(folder, form=FORM, answers=None):
    return parts_of(findings(folder), form, answers)


def command(*words):
    return run([str(word) for word in words])


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """A scale of labels, and the labels that made it."""
    folder = tmp_path_factory.mktemp("crowd")
    items = irt.load_items("crowd_nli").query("scale == 'travel'").head(14)
    labelled = irt.load_dataset("crowd_nli").select_items(list(items["item"]))
    table = pd.DataFrame(labelled.labels, columns=list(labelled.items), index=labelled.persons)
    names = dict(enumerate(labelled.label_set)) | {-1: None}
    raw = table.replace(names).rename_axis("worker")
    raw.to_csv(folder / "labels.csv")
    known = irt.read_responses(
        folder / "labels.csv", key=dict(zip(items["item"], items["label"], strict=True))
    )
    screening = irt.screen(known, irt.TwoPL(), irt.preset("standard"))
    irt.write_scale(irt.build_scale(screening, name="Travel"), folder / "travel.json")
    return folder, raw, screening


def test_everything_in_a_folder_finds_its_scale(material, scale, answers):
    (part,) = parts(material)
    assert irt.same(part.scale, scale)
    assert part.answers.items == scale.items
    assert part.answers.fingerprint() == scale.provenance.responses_sha256
    assert len(part.texts) == N_ITEMS
    assert len(part.log)
    assert part.standings["accuracy"].iloc[0] == 1.0


def test_files_are_told_by_what_they_hold_and_not_by_their_names(material, tmp_path):
    for number, name in enumerate(["log.csv", "answers.csv", "models.csv"]):
        shutil.copy(material / name, tmp_path / f"{number}.csv")
    shutil.copy(material / "scale.json", tmp_path / "x.json")
    shutil.copy(material / "texts.jsonl", tmp_path / "y.jsonl")
    (part,) = parts(tmp_path)
    assert part.answers is not None
    assert part.log is not None
    assert part.standings is not None
    assert part.texts


def test_labels_are_graded_by_the_key_of_the_scale(crowd):
    folder, _, screening = crowd
    (part,) = parts(folder)
    assert part.answers.fingerprint() == screening.responses.fingerprint()


def test_labels_in_other_words_need_a_map(crowd, tmp_path):
    folder, raw, screening = crowd
    shutil.copy(folder / "travel.json", tmp_path)
    back = {word: letter for letter, word in LABELS.items()}
    raw.replace(back).to_csv(tmp_path / "labels.csv")
    (part,) = parts(tmp_path)
    assert part.answers is None
    assert "labels.csv looks like answers, but cannot be used." in part.notes[0]
    assert "Map them (--label-map c=LABEL)" in part.notes[0]
    (part,) = parts(tmp_path, AnswerFormat(coding=irt.Coding(label_map=LABELS)))
    assert part.answers.fingerprint() == screening.responses.fingerprint()


def test_graded_answers_are_taken_where_the_scale_has_a_key(crowd, tmp_path):
    folder, _, screening = crowd
    shutil.copy(folder / "travel.json", tmp_path)
    kept = screening.responses
    table = pd.DataFrame(kept.codes, columns=list(kept.items), index=kept.persons)
    table.where(table >= 0).rename_axis("worker").to_csv(tmp_path / "graded.csv")
    (part,) = parts(tmp_path)
    assert part.answers.labels is None or part.answers.key is not None
    assert (part.answers.dense() == kept.dense()).all()


def test_long_answers_are_read(material, answers, tmp_path):
    shutil.copy(material / "scale.json", tmp_path)
    table = pd.DataFrame(answers.dense(), columns=list(answers.items), index=answers.persons)
    long = table.rename_axis("person").reset_index().melt("person", None, "item", "answer")
    long.to_csv(tmp_path / "long.csv", index=False)
    (part,) = parts(tmp_path)
    assert part.answers.n_persons == answers.n_persons


def test_tables_of_diagnose_are_taken_if_they_are_about_these_items(material, answers, tmp_path):
    scale = irt.read_scale(material / "scale.json")
    kept = answers.select_items(scale.items)
    shutil.copy(material / "scale.json", tmp_path)
    tables = {
        "a": irt.item_fit(kept, scale.calibration).assign(rmsea=0.123),
        "b": irt.local_dependence(kept, scale.calibration),
        "c": irt.dimensionality(kept, n_draws=3),
        "d": irt.item_fit(answers, irt.calibrate(answers, irt.TwoPL())),
    }
    irt.write_tables({name: tables[name] for name in "abc"}, tmp_path / "own")
    irt.write_tables({"d": tables["d"]}, tmp_path / "other")
    (part,) = parts(tmp_path)
    assert set(part.tables) == {"item_fit", "local_dependence", "dimensionality"}
    assert (part.tables["item_fit"]["rmsea"] == 0.123).all()
    assert set(part.tables["item_fit"].index) == set(scale.items)
    pd.testing.assert_frame_equal(part.tables["local_dependence"], tables["b"], check_dtype=False)


def test_answers_that_made_the_scale_win_over_others(material, tmp_path):
    for name in ("scale.json", "answers.csv"):
        shutil.copy(material / name, tmp_path)
    table = pd.read_csv(material / "answers.csv", index_col=0)
    table.iloc[:100].to_csv(tmp_path / "a-hundred.csv")
    (part,) = parts(tmp_path)
    assert part.answers.n_persons == len(table)


def test_two_files_of_other_answers_are_refused_by_name(material, tmp_path):
    shutil.copy(material / "scale.json", tmp_path)
    table = pd.read_csv(material / "answers.csv", index_col=0)
    table.iloc[:100].to_csv(tmp_path / "first.csv")
    table.iloc[:90].to_csv(tmp_path / "second.csv")
    with pytest.raises(ResponseError, match=r"'first\.csv', 'second\.csv'.*--answers"):
        parts(tmp_path)
    (part,) = parts(tmp_path, answers=str(tmp_path / "second.csv"))
    assert part.answers.n_persons == 90


def test_each_scale_is_a_part_with_what_is_named_like_it(material, crowd, tmp_path):
    shutil.copy(material / "scale.json", tmp_path / "quiz.scale.json")
    shutil.copy(material / "log.csv", tmp_path / "some.log.csv")
    shutil.copy(crowd[0] / "travel.json", tmp_path / "travel.scale.json")
    columns = {"person": ["m"], "theta": [0.1], "standard_error": [0.3], "percentile": [54.0]}
    pd.DataFrame(columns).to_csv(tmp_path / "travel.scores.csv", index=False)
    quiz, travel = parts(tmp_path)
    assert quiz.log is not None
    assert travel.log is None
    assert quiz.standings is None
    assert list(travel.standings.index) == ["m"]


def test_a_calibration_is_a_part_where_there_is_no_scale(answers, tmp_path):
    irt.write_calibration(irt.calibrate(answers, irt.TwoPL()), tmp_path / "items.json")
    (part,) = parts(tmp_path)
    assert part.name == "items"
    assert part.scale is None


def test_a_calibration_beside_a_scale_is_no_part(material, answers, tmp_path):
    shutil.copy(material / "scale.json", tmp_path)
    irt.write_calibration(irt.calibrate(answers, irt.TwoPL()), tmp_path / "items.json")
    assert [part.scale is None for part in parts(tmp_path)] == [False]


def test_a_damaged_scale_is_refused_and_other_broken_files_are_told_of(material, tmp_path):
    shutil.copy(material / "scale.json", tmp_path)
    (tmp_path / "broken.csv").write_bytes(b"a,b\n1,2,3\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    found = findings(tmp_path)
    sources, notes = sources_of(found)
    assert [source.name for source in sources] == ["scale.json"]
    assert sources[0].sha256 == hashlib.sha256((tmp_path / "scale.json").read_bytes()).hexdigest()
    assert any(note.startswith("broken.csv was not read: ") for note in notes)
    assert any(note.startswith("1 other file") for note in notes)
    text = (material / "scale.json").read_text("utf-8")
    (tmp_path / "second.json").write_text(text[: len(text) // 2], "utf-8")
    with pytest.raises(ScaleError, match=r"second\.json"):
        findings(tmp_path)


def test_folders_without_a_scale_with_too_many_or_with_none_are_refused(material, tmp_path):
    with pytest.raises(FileError, match="does not exist"):
        findings(tmp_path / "nowhere")
    with pytest.raises(ScaleError, match="neither a scale nor a calibration"):
        findings(tmp_path)
    for number in range(13):
        shutil.copy(material / "scale.json", tmp_path / f"{number}.json")
    with pytest.raises(ScaleError, match="13 scales"):
        parts(tmp_path)
    for number in range(300):
        (tmp_path / f"{number}.txt").write_text("")
    with pytest.raises(FileError, match="at most 300"):
        findings(tmp_path)


def test_scales_of_one_name_are_told_apart(material, tmp_path):
    for name in ("a.json", "b.json"):
        shutil.copy(material / "scale.json", tmp_path / name)
    assert [part.name.split("(")[-1] for part in parts(tmp_path)] == ["a.json)", "b.json)"]


def test_texts_are_found_under_their_usual_names():
    rows = {
        "item_id": ["a", "b", None],
        "question": ["Why?", None, "x"],
        "choices": ["1\n2", "", ""],
    }
    assert texts_of(pd.DataFrame(rows, dtype=object)) == {"a": "Why?\n1\n2"}
    rows = {"pairID": ["a"], "sentence1": ["One."], "sentence2": ["Two."]}
    assert texts_of(pd.DataFrame(rows)) == {"a": "One.\nTwo."}


def test_tables_come_back_as_they_were_written(tmp_path):
    made = pd.DataFrame(
        {"item": ["-1", "=x", "007"], "value": [0.5, -1.25, None], "good": [True, False, True]}
    )
    irt.write_table(made.set_index("item"), tmp_path / "a.csv")
    back = typed(irt.io.read_table(tmp_path / "a.csv"))
    pd.testing.assert_frame_equal(back, made, check_dtype=False)


def test_command_writes_a_page_and_says_what_is_not_there(material, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    path = tmp_path / "a.html"
    assert command("report", material / "scale.json", "--title", "A <b>", "-o", path) == 0
    assert f"page written to {path}" in capsys.readouterr().out
    assert Outline(path.read_text("utf-8")).texts["h1"] == ["A <b>"]
    assert command("report", material / "scale.json", "-o", path) == 4
    assert "--overwrite" in capsys.readouterr().err
    given = ["--answers", material / "answers.csv", "--texts", material / "texts.jsonl"]
    given += ["--models", material / "models.csv", "--overwrite", "--json"]
    assert command("report", material / "scale.json", *given, "-o", path) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["bytes"] == path.stat().st_size
    found = Outline(path.read_text("utf-8"))
    assert found.values("svg", "data-seen")
    assert "2 models, the ablest first. Select a title to sort." in found.texts["caption"]
    digest = hashlib.sha256((material / "answers.csv").read_bytes()).hexdigest()
    assert digest in found.texts["td"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nowhere"], 4, "does not exist"),
        (["empty"], 2, "neither a scale nor a calibration"),
        (["scale.json", "--answers", "nowhere.csv"], 4, "nowhere.csv"),
        (["scale.json", "--texts", "nowhere.csv"], 4, "nowhere.csv"),
        (["scale.json", "--models", "nowhere.csv"], 4, "nowhere.csv"),
        (["scale.json", "--texts", "answers.csv"], 2, "needs the columns item and text"),
        (["scale.json", "--answers", "models.csv"], 2, "2 persons named more than once"),
        (["scale.json", "--answers", "other.csv"], 2, "None of the 2 items answered is on"),
        (["answers.csv"], 2, "neither a scale nor a calibration"),
        (["two", "--models", "models.csv"], 2, "one scale only"),
    ],
)
def test_command_refuses_what_it_cannot_use(
    words, code, message, material, tmp_path, monkeypatch, capsys
):
    for path in material.iterdir():
        shutil.copy(path, tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "two").mkdir()
    for name in ("a.json", "b.json"):
        shutil.copy(material / "scale.json", tmp_path / "two" / name)
    (tmp_path / "other.csv").write_text("person,a,b\np1,0,1\np2,1,0\np3,1,1\n")
    monkeypatch.chdir(tmp_path)
    assert command("report", *words, "-o", "page.html") == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_without_matplotlib_the_page_says_the_command(material, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    path = tmp_path / "a.html"
    irt.write_report(material / "scale.json", path)
    found = Outline(path.read_text("utf-8"))
    assert not found.values("img", "src")
    words = " ".join(found.texts["li"])
    assert "not drawn. Pictures need matplotlib: pip install" in words


def test_answers_of_other_persons_are_said_to_be_others(material, tmp_path):
    shutil.copy(material / "scale.json", tmp_path)
    shutil.copy(material / "answers.csv", tmp_path)
    (part,) = parts(tmp_path)
    assert not any("hash differs" in note for note in completed(part).notes)
    table = pd.read_csv(material / "answers.csv", index_col=0)
    table.iloc[:200].to_csv(tmp_path / "answers.csv")
    (part,) = parts(tmp_path)
    assert any("hash differs" in note for note in completed(part).notes)


def test_what_takes_minutes_is_left_out_and_said(material, tmp_path, monkeypatch):
    for name in ("scale.json", "answers.csv"):
        shutil.copy(material / name, tmp_path)
    (part,) = parts(tmp_path)
    monkeypatch.setattr("irtkit.report.completion.MOST_ANSWERS", 100)
    made = completed(part)
    assert not made.tables
    assert sum("not computed" in note for note in made.notes) == 6
    assert person_scores(made) is None
