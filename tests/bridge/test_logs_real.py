"""Real logs beside the checkout: each is read as it should be, or refused with a clear sentence.

The logs were written by Inspect, HELM, lm-evaluation-harness and py-irt themselves.
"""

import json

import pytest

from irtkit.bridge.logs import LogOptions, found_format, read_item_texts, read_logs
from irtkit.bridge.predictions import read_predictions
from irtkit.errors import PredictionError

READ = {  # kind, models, items, right answers
    "eval_logs/lm_eval/samples_math_*.jsonl": ("lm_eval", 1, 10, 0),
    "eval_logs/lm_eval/samples_metabench_*.jsonl": ("lm_eval", 1, 154, 34),
    "eval_logs/inspect/data_arc_qwen.json": ("inspect", 1, 3, 1),
    "eval_logs/inspect/data_arc_sonnet.json": ("inspect", 1, 5, 5),
    "eval_logs/inspect/data_pubmedqa_gpt4o_mini.json": ("inspect", 1, 2, 2),
    "eval_logs/helm/commonsense*": ("helm", 1, 10, 3),
    "eval_logs/helm/mmlu*": ("helm", 1, 10, 1),
    "eval_logs/helm/narrative_qa*": ("helm", 1, 5, 0),
    "pyirt/minitest.jsonlines": ("py_irt", 4, 4, 8),
    "pyirt/minitest.amortized.jsonlines": ("py_irt", 8, 1100, None),
}
REFUSED = {
    "eval_logs/inspect/data_with_llm_scoring.json": "holds no samples, only a header",
    "eval_logs/lm_eval/results_*.json": "neither a log of Inspect nor statistics of HELM",
    "eval_logs/*eval.schema.json": "neither a log of Inspect nor statistics of HELM",
}


def only(folder, pattern):
    found = sorted(folder.glob(pattern))
    if not found:
        pytest.skip(f"there is no {pattern}")
    return found[0]


@pytest.mark.parametrize("pattern", READ)
def test_a_real_log_is_read(pattern, shared_data):
    kind, models, items, right = READ[pattern]
    path = only(shared_data, pattern)
    assert found_format(path) == kind
    read = read_predictions(path)
    assert (read.n_persons, read.n_items) == (models, items)
    assert (read.dense() >= 0).all()
    if right is not None:
        assert read.dense().sum() == right


@pytest.mark.parametrize("pattern", REFUSED)
def test_a_real_file_without_answers_is_refused(pattern, shared_data):
    path = only(shared_data, pattern)
    with pytest.raises(PredictionError, match=REFUSED[pattern]):
        read_predictions(path)


def test_the_likeliest_option_is_what_the_harness_graded(shared_data):
    path = only(shared_data, "eval_logs/lm_eval/samples_metabench_*.jsonl")
    graded = read_logs(path).dense()
    likeliest = read_logs(path, options=LogOptions(metric="argmax")).dense()
    assert (graded == likeliest).all()


def test_models_of_inspect_on_one_task_share_items(shared_data):
    folder = shared_data / "eval_logs" / "inspect"
    if not folder.is_dir():
        pytest.skip("there are no logs of Inspect")
    read = read_logs(folder)
    assert read.persons == (
        *("ollama/qwen2.5:0.5b", "anthropic/claude-sonnet-4-0", "openai/azure/gpt-4o-mini"),
    )
    assert read.n_answered().tolist() == [3, 5, 2]
    assert read.n_items == 7
    assert not any("different texts" in note for note in read.notes)
    assert "1 log without samples passed over." in read.notes


def test_all_real_logs_join_in_one_table(shared_data):
    folder = shared_data / "eval_logs"
    if not folder.is_dir():
        pytest.skip("there are no logs")
    read = read_logs(folder)
    assert (read.n_persons, int(read.n_answered().sum())) == (7, 199)
    assert len(read_item_texts(folder)) == read.n_items


def test_graded_scores_of_helm_need_a_rule(shared_data):
    path = only(shared_data, "eval_logs/helm/narrative_qa*")
    scores = [
        stat["mean"]
        for row in json.loads((path / "per_instance_stats.json").read_text("utf-8"))
        for stat in row["stats"]
        if stat["name"]["name"] == "f1_score"
    ]
    with pytest.raises(PredictionError, match="2 of 5 scores are strictly between 0 and 1"):
        read_logs(path, options=LogOptions(metric="f1_score"))
    chosen = LogOptions(metric="f1_score", threshold=0.3)
    expected = [int(score >= 0.3) for score in scores]
    assert read_logs(path, options=chosen).dense().tolist() == [expected]


@pytest.mark.parametrize("name", ["zeroeval_crux_binary.csv", "openllm_clean_response_matrix.csv"])
def test_real_tables_of_models_are_read(name, shared_data):
    read = read_predictions(only(shared_data, f"llm_matrices/{name}"))
    shape = {
        "zeroeval_crux_binary.csv": (51, 800),
        "openllm_clean_response_matrix.csv": (320, 735),
    }
    assert read.codes.shape == shape[name]
