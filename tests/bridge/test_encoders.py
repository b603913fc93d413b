"""LogME, H-score and neighbours against direct evaluations; ranking of encoders."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from irtkit.bridge.encoders.ranking import CRITERIA, rank_encoders
from irtkit.bridge.encoders.transferability import (
    h_score,
    log_me,
    neighbour_accuracy,
    shrinkage,
    shrunk_h_score,
)
from irtkit.bridge.finetuning.examples import labelled_set
from irtkit.errors import ModelError

OPTIMISED = 1e-7  # nats per example between two optimisers
ALGEBRA = 1e-9
LABELS = ("no", "perhaps", "yes")


def drawn(n=60, d=5, signal=1.0, seed=1):
    """Features whose first two columns tell three classes apart."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    features = rng.normal(size=(n, d)) + rng.normal(size=d)
    features[:, 0] += signal * (labels == 0)
    features[:, 1] += signal * (labels == 1)
    return features, labels


def log_evidence(features, target, alpha, beta):
    """Density of the target as a normal vector with its full covariance matrix."""
    n = len(target)
    covariance = np.eye(n) / beta + features @ features.T / alpha
    _, log_determinant = np.linalg.slogdet(covariance)
    distance = target @ np.linalg.solve(covariance, target)
    return -0.5 * (n * np.log(2 * np.pi) + log_determinant + distance)


@pytest.mark.parametrize(("n", "d"), [(60, 5), (40, 1), (25, 60), (30, 30)])
def test_log_me_is_the_largest_evidence_that_a_search_finds(n, d):
    features, labels = drawn(n, d) if d > 1 else (drawn(n)[0][:, :1], drawn(n)[1])
    targets = np.eye(3)[labels]
    best = []
    for column in targets.T:
        runs = [
            minimize(
                lambda x, y=column: -log_evidence(features, y, *np.exp(x)),
                start,
                method="Nelder-Mead",
                options={"xatol": 1e-8, "fatol": 1e-10, "maxiter": 4000},
            ).fun
            for start in ([0.0, 0.0], [3.0, 1.0], [-3.0, 1.0])
        ]
        best.append(-min(runs) / n)
    found = log_me(features, targets, intercept=False)
    assert found == pytest.approx(np.mean(best), abs=OPTIMISED)


@pytest.mark.parametrize(("n", "d"), [(60, 5), (25, 60)])
def test_the_intercept_is_the_regression_of_contrasts(n, d):
    """A flat prior on the intercept leaves the N - 1 contrasts, which do not hold it."""
    features, labels = drawn(n, d)
    targets = np.eye(3)[labels]
    contrasts = np.linalg.qr(np.column_stack([np.ones(n), np.eye(n)[:, 1:]]))[0][:, 1:].T
    assert np.abs(contrasts.sum(axis=1)).max() < ALGEBRA
    expected = log_me(contrasts @ features, contrasts @ targets, intercept=False)
    assert log_me(features, targets) == pytest.approx(expected, abs=OPTIMISED)


def test_a_shift_of_the_features_matters_only_without_an_intercept():
    features, labels = drawn()
    targets = np.eye(3)[labels]
    features = features - features.mean(axis=0)
    shifted = features + 100.0
    assert log_me(shifted, targets) == pytest.approx(log_me(features, targets), abs=OPTIMISED)
    published = [log_me(part, targets, intercept=False) for part in (features, shifted)]
    assert published[1] > published[0] + 0.1


def test_log_me_of_noise_is_that_of_no_features():
    rng = np.random.default_rng(4)
    labels = np.arange(400) % 2
    # Orthogonal to the target, so that the best weights are zero.
    noise = rng.normal(size=(400, 3))
    target = (labels == 0) - 0.5
    noise -= noise.mean(axis=0)
    noise -= np.outer(target, target @ noise) / (target @ target)
    none = -0.5 * (np.log(2 * np.pi * target @ target / 399) + 1)
    assert log_me(noise, target[:, None]) == pytest.approx(none, abs=OPTIMISED)


def test_log_me_does_not_depend_on_the_unit_or_the_rotation_of_features():
    features, labels = drawn()
    targets = np.eye(3)[labels]
    turned = np.linalg.qr(np.random.default_rng(2).normal(size=(5, 5)))[0]
    known = log_me(features, targets)
    assert log_me(1e4 * features @ turned, targets) == pytest.approx(known, abs=OPTIMISED)
    repeated = np.hstack([features, np.zeros((60, 3))])
    assert log_me(repeated, targets) == pytest.approx(known, abs=OPTIMISED)


def test_an_exactly_linear_target_has_infinite_evidence():
    features, _ = drawn()
    assert log_me(features, features @ np.ones((5, 1))) == np.inf


