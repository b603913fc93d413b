"""A reader a format: logs of our own making give the answers that were put into them."""

import gzip
import json

import pytest

from irtkit.bridge.logs import LogOptions, found_format, read_item_texts, read_logs
from irtkit.bridge.predictions import read_predictions
from irtkit.errors import PredictionError
from tests.bridge import logs_made as made

STORY = [list(row) for row in made.RIGHT.values()]


def inspect_json(folder, model):
    return made.document(folder / f"{model}.json", made.inspect_log(model))


def inspect_zip(folder, model):
    return made.zipped(folder / f"{model}.eval", made.inspect_members(model))


def inspect_zstandard(folder, model):
    return made.zstandard(folder / f"{model}.eval", made.inspect_members(model))


def inspect_unfinished(folder, model):
    """A zip whose run was killed: a journal, neither header nor summaries."""
    members = made.inspect_members(model)
    header, summaries = members.pop("header.json"), json.loads(members.pop("summaries.json"))
    start = {k: v for k, v in json.loads(header).items() if k in ("version", "eval")}
    members["_journal/start.json"] = json.dumps(start).encode()
    for number in (2, 1):
        part = summaries[2 * number - 2 : 2 * number]
        members[f"_journal/summaries/{number}.json"] = json.dumps(part).encode()
    return made.zipped(folder / f"{model}.eval", members)


def inspect_samples_only(folder, model):
    members = made.inspect_members(model)
    del members["summaries.json"]
    return made.zipped(folder / f"{model}.eval", members)


def lm_eval_gzip(folder, model):
    plain = made.lm_eval(folder, model)
    packed = plain.with_name(f"{plain.name}.gz")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    return packed


def helm_statistics(folder, model):
    return made.helm(folder, model) / "per_instance_stats.json"


def lighteval_renamed(folder, model):
    return made.lighteval(folder, model, names=("doc", "metric"))


