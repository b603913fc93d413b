"""Judges of pairs: examples, judgements, a head that learns, and new items placed by it."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from irtkit.bridge.pairwise import (
    BradleyTerry,
    Comparisons,
    Placement,
    agreement,
    bradley_terry,
    cross_predicted,
    design_pairs,
    difficulty_by_pairs,
    difficulty_by_regression,
    judged,
    pair_set,
    soft_pairs,
    text_of_items,
)
from irtkit.bridge.training.classifiers import CallableClassifier
from irtkit.errors import ModelError, ResponseError, ScaleError

LABELS = ("below", "above")
SIZE = 60


@pytest.fixture(scope="module")
def items():
    """Items whose scores are a sum of two features; texts say nothing but their name."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=(SIZE, 4))
    names = [f"q{n}" for n in range(SIZE)]
    scores = pd.Series(features[:, 0] + features[:, 1], index=names)
    texts = pd.DataFrame({"item": names, "text": [f"text of {name}" for name in names]})
    return scores, texts, pd.DataFrame(features, index=names)


def oracle(scores, gamma=1.0, pull=0.0):
    """A judge who knows the scores."""

    def judge(texts):
        one, two = (
            texts[side].str.removeprefix("text of ").map(scores) for side in ("text", "text_pair")
        )
        above = expit((one - two).to_numpy() / gamma + pull)
        return np.stack([1 - above, above], axis=1)

    return CallableClassifier(judge, LABELS)


def test_examples_hold_both_texts_and_the_soft_target(items):
    _, texts, _ = items
    comparisons = Comparisons.from_frame(
        pd.DataFrame(
            {"item_1": ["q3", "q1"], "item_2": ["q1", "q2"], "probability": [0.2, 0.7]}
        ).assign(weight=[1.0, 3.0])
    )
    made = pair_set(comparisons, texts, name="some")
    assert made.name == "some"
    assert made.label_set == LABELS
    assert made.rows["item"].tolist() == ["q3 | q1", "q1 | q2"]
    assert made.rows["text"].tolist() == ["text of q3", "text of q1"]
    assert made.rows["text_pair"].tolist() == ["text of q1", "text of q2"]
    assert made.rows["label"].tolist() == [0, 1]
    assert made.distributions == pytest.approx(np.array([[0.8, 0.2], [0.3, 0.7]]))
    assert made.rows["weight"].tolist() == [1.0, 3.0]


def test_items_of_two_texts_are_put_on_two_lines(items):
    _, texts, _ = items
    found = text_of_items(["q2", "q0"], texts.assign(text_pair="second"))
    assert found.to_dict() == {"q2": "text of q2\nsecond", "q0": "text of q0\nsecond"}


def test_items_without_a_text_are_refused(items):
    scores, texts, _ = items
    comparisons = soft_pairs(scores, seed=1)
    with pytest.raises(ResponseError, match="2 items without a text: 'q0', 'q1'"):
        pair_set(comparisons, texts.iloc[2:])
    with pytest.raises(ScaleError, match="two texts"):
        pair_set(comparisons, pd.concat([texts, texts]))


def test_judgements_go_to_the_pair_that_was_asked(items):
    scores, texts, _ = items
    names = list(scores.index)
    pairs = design_pairs(SIZE, seed=2)
    made = judged(oracle(scores), names, pairs, texts)
    assert bradley_terry(made).strength == pytest.approx(scores - scores.mean())
    turned = CallableClassifier(
        lambda table: oracle(scores).function(table)[:, ::-1], ("above", "below")
    )
    assert judged(turned, names, pairs, texts).probability == pytest.approx(made.probability)
    with pytest.raises(ModelError, match="not made to compare"):
        judged(CallableClassifier(None, ("no", "yes")), names, pairs, texts)


def test_new_items_are_placed_among_known_ones(items):
    scores, texts, _ = items
    placed = difficulty_by_pairs(
        oracle(scores, gamma=2.0),
        scores.iloc[:40],
        texts,
        new=list(scores.index[40:]),
        placement=Placement(gamma=2.0, n_known=5, seed=1),
    )
    assert placed["difficulty"].to_dict() == pytest.approx(scores.iloc[40:].to_dict())
    assert set(placed["n_comparisons"]) == {10}