def covariances(features, labels):
    """Of the features and of their class means, by the definition, divisor N."""
    centred = features - features.mean(axis=0)
    means = np.vstack([centred[labels == label].mean(axis=0) for label in labels])
    return centred.T @ centred / len(labels), means.T @ means / len(labels)


@pytest.mark.parametrize("d", [1, 5, 20])
def test_h_score_is_the_trace_of_its_definition(d):
    features, labels = drawn(d=max(d, 2))
    features = features[:, :d]
    whole, between = covariances(features, labels)
    expected = np.trace(np.linalg.pinv(whole) @ between)
    assert h_score(features, labels) == pytest.approx(expected, abs=ALGEBRA)
    assert 0.0 <= h_score(features, labels) <= min(2, d) + ALGEBRA


@pytest.mark.parametrize(("n", "d"), [(60, 5), (30, 80)])
def test_shrunk_h_score_is_the_trace_of_its_definition(n, d):
    features, labels = drawn(n, d)
    whole, between = covariances(features, labels)
    centred = features - features.mean(axis=0)
    # Ledoit and Wolf: distance of each example's x x' from the mean of them, by loops.
    target = np.trace(whole) / d * np.eye(d)
    noise = sum(((np.outer(x, x) - whole) ** 2).sum() for x in centred) / n**2
    gamma = min(noise / ((whole - target) ** 2).sum(), 1.0)
    assert 0.0 < gamma < 1.0
    shrunk = (1 - gamma) * whole + gamma * target
    expected = (1 - gamma) * np.trace(np.linalg.solve(shrunk, between))
    assert shrunk_h_score(features, labels) == pytest.approx(expected, abs=ALGEBRA)


def test_shrinkage_is_that_of_scikit_learn():
    covariance = pytest.importorskip("sklearn.covariance")
    for n, d in ((60, 5), (30, 80)):
        features, _ = drawn(n, d)
        centred = features - features.mean(axis=0)
        values = np.linalg.svd(centred, compute_uv=False) ** 2 / n
        expected = covariance.ledoit_wolf_shrinkage(features)
        assert shrinkage(centred, values[values > 1e-12]) == pytest.approx(expected, abs=ALGEBRA)


def test_with_more_features_than_examples_only_the_shrunk_h_score_tells_noise_apart():
    features, labels = drawn(30, 80, signal=5.0)
    noise = np.random.default_rng(3).normal(size=features.shape)
    assert h_score(features, labels) == pytest.approx(2.0, abs=ALGEBRA)
    assert h_score(noise, labels) == pytest.approx(2.0, abs=ALGEBRA)
    assert shrunk_h_score(features, labels) > 2 * shrunk_h_score(noise, labels)


def test_white_features_have_no_shrunk_h_score():
    features, labels = drawn(300, 5, signal=3.0)
    white = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)[0]
    assert h_score(white, labels) == pytest.approx(h_score(features, labels), abs=ALGEBRA)
    assert shrunk_h_score(white, labels) == pytest.approx(0.0, abs=ALGEBRA)


def votes_by_loops(features, labels, k, groups):
    right = 0
    for one in range(len(labels)):
        others = [n for n in range(len(labels)) if groups[n] != groups[one]]
        cosine = [features[n] @ features[one] / np.linalg.norm(features[n]) for n in others]
        near = [others[n] for n in np.argsort(-np.array(cosine), kind="stable")[:k]]
        ballots = [labels[n] for n in near]
        most = max((ballots.count(label) for label in ballots), default=0)
        winner = next((b for b in ballots if ballots.count(b) == most), None)
        right += winner == labels[one]
    return right / len(labels)


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("grouped", [False, True])
def test_neighbours_vote_as_in_a_loop(k, grouped):
    features, labels = drawn(520, 4, signal=2.0)  # more than one block
    groups = np.arange(520) // 3 if grouped else np.arange(520)
    expected = votes_by_loops(features, labels, k, groups)
    found = neighbour_accuracy(features, labels, k=k, groups=groups if grouped else None)
    assert found == pytest.approx(expected, abs=1e-12)


def test_examples_whose_neighbours_are_all_of_their_group_are_not_right():
    features, labels = drawn(12)
    assert neighbour_accuracy(features, labels, groups=np.zeros(12, dtype=int)) == 0.0


class Given:
    """An encoder whose features are known."""

    def __init__(self, features):
        self.found = features

    def features(self, texts):
        assert set(texts.columns) <= {"item", "text", "text_pair"}
        return self.found[: len(texts)]


