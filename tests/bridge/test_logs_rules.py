"""How several scores become one answer, and a score a category; how logs join in one table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irtkit.bridge.logs import LogOptions, read_logs
from irtkit.bridge.logs.answers import Answer
from irtkit.bridge.logs.gathering import Gathering, graded, merged
from irtkit.errors import PredictionError
from irtkit.responses import Responses
from tests.bridge import logs_made as made

RULES = ("first", "last", "mean")
RUNS = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.sampled_from("xyz"),
        st.integers(1, 2),
        st.integers(0, 2),
        st.sampled_from((0.0, 0.25, 0.5, 1.0, np.nan)),
    ),
    min_size=1,
    unique_by=lambda run: run[:4],
)


def obvious(scores, rule):
    """One score of several, by the obvious code."""
    there = [score for score in scores if not np.isnan(score)]
    if rule == "mean":
        return sum(there) / len(there) if there else np.nan
    return scores[0 if rule == "first" else -1]


@given(runs=RUNS, duplicates=st.sampled_from(RULES), epochs=st.sampled_from(("first", "mean")))
def test_joined_scores_are_those_of_the_obvious_loop(runs, duplicates, epochs):
    options = LogOptions(duplicates=duplicates, epochs=epochs, threshold=0.5)
    gathering = Gathering(options)
    for file in range(3):
        of_file = [run for run in runs if run[3] == file]
        gathering.add(str(file), (Answer(m, "", i, s, t) for m, i, t, _, s in of_file))
    read = gathering.responses()
    for row, model in enumerate(read.persons):
        for place, item in enumerate(read.items):
            cell = [
                run for run in sorted(runs, key=lambda run: run[3]) if run[:2] == (model, item)
            ]
            trials = [
                obvious([run[4] for run in cell if run[2] == trial], duplicates)
                for trial in sorted({run[2] for run in cell})
            ]
            score = obvious(trials, epochs) if trials else np.nan
            expected = -1 if np.isnan(score) else int(score >= 0.5 - 1e-9)
            assert read.dense()[row, place] == expected


@pytest.mark.parametrize("levels", [2, 3, 4, 101])
def test_levels_are_the_nearest_of_equally_spaced_scores(levels):
    scores = np.linspace(0, 1, 1013)
    codes = graded(scores, LogOptions(levels=levels))
    assert np.abs(codes / (levels - 1) - scores).max() <= 0.5 / (levels - 1) + 1e-12
    assert (np.diff(codes) >= 0).all()
    grid = np.arange(levels) / (levels - 1)
    assert graded(grid, LogOptions(levels=levels)).tolist() == list(range(levels))


def test_levels_of_three_are_cut_where_the_docs_say():
    scores = np.array([0.25, 0.2501, 0.75, 0.7501])
    assert graded(scores, LogOptions(levels=3)).tolist() == [0, 1, 1, 2]


def test_a_mean_of_three_thirds_is_whole():
    thirds = np.array([sum([1 / 3] * 3), 0.1 + 0.2 + 0.7])
    assert graded(thirds, LogOptions()).tolist() == [1, 1]
    assert graded(thirds, LogOptions(threshold=1.0)).tolist() == [1, 1]


def test_scores_beyond_one_need_a_threshold(tmp_path):
    samples = [made.inspect_sample(f"s{n}", n) for n in range(8)]
    path = made.document(tmp_path / "log.json", made.inspect_log("a", samples))
    with pytest.raises(PredictionError, match=r"6 of 8 scores are not from 0 to 1, first 2 of"):
        read_logs(path)
    with pytest.raises(PredictionError, match=r"not from 0 to 1"):
        read_logs(path, options=LogOptions(levels=3))
    assert read_logs(path, options=LogOptions(threshold=5)).dense().sum() == 3


def test_items_of_one_model_in_two_files_join(tmp_path):
    paths = [made.lm_eval(tmp_path, who, task=f"quiz{n}") for who in "ab" for n in (1, 2)]
    read = read_logs(paths)
    assert read.persons == ("org__a", "org__b")
    assert read.n_items == 8
    assert (read.dense() >= 0).all()
    assert read_logs(paths, options=LogOptions(task="*2")).n_items == 4
    with pytest.raises(PredictionError, match="No task is named like 'other'"):
        read_logs(paths, options=LogOptions(task="other"))


def test_items_of_several_tasks_under_plain_names_may_clash(tmp_path):
    paths = [made.lm_eval(tmp_path, "a", task=f"quiz{n}") for n in (1, 2)]
    plain = LogOptions(item_names="plain")
    assert read_logs(paths[:1], options=plain).items[0] == made.doc_hash("q1")[:16]
    with pytest.raises(PredictionError, match=r"4 answers to an item that the same model answers"):
        read_logs(paths, options=plain)


def test_an_item_answered_twice_is_refused_or_joined_by_a_rule(tmp_path):
    first = made.document(tmp_path / "1.json", made.inspect_log("a"))
    moved = dict(zip("IC", "CI", strict=True))
    samples = [s | {} for s in made.inspect_log("a")["samples"]]
    for sample in samples:
        sample["scores"] = {"choice": {"value": moved[sample["scores"]["choice"]["value"]]}}
    second = made.document(tmp_path / "2.json", made.inspect_log("a", samples))
    with pytest.raises(
        PredictionError, match=r"4 answers .* 'suite/quiz/q1', in .*1.json.*2.json"
    ):
        read_logs([first, second])
    one = list(made.RIGHT["a"])
    assert read_logs(tmp_path, options=LogOptions(duplicates="first")).dense().tolist() == [one]
    other = [1 - grade for grade in one]
    assert read_logs(tmp_path, options=LogOptions(duplicates="last")).dense().tolist() == [other]
    mean = LogOptions(duplicates="mean", levels=3)
    assert read_logs(tmp_path, options=mean).dense().tolist() == [[1, 1, 1, 1]]


def test_trials_in_another_file_are_no_trials_of_this_run(tmp_path):
    for epoch in (1, 2):
        samples = [made.inspect_sample("s1", "C", epoch)]
        made.document(tmp_path / f"{epoch}.json", made.inspect_log("a", samples))
    with pytest.raises(PredictionError, match=r"1 answer to an item that the same model"):
        read_logs(tmp_path)


def test_an_item_twice_in_one_file_is_refused(tmp_path):
    rows = [made.every_eval_line("a", "q1", grade) for grade in (0, 1)]
    path = made.lines(tmp_path / "x_samples.jsonl", rows)
    with pytest.raises(PredictionError, match=r"1 answer to an item .* --duplicates first, last"):
        read_logs(path)
    assert read_logs(path, options=LogOptions(duplicates="last")).dense().tolist() == [[1]]


def test_the_order_of_the_logs_moves_rows_and_columns_only(tmp_path):
    paths = [made.lm_eval(tmp_path, who, task=f"quiz{n}") for who in "ab" for n in (1, 2)]
    forth, back = read_logs(paths), read_logs(paths[::-1])
    row = [back.persons.index(name) for name in forth.persons]
    place = [back.items.index(name) for name in forth.items]
    assert (back.dense()[np.ix_(row, place)] == forth.dense()).all()


def test_a_log_named_twice_is_refused(tmp_path):
    path = made.lm_eval(tmp_path, "a")
    with pytest.raises(PredictionError, match="would be read twice"):
        read_logs([path, tmp_path])
    with pytest.raises(PredictionError, match="No logs were named"):
        read_logs([])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": "last"}, "Unknown value 'last' of epochs"),
        ({"threshold": 0.5, "levels": 3}, "not both"),
        ({"threshold": float("nan")}, "not a finite number"),
        ({"levels": 1}, "2 to 101"),
        ({"levels": 102}, "2 to 101"),
        ({"identity": "name"}, "Unknown value 'name' of identity"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(PredictionError, match=message):
        LogOptions(**options)


def table(person, item, answer):
    return Responses.from_triples(person, item, answer)


def test_merged_tables_hold_every_answer_once():
    parts = [table("aab", "xyx", [1, 0, 1]), table("bc", "yz", [0, 1])]
    read = merged(parts)
    assert (read.persons, read.items) == (("a", "b", "c"), ("x", "y", "z"))
    assert read.dense().tolist() == [[1, 0, -1], [1, 0, -1], [-1, -1, 1]]
    with pytest.raises(PredictionError, match="'a' answers 2 items in two files, first 'x'"):
        merged([parts[0], table("aaa", "xyz", [1, 1, 1])])
    with pytest.raises(PredictionError, match="other categories"):
        merged([parts[0], table("ddd", "xyz", [0, 1, 2])])


def test_a_watcher_hears_of_every_log(tmp_path):
    paths = [made.lm_eval(tmp_path, who) for who in "ab"]
    heard = []
    read_logs(paths, progress=lambda done, total: heard.append((done, total)))
    assert heard == [(1, 2), (2, 2)]