SHORT = tuple(made.doc_hash(item)[:16] for item in made.QUESTIONS)
WRITERS = {
    "lm_eval": (made.lm_eval, "lm_eval", "quiz", SHORT, "org__{}"),
    "lm_eval_gzip": (lm_eval_gzip, "lm_eval", "quiz", SHORT, "org__{}"),
    "inspect_json": (inspect_json, "inspect", "suite/quiz", made.QUESTIONS, "org/{}"),
    "inspect_zip": (inspect_zip, "inspect", "suite/quiz", made.QUESTIONS, "org/{}"),
    "inspect_zstandard": (inspect_zstandard, "inspect", "suite/quiz", made.QUESTIONS, "org/{}"),
    "inspect_unfinished": (inspect_unfinished, "inspect", "suite/quiz", made.QUESTIONS, "org/{}"),
    "inspect_samples": (inspect_samples_only, "inspect", "suite/quiz", made.QUESTIONS, "org/{}"),
    "helm": (made.helm, "helm", "quiz:subject=all", made.QUESTIONS, "org/{}"),
    "helm_file": (helm_statistics, "helm", "quiz:subject=all", made.QUESTIONS, "org/{}"),
    "lighteval": (made.lighteval, "lighteval", "quiz|0", made.QUESTIONS, "org/{}"),
    "lighteval_renamed": (lighteval_renamed, "lighteval", "quiz|0", made.QUESTIONS, "org/{}"),
    "every_eval_ever": (
        *(made.every_eval_ever, "every_eval_ever", "quiz"),
        *(made.QUESTIONS, "org/{}"),
    ),
    "openai_evals": (made.openai_evals, "openai_evals", "quiz.v0", made.QUESTIONS, "org/{}"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_tells_the_same_story(name, tmp_path):
    write, kind, task, items, model = WRITERS[name]
    paths = [write(tmp_path, who) for who in made.RIGHT]
    assert [found_format(path) for path in paths] == [kind] * 2
    read = read_logs(paths)
    assert read.dense().tolist() == STORY
    assert read.persons == tuple(model.format(who) for who in made.RIGHT)
    assert read.items == tuple(f"{task}/{item}" for item in items)
    assert read.categories == ("0", "1")
    assert ": 2 models, 4 items of 1 task." in read.notes[0]


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_is_read_like_its_files(name, tmp_path):
    write, *_ = WRITERS[name]
    paths = [
        write(tmp_path / "all", who)
        for who in made.RIGHT
        if not (tmp_path / "all").mkdir(exist_ok=True)
    ]
    (tmp_path / "all" / "notes.txt").write_text("nothing")
    made.document(tmp_path / "all" / "results.json", {"results": {}})
    files, folder = read_logs(paths), read_logs(tmp_path / "all")
    assert folder.items == files.items
    assert folder.dense().tolist() == STORY
    assert folder.notes == files.notes


@pytest.mark.parametrize("name", WRITERS)
def test_the_one_door_reads_every_format(name, tmp_path):
    write, *_ = WRITERS[name]
    assert read_predictions(write(tmp_path, "a")).dense().tolist() == STORY[:1]


@pytest.mark.parametrize("name", WRITERS)
def test_texts_are_named_like_the_answers(name, tmp_path):
    write, *_ = WRITERS[name]
    path = write(tmp_path, "a")
    texts = read_item_texts(path)
    assert tuple(texts["item"]) == read_logs(path).items
    assert texts["text"].tolist() == list(made.QUESTIONS.values())
    if "choices" in texts:
        assert texts["choices"].tolist() == ["yes\nno"] * 4


def test_py_irt_holds_many_models_and_no_tasks(tmp_path):
    path = made.py_irt(tmp_path / "all.jsonlines")
    assert found_format(path) == "py_irt"
    read = read_predictions(path)
    assert (read.items, read.dense().tolist()) == (tuple(made.QUESTIONS), STORY)
    with pytest.raises(PredictionError, match="no texts"):
        read_item_texts(path)


# lm-evaluation-harness


def test_results_beside_the_samples_name_the_model(tmp_path):
    path = made.lm_eval(tmp_path, "a")
    made.document(path.with_name(f"results_{made.DATE}.json"), {"model_name": "org/a"})
    assert read_logs(path).persons == ("org/a",)
    path.with_name(f"results_{made.DATE}.json").write_text("{")
    assert read_logs(path).persons == ("org__a",)
    bare = path.rename(tmp_path / "samples_quiz.jsonl")
    assert read_logs(bare).persons == ("samples_quiz",)


def two_filters(folder):
    rows = [
        made.lm_eval_line(n, item, exact_match=grade, acc_norm=1 - grade) | {"filter": name}
        for name, grades in (("strict", (1, 0, 0, 1)), ("flexible", (1, 1, 0, 1)))
        for n, (item, grade) in enumerate(zip(made.QUESTIONS, grades, strict=True))
    ]
    return made.lines(folder / "samples_quiz.jsonl", rows)


def test_one_filter_and_one_metric_count_and_the_notes_say_which(tmp_path):
    path = two_filters(tmp_path)
    read = read_logs(path)
    assert read.dense().tolist() == [[1, 0, 0, 1]]
    assert "Of 'quiz' the score 'exact_match' counts, not 'acc_norm' (--metric)." in read.notes
    assert "Of 'quiz' the filter 'strict' counts, not 'flexible' (--filter)." in read.notes
    flexible = read_logs(path, options=LogOptions(filter="flexible"))
    assert flexible.dense().tolist() == [[1, 1, 0, 1]]
    norm = read_logs(path, options=LogOptions(metric="acc_norm"))
    assert norm.dense().tolist() == [[0, 1, 1, 0]]
    with pytest.raises(PredictionError, match=r"no line of the filter 'none'.*'strict', 'flex"):
        read_logs(path, options=LogOptions(filter="none"))
    with pytest.raises(PredictionError, match=r"no score 'acc_nrm'.*Did you mean 'acc_norm'"):
        read_logs(path, options=LogOptions(metric="acc_nrm"))


def test_old_multiple_choice_is_read_by_its_metric_or_by_the_likeliest_option(tmp_path):
    rows = [
        made.choice_line(0, "q1", (-3.0, -1.0, -2.0), "1", acc=1.0),
        made.choice_line(1, "q2", (-1.0, -1.0, -2.0), "1", acc=1.0),  # a tie: the first counts
        made.choice_line(2, "q3", (-3.0, -1.5, -1.0), "option 2", acc=0.0),
    ]
    path = made.lines(tmp_path / "samples_quiz.jsonl", rows)
    assert read_logs(path).dense().tolist() == [[1, 1, 0]]
    likeliest = LogOptions(metric="argmax")
    assert read_logs(path, options=likeliest).dense().tolist() == [[1, 0, 1]]
    assert read_item_texts(path)["choices"][0] == "option 0\noption 1\noption 2"
    for row in rows:  # nothing was graded when predictions alone were asked for
        row["bypass"] = row.pop("acc") * 0 + 999
    assert read_logs(made.lines(path, rows)).dense().tolist() == [[1, 0, 1]]
    named = [row | {"metrics": ["bypass"], "filter": "none"} for row in rows]
    assert read_logs(made.lines(path, named)).dense().tolist() == [[1, 0, 1]]
    bare = [made.lm_eval_line(0, "q1", bypass=999)]
    with pytest.raises(PredictionError, match="has no score of single items"):
        read_logs(made.lines(path, bare))


def test_shuffling_a_split_does_not_move_the_items(tmp_path):
    first = made.lm_eval(tmp_path, "a")
    order = [2, 0, 3, 1]
    names = list(made.QUESTIONS)
    rows = [
        made.lm_eval_line(n, names[place], acc=made.RIGHT["b"][place])
        for n, place in enumerate(order)
    ]
    second = made.lines(tmp_path / "org__b" / first.name, rows)
    assert read_logs([first, second]).dense().tolist() == STORY
    running = read_logs([first, second], options=LogOptions(identity="id"))
    assert running.items == ("quiz/0", "quiz/1", "quiz/2", "quiz/3")
    assert any(
        "3 items with different texts" in note or "4 items" in note for note in running.notes
    )


def test_a_document_that_stands_twice_in_a_task_counts_once(tmp_path):
    rows = [made.lm_eval_line(0, "q1", acc=1), made.lm_eval_line(1, "q1", acc=0)]
    read = read_logs(made.lines(tmp_path / "samples_quiz.jsonl", rows))
    assert read.dense().tolist() == [[1]]
    assert "1 document repeating another of its task left out." in read.notes


def test_texts_of_pairs_and_of_prompts(tmp_path):
    rows = [made.lm_eval_line(n, item, acc=1) for n, item in enumerate(made.QUESTIONS)]
    rows[0]["doc"] = {"premise": "It rains.", "hypothesis": "It is wet."}
    rows[1]["doc"] = {"idx": 3}
    rows[2] |= {"doc": None, "arguments": [["An old prompt", " x"]]}
    texts = read_item_texts(made.lines(tmp_path / "samples_quiz.jsonl", rows))
    assert texts["text"].tolist() == ["It rains.", "Q: q2\nA:", "An old prompt", "Why?"]
    assert texts["text_pair"].tolist() == ["It is wet.", "", "", ""]


# Inspect


def inspect_of(folder, samples, **fields):
    return made.document(folder / "log.json", made.inspect_log("a", samples, **fields))


def test_grades_of_inspect_and_what_is_not_scored(tmp_path):
    values = ["C", "I", "N", float("nan"), 1, True, 0.0, "1.0", None]
    samples = [made.inspect_sample(f"s{n}", value) for n, value in enumerate(values)]
    samples.append(made.inspect_sample("error", "C", error={"message": "boom"}))
    samples.append(made.inspect_sample("limit", "C", limit="token"))
    samples.append(made.inspect_sample("empty", "C") | {"scores": None})
    path = inspect_of(tmp_path, samples)
    read = read_logs(path)
    assert read.dense().tolist() == [[1, 0, -1, -1, 1, 1, 0, 1, -1, -1, -1, -1]]
    assert "6 answers without a score counted as missing." in read.notes
    assert "1 sample ended in an error." in read.notes
    assert "1 sample stopped at a limit, so not scored." in read.notes
    strict = read_logs(path, options=LogOptions(unscored="wrong"))
    assert strict.dense().tolist() == [[1, 0, 0, 0, 1, 1, 0, 1, 0, 0, 1, 0]]


def test_half_credit_needs_a_rule(tmp_path):
    path = inspect_of(tmp_path, [made.inspect_sample(f"s{v}", v) for v in "CPI"])
    with pytest.raises(PredictionError, match=r"1 of 3 scores are strictly between.*--threshold"):
        read_logs(path)
    assert read_logs(path, options=LogOptions(threshold=0.5)).dense().tolist() == [[1, 1, 0]]
    assert read_logs(path, options=LogOptions(threshold=0.6)).dense().tolist() == [[1, 0, 0]]
    graded = read_logs(path, options=LogOptions(levels=3))
    assert graded.dense().tolist() == [[2, 1, 0]]
    assert graded.categories == ("0", "1", "2")


def test_epochs_are_trials(tmp_path):
    trials = {"s1": "ICC", "s2": "CIN", "s3": "NNN"}
    samples = [
        made.inspect_sample(item, value, epoch)
        for item, values in trials.items()
        for epoch, value in reversed(list(enumerate(values, start=1)))
    ]
    path = inspect_of(tmp_path, samples)
    assert read_logs(path).dense().tolist() == [[0, 1, -1]]
    mean = LogOptions(epochs="mean", threshold=0.5)
    assert read_logs(path, options=mean).dense().tolist() == [[1, 1, -1]]
    mean = LogOptions(epochs="mean", levels=4)
    assert read_logs(path, options=mean).dense().tolist() == [[2, 1, -1]]
    each = read_logs(path, options=LogOptions(epochs="each"))
    assert each.persons == ("org/a (trial 1)", "org/a (trial 2)", "org/a (trial 3)")
    assert each.dense().tolist() == [[0, 1, -1], [1, 0, -1], [1, -1, -1]]


def test_one_of_several_scorers_counts(tmp_path):
    several = {"match": {"value": "C"}, "judge": {"value": {"fluency": 1, "truth": 0}}}
    path = inspect_of(tmp_path, [made.inspect_sample("s1", "C") | {"scores": several}])
    read = read_logs(path)
    assert read.dense().tolist() == [[1]]
    assert any("not 'judge.fluency', 'judge.truth' (--metric)" in note for note in read.notes)
    assert read_logs(path, options=LogOptions(metric="judge.truth")).dense().tolist() == [[0]]
    with pytest.raises(PredictionError, match=r"has 'match', 'judge.fluency', 'judge.truth'"):
        read_logs(path, options=LogOptions(metric="judge"))


@pytest.mark.parametrize("value", ["B", "right", [1, 0], "inf", float("inf")])
def test_a_value_that_is_no_grade_is_refused(tmp_path, value):
    samples = [made.inspect_sample("s1", 1), made.inspect_sample("s2", value)]
    with pytest.raises(PredictionError, match=r"log\.json: sample 's2': choice holds .*--metric"):
        read_logs(inspect_of(tmp_path, samples))


def test_a_log_without_samples_is_refused_by_name_and_passed_over_in_a_folder(tmp_path):
    full = made.document(tmp_path / "full.json", made.inspect_log("a"))
    bare = made.document(tmp_path / "bare.json", made.inspect_log("b", []))
    with pytest.raises(PredictionError, match=r"bare\.json holds no samples"):
        read_logs([full, bare])
    read = read_logs(tmp_path)
    assert read.persons == ("org/a",)
    assert "1 log without samples passed over." in read.notes


def test_a_log_that_failed_is_told(tmp_path):
    path = inspect_of(tmp_path, [made.inspect_sample("s1", "C")], status="error")
    assert any("1 log of status 'error' read" in note for note in read_logs(path).notes)


def test_messages_and_attachments_are_texts(tmp_path):
    chat = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": [{"type": "text", "text": "How many legs?"}]},
    ]
    stored = {"input": "attachment://abc", "attachments": {"abc": "Which colour?"}}
    samples = [
        made.inspect_sample("s1", "C", input=chat),
        made.inspect_sample("s2", "C", **stored),
    ]
    assert read_item_texts(inspect_of(tmp_path, samples))["text"].tolist() == [
        "How many legs?",
        "Which colour?",
    ]


def test_ids_that_name_other_questions_elsewhere_are_told(tmp_path):
    first = made.document(tmp_path / "a.json", made.inspect_log("a"))
    moved = [made.inspect_sample(f"q{n}", "C", input=f"other {n}") for n in (1, 2)]
    second = made.document(tmp_path / "b.json", made.inspect_log("b", moved))
    notes = read_logs([first, second]).notes
    assert any(
        "2 items with different texts in different logs: 'suite/quiz/q1'" in n for n in notes
    )
    assert not any("different texts" in note for note in read_logs(first).notes)


# HELM


def test_perturbed_instances_are_left_out_and_a_split_can_be_chosen(tmp_path):
    rows = [
        {"instance_id": "i1", "train_trial_index": 0, "stats": [made.helm_stat("exact_match", 1)]},
        {
            "instance_id": "i1",
            "perturbation": {"name": "typos"},
            "train_trial_index": 0,
            "stats": [made.helm_stat("exact_match", 0, perturbation={"name": "typos"})],
        },
        {
            "instance_id": "i2",
            "train_trial_index": 0,
            "stats": [made.helm_stat("exact_match", 0, split="valid")],
        },
    ]
    run = made.helm(tmp_path, "a", rows)
    read = read_logs(run)
    assert read.dense().tolist() == [[1, 0]]
    assert "1 answer to perturbed instances left out." in read.notes
    assert read_logs(run, options=LogOptions(filter="test")).items == ("quiz:subject=all/i1",)
    with pytest.raises(
        PredictionError, match=r"no instance of the split 'train'.*'test', 'valid'"
    ):
        read_logs(run, options=LogOptions(filter="train"))


def test_a_statistic_of_helm_is_chosen_and_never_guessed(tmp_path):
    rows = [
        {"instance_id": "i1", "stats": [made.helm_stat("f1", 0.8), made.helm_stat("rouge", 0.1)]}
    ]
    run = made.helm(tmp_path, "a", rows)
    with pytest.raises(PredictionError, match=r"has the scores 'f1', 'rouge'. Say which counts"):
        read_logs(run)
    chosen = LogOptions(metric="f1", threshold=0.5)
    assert read_logs(run, options=chosen).dense().tolist() == [[1]]


def test_training_trials_are_trials(tmp_path):
    rows = [
        {"instance_id": "i1", "train_trial_index": n, "stats": [made.helm_stat("exact_match", n)]}
        for n in (1, 0)
    ]
    run = made.helm(tmp_path, "a", rows)
    assert read_logs(run).dense().tolist() == [[0]]
    mean = LogOptions(epochs="mean", threshold=0.5)
    assert read_logs(run, options=mean).dense().tolist() == [[1]]


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("quiz:model=org_a", "quiz"),
        ("quiz:model=org_a,subject=all", "quiz:subject=all"),
        ("quiz", "quiz"),
        ("quiz:a=1,model_deployment=x,b=2", "quiz:a=1,b=2"),
    ],
)
def test_the_task_of_a_run_does_not_name_its_model(tmp_path, name, task):
    assert read_logs(made.helm(tmp_path, "a", name=name)).items[0] == f"{task}/q1"