def test_a_judge_who_prefers_a_position_places_items_rightly(items):
    """Both orders are asked, so that the pull cancels, but for the curve of the logistic."""
    scores, texts, _ = items
    placed = difficulty_by_pairs(
        oracle(scores, pull=0.5), scores.iloc[:40], texts, new=list(scores.index[40:])
    )
    assert np.abs(placed["difficulty"] - scores.iloc[40:]).max() < 0.15
    names, pairs = list(scores.index), design_pairs(SIZE, design="symmetric", seed=3)
    made = judged(oracle(scores, pull=0.5), names, pairs, texts)
    found = bradley_terry(made, method=BradleyTerry(position="joint"))
    assert found.strength == pytest.approx(scores - scores.mean())


def test_regression_finds_a_linear_rule(items):
    scores, _, features = items
    new = list(scores.index[40:])
    found = difficulty_by_regression(scores.iloc[:40], features, new=new)
    assert np.abs(found["difficulty"] - scores.iloc[40:]).max() < 0.02
    assert list(found.index) == new


def test_known_and_new_items_are_told_apart(items):
    scores, texts, features = items
    for new, message in (
        (["q1"], "1 item both known and new: 'q1'"),
        ([], "0 new items"),
        (["q50", "q50"], "twice among the new"),
        (["z"], "1 item without features: 'z'"),
    ):
        with pytest.raises((ModelError, ResponseError), match=message):
            difficulty_by_regression(scores.iloc[:40], features, new=new)
    with pytest.raises(ResponseError, match="without a text: 'z'"):
        difficulty_by_pairs(oracle(scores), scores, texts, new=["z"])
    with pytest.raises(ModelError, match="New items need known ones"):
        Placement(n_known=0)


def test_each_item_is_predicted_once_from_the_others(items):
    scores, _, features = items
    asked, done = [], []

    def regression(known, new):
        assert not set(known.index) & set(new)
        assert len(known) + len(new) == SIZE
        asked.extend(new)
        return difficulty_by_regression(known, features, new=new)["difficulty"]

    table = cross_predicted(
        scores, {"ridge": regression}, seed=1, progress=lambda n, of: done.append((n, of))
    )
    assert sorted(asked) == sorted(scores.index)
    assert done == [(n, 5) for n in range(1, 6)]
    assert agreement(table, scores, align="none", draws=0).loc["ridge", "pearson"] > 0.99
    with pytest.raises(ModelError, match="two folds"):
        cross_predicted(scores, {}, folds=1, seed=1)
    with pytest.raises(ModelError, match="'bad' did not predict"):
        cross_predicted(scores, {"bad": lambda known, new: known}, seed=1)


@pytest.fixture(scope="module")
def trained(items):
    """Return a small judge trained on pairs of 40 items, with gamma 1."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from irtkit.bridge.pairwise.pair_head import pair_judge
    from irtkit.bridge.training.train import Training, train

    scores, texts, features = items
    judge = pair_judge(texts["text"].tolist(), features.to_numpy(), hidden=16, dropout=0.0)
    examples = pair_set(soft_pairs(scores.iloc[:40], 400, seed=1), texts)
    method = Training(epochs=15, learning_rate=1e-2, loss="pairwise")
    return judge, train(judge, examples, method=method)


@pytest.mark.slow
def test_a_trained_judge_places_items_that_it_has_not_seen(items, trained):
    scores, texts, _ = items
    _, run = trained
    new = list(scores.index[40:])
    placed = difficulty_by_pairs(run.classifier, scores.iloc[:40], texts, new=new)
    assert np.corrcoef(placed["difficulty"], scores[new])[0, 1] > 0.95
    assert run.history["loss"].iloc[-1] < run.history["loss"].iloc[0]


@pytest.mark.slow
def test_a_judge_is_the_same_for_a_seed_and_says_what_it_looks_up(items, trained):
    from irtkit.bridge.pairwise.pair_head import pair_judge

    _, texts, features = items
    judge, run = trained
    rows = pd.DataFrame({"text": texts["text"][:5], "text_pair": texts["text"][5:10].to_numpy()})
    again = pair_judge(texts["text"].tolist(), features.to_numpy(), hidden=16, dropout=0.0)
    assert (again.probabilities(rows) == judge.probabilities(rows)).all()
    assert np.abs(run.classifier.probabilities(rows) - judge.probabilities(rows)).max() > 0.01
    assert judge.identity() == again.identity()
    other = pair_judge(texts["text"].tolist(), -features.to_numpy())
    assert judge.identity() != other.identity()
    with pytest.raises(ModelError, match="1 text without features: 'unknown'"):
        judge.probabilities(rows.assign(text_pair=["unknown", *rows["text_pair"][1:]]))
    with pytest.raises(ModelError, match="shape"):
        pair_judge(["a", "b"], np.ones((3, 2)))