@pytest.fixture
def task():
    """Return examples, and encoders that tell their labels apart well, little and not."""
    features, labels = drawn(200, 6, signal=3.0)
    unequal = np.array([3.0, 2.0, 1.0, 1.0, 0.5, 0.3])
    texts = pd.DataFrame(
        {
            "item": [f"q{n}" for n in range(200)],
            "text": [f"text {n}" for n in range(200)],
            "label": [LABELS[n] for n in labels],
        }
    )
    noise = np.random.default_rng(8).normal(size=features.shape)
    encoders = {
        "none": Given(noise * unequal),
        "good": Given(features * unequal),
        "little": Given((features + 2.0 * noise[::-1]) * unequal),
    }
    return labelled_set("a task", texts, LABELS), encoders


@pytest.mark.parametrize("by", CRITERIA)
def test_every_criterion_ranks_the_better_features_first(task, by):
    examples, encoders = task
    table = rank_encoders(examples, encoders, by=by)
    assert table.index.tolist() == ["good", "little", "none"]
    assert table.index.name == "encoder"
    assert table["rank"].tolist() == [1, 2, 3]
    assert list(table.columns) == [
        "rank",
        "log_me",
        "shrunk_h_score",
        "h_score",
        "neighbour_accuracy",
        "log_me_published",
        "n_features",
    ]
    assert (table["n_features"] == 6).all()


def test_equal_encoders_share_a_rank(task):
    examples, encoders = task
    table = rank_encoders(examples, {"a": encoders["good"], "b": encoders["good"]})
    assert table["rank"].tolist() == [1, 1]


def test_h_score_is_left_out_where_it_means_nothing(task):
    examples, _ = task
    wide = np.random.default_rng(1).normal(size=(200, 200))
    table = rank_encoders(examples, {"wide": Given(wide)})
    assert np.isnan(table.loc["wide", "h_score"])
    assert table.drop(columns="h_score").notna().all(axis=None)


def test_log_me_judges_the_crowds_shares_where_they_are_the_target(task):
    examples, encoders = task
    crowd = examples.rows.copy()
    shares = 0.6 * examples.distributions + 0.4 / 3
    crowd["label_distribution"] = list(shares.tolist())
    soft = type(examples)(examples.name, "crowd", examples.label_set, crowd)
    found = rank_encoders(soft, encoders).loc["good", "log_me"]
    assert found == pytest.approx(log_me(encoders["good"].found, shares), abs=ALGEBRA)


def test_a_label_that_no_example_has_is_passed_over(task):
    examples, encoders = task
    more = labelled_set(
        "a task",
        examples.rows.assign(label=[LABELS[n] for n in examples.rows["label"]])[
            ["item", "text", "label"]
        ],
        (*LABELS, "never"),
    )
    one, two = rank_encoders(examples, encoders), rank_encoders(more, encoders)
    pd.testing.assert_frame_equal(one, two)


def test_twins_of_a_text_are_no_neighbours():
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 3, 90)
    features = np.repeat(rng.normal(size=(30, 4)), 3, axis=0)  # equal within a premise
    labels = np.repeat(labels[:30], 3)
    texts = pd.DataFrame(
        {
            "item": [f"q{n}" for n in range(90)],
            "text": [f"premise {n // 3}" for n in range(90)],
            "label": [LABELS[n] for n in labels],
        }
    )
    examples = labelled_set("t", texts, LABELS)
    table = rank_encoders(examples, {"twins": Given(features)}, n_neighbours=2)
    assert table.loc["twins", "neighbour_accuracy"] < 0.7
    assert neighbour_accuracy(features, labels, k=2) == 1.0


def test_progress_is_told(task):
    examples, encoders = task
    told = []
    rank_encoders(examples, encoders, progress=lambda done, all_: told.append((done, all_)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_what_cannot_be_ranked_is_refused(task):
    examples, encoders = task
    with pytest.raises(ModelError, match="Unknown criterion 'best'; there is 'log_me'"):
        rank_encoders(examples, encoders, by="best")
    with pytest.raises(ModelError, match="no encoder to rank"):
        rank_encoders(examples, {})
    with pytest.raises(ModelError, match=r"'short' gave features of shape \(3, 6\)"):
        rank_encoders(examples, {"short": Given(encoders["good"].found[:3])})
    broken = encoders["good"].found.copy()
    broken[7, 2] = np.nan
    with pytest.raises(ModelError, match=r"'odd' gave features .* 'q7'"):
        rank_encoders(examples, {"odd": Given(broken)})
    rows = examples.rows.assign(label=0)
    alone = type(examples)("one label", "gold", LABELS, rows)
    with pytest.raises(ModelError, match="fewer than two labels"):
        rank_encoders(alone, encoders)
    rows = examples.rows.assign(label=[0] + [1] * 199)
    single = type(examples)("a single", "gold", LABELS, rows)
    with pytest.raises(ModelError, match="one example of 'no'"):
        rank_encoders(single, encoders)