# The others


def test_several_results_of_a_sample_are_filters(tmp_path):
    rows = [
        made.every_eval_line("a", item, grade, evaluation_result_id=result)
        for result, grade in (("r1", 1), ("r2", 0))
        for item in made.QUESTIONS
    ]
    path = made.lines(tmp_path / "x_samples.jsonl", rows)
    assert read_logs(path).dense().tolist() == [[1, 1, 1, 1]]
    assert read_logs(path, options=LogOptions(filter="r2")).dense().tolist() == [[0, 0, 0, 0]]


def test_score_and_errors_and_hashes_of_every_eval_ever(tmp_path):
    rows = [made.every_eval_line("a", "q1", 0.5), made.every_eval_line("a", "q2", 1, error="x")]
    path = made.lines(tmp_path / "x_samples.jsonl", rows)
    assert read_logs(path).dense().tolist() == [[0, -1]]
    score = LogOptions(metric="score", threshold=0.5, identity="hash")
    read = read_logs(path, options=score)
    assert read.dense().tolist() == [[1, -1]]
    assert read.items[0] == f"quiz/{made.doc_hash('q1')}"


def test_metrics_and_repeated_matches_of_openai_evals(tmp_path):
    rows = [{"spec": {"completion_fns": ["a"], "eval_name": "quiz.v0"}}]
    rows += [made.openai_event(n, "q1", "match", correct=n == 1) for n in range(3)]
    rows += [made.openai_event(4, "q2", "metrics", score=0.5, choice="B")]
    path = made.lines(tmp_path / "run.jsonl", rows)
    assert read_logs(path).dense().tolist() == [[0]]
    score = LogOptions(metric="score", threshold=0.5)
    rows = [rows[0], rows[-1]]
    assert read_logs(made.lines(path, rows), options=score).dense().tolist() == [[1]]
    with pytest.raises(PredictionError, match="no event that grades"):
        read_logs(made.lines(path, rows[:1]))


def test_metrics_of_lighteval(tmp_path):
    metrics = [{"judge": 0.2, "rouge": 0.5}] * 4
    path = made.lighteval(tmp_path, "a", metrics=metrics)
    with pytest.raises(PredictionError, match="has the scores 'judge', 'rouge'"):
        read_logs(path)
    options = LogOptions(metric="judge", threshold=0.1, identity="hash")
    read = read_logs(path, options=options)
    assert read.dense().tolist() == [[1, 1, 1, 1]]
    assert len(read.items[0].removeprefix("quiz|0/")) == 16
