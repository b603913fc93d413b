"""Item statistics without a model, and duplicates that chance does not explain."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import pearsonr

from irtkit.diagnostics.classical import classical_table, unlikely_twins
from irtkit.models import Graded, TwoPL
from irtkit.responses import Responses
from irtkit.simulate import simulate

EXACT = 1e-10


def coded(codes):
    """Make responses of an array of codes with -1 where unanswered."""
    codes = np.asarray(codes, dtype=np.int8)
    persons, items = (
        tuple(f"{c}{n}" for n in range(size)) for c, size in zip("pi", codes.shape, strict=True)
    )
    return Responses(codes=codes, persons=persons, items=items)


def sparse(responses):
    return replace(responses, codes=sp.csr_array((responses.dense() + 1).astype(np.int8)))


@pytest.fixture(scope="module", params=[TwoPL(), Graded()])
def some(request):
    return simulate(request.param, n_persons=300, n_items=7, seed=1, missing=0.3).responses


def by_loops(responses):
    codes = responses.dense().astype(float)
    codes[codes < 0] = np.nan
    mean = np.nanmean(codes, axis=0)
    found = []
    for item in range(responses.n_items):
        own, rest = [], []
        for person in range(responses.n_persons):
            others = [
                codes[person, j] - mean[j]
                for j in range(responses.n_items)
                if j != item and not np.isnan(codes[person, j])
            ]
            if others and not np.isnan(codes[person, item]):
                own.append(codes[person, item])
                rest.append(np.mean(others))
        found.append(pearsonr(own, rest, alternative="greater"))
    return np.array([result[0] for result in found]), np.array([result[1] for result in found])


def test_item_rest_correlation_equals_the_obvious_loop(some):
    table = classical_table(some, adjustment="none")
    correlation, p = by_loops(some)
    assert table["item_rest"].to_numpy() == pytest.approx(correlation, abs=EXACT)
    assert table["p"].to_numpy() == pytest.approx(p, rel=1e-6)


def test_complete_answers_give_the_classical_corrected_correlation():
    codes = simulate(TwoPL(), n_persons=200, n_items=6, seed=2).responses.dense()
    table = classical_table(Responses.from_array(codes))
    total = codes.sum(axis=1)
    exact = [np.corrcoef(codes[:, i], total - codes[:, i])[0, 1] for i in range(6)]
    assert table["item_rest"].to_numpy() == pytest.approx(exact, abs=EXACT)
    assert table["mean_code"].to_numpy() == pytest.approx(codes.mean(axis=0))


def test_sparse_and_weighted_answers_give_the_same(some):
    table = classical_table(some)
    assert np.allclose(classical_table(sparse(some)), table, atol=EXACT)
    rows = np.repeat(np.arange(some.n_persons), 2)
    twice = Responses(
        codes=some.dense()[rows],
        persons=tuple(f"p{n}" for n in range(len(rows))),
        items=some.items,
        categories=some.categories,
    )
    heavy = replace(some, weights=np.full(some.n_persons, 2.0))
    assert np.allclose(classical_table(heavy), classical_table(twice), atol=EXACT)


def test_items_that_say_nothing_have_no_correlation():
    codes = np.array([[1, 0, 1], [1, 1, 0], [1, -1, 1], [1, 0, 0], [1, -1, 1]])
    table = classical_table(coded(codes))
    assert np.isnan(table["item_rest"].iloc[0])  # everybody right
    assert np.isnan(table["item_rest"].iloc[1])  # three answers
    assert table["n_commonest"].tolist() == [5, 2, 3]


def test_shuffled_answers_are_rejected_at_the_level():
    rng = np.random.default_rng(5)
    p = []
    for _ in range(40):
        codes = (rng.random((60, 20)) < 0.6).astype(np.int8)
        codes[rng.random(codes.shape) < 0.5] = -1
        p += classical_table(coded(codes))["p"].tolist()
    # 800 nearly independent one-sided tests
    assert 0.025 < np.mean(np.array(p) < 0.05) < 0.08


def test_twins_by_chance_are_told_from_copies():
    made = simulate(TwoPL(), n_persons=40, n_items=60, seed=3).responses
    codes = made.dense().copy()
    codes[:, 0] = codes[:, 1] = 1
    codes[3, :2] = 0  # two easy items, one failure each
    codes[:, 9] = codes[:, 8]
    responses = replace(made, codes=codes)
    for answers in (responses, sparse(responses)):
        found = unlikely_twins(answers, 0.01)
        assert [(item, twin) for item, twin, _ in found] == [("i10", "i9")]
        assert 0 < found[0][2] < 0.01
