"""The bootstrap reference of the largest Q3."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from irtkit.diagnostics.dependence_reference import (
    critical_value,
    deviations,
    q3_reference,
    share_as_large,
)
from irtkit.diagnostics.local_dependence import local_dependence
from irtkit.errors import ModelError
from irtkit.estimation import MML, calibrate
from irtkit.latent import Histogram
from irtkit.models import Graded, Rasch, TwoPL
from irtkit.responses import Responses
from irtkit.scoring import score
from irtkit.simulate import replicated, simulate

QUICK = MML(standard_errors=None, tolerance=1e-3)
ROUGH = MML(standard_errors=None, tolerance=0.01)
EQUAL = 1e-9
MODULE = sys.modules["irtkit.diagnostics.dependence_reference"]


def made(model=None, missing=0.0, **options):
    """Return answers and their calibration."""
    sizes = {"n_persons": 300, "n_items": 6, "seed": 2, **options}
    responses = simulate(model or Rasch(), missing=missing, **sizes).responses
    return responses, calibrate(responses, model or Rasch(), method=QUICK)


def planted(missing=0.0):
    """Return answers of which item i5's are often those of item i2."""
    responses = simulate(Rasch(), n_persons=600, n_items=8, seed=4).responses
    rng = np.random.default_rng(1)
    codes = responses.dense().copy()
    copied = rng.random(600) < 0.4
    codes[copied, 4] = codes[copied, 1]
    codes[rng.random(codes.shape) < missing] = -1
    responses = replace(responses, codes=codes)
    return responses, calibrate(responses, Rasch(), method=QUICK)


def obvious_q3(responses, calibration):
    """Correlate residuals pair by pair; return Q3 and the number of common persons."""
    codes = responses.dense()
    theta = score(responses, calibration).theta
    residual = codes - calibration.assignment.expected_score(calibration.parameters, theta)
    q3, n_both = [], []
    for i, j in zip(*np.triu_indices(codes.shape[1], 1), strict=True):
        both = (codes[:, i] >= 0) & (codes[:, j] >= 0)
        q3.append(np.corrcoef(residual[both, i], residual[both, j])[0, 1])
        n_both.append(both.sum())
    return np.array(q3), np.array(n_both)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_draws_equal_drawing_calibrating_and_correlating_by_hand(missing):
    responses, calibration = made(missing=missing)
    found = q3_reference(responses, calibration, n_draws=3, seed=5, method=QUICK)
    assert found.standardised == (missing > 0)

    def largest(answers, fitted):
        q3, n_both = obvious_q3(answers, fitted)
        if not missing:
            return (q3 - q3.mean()).max()
        z = np.arctanh(q3)
        centre = ((n_both - 3) * z).sum() / (n_both - 3).sum()
        return (np.sqrt(n_both - 3) * (z - centre)).max()

    assert found.observed == pytest.approx(largest(responses, calibration), abs=EQUAL)
    for rng, maximum in zip(np.random.default_rng(5).spawn(3), found.maxima, strict=True):
        drawn = replicated(responses, calibration, seed=rng)
        assert ((drawn.codes < 0) == (responses.codes < 0)).all()
        fitted = calibrate(drawn, Rasch(), method=QUICK)
        assert maximum == pytest.approx(largest(drawn, fitted), abs=EQUAL)


def test_p_critical_values_and_pairs_agree_with_each_other():
    responses, calibration = planted()
    found = q3_reference(responses, calibration, n_draws=39, seed=5, method=QUICK)
    assert found.p == 1 / 40
    assert found.pairs.index[0] == ("i2", "i5")
    assert found.pairs["p_max"].iloc[0] == found.p
    assert found.pairs["statistic"].iloc[0] == found.observed
    assert found.critical[0] == np.sort(found.maxima)[37]
    assert found.critical[1] == np.inf
    table = local_dependence(responses, calibration)
    beyond = table[table["q3_adjusted"] > found.critical[0]].sort_values(
        "q3_adjusted", ascending=False
    )
    assert found.pairs.index.tolist() == beyond.index.tolist()
    assert found.pairs["q3"].to_numpy() == pytest.approx(beyond["q3"].to_numpy(), abs=EQUAL)
    for value in ("q3_adjusted", "statistic"):
        assert found.pairs[value].to_numpy() == pytest.approx(
            beyond["q3_adjusted"].to_numpy(), abs=EQUAL
        )
    assert (found.pairs["p_max"] <= 0.05).all()
    row = found.table()
    assert row.columns.tolist() == [
        *("observed", "p", "critical_05", "critical_01", "standardised", "n_draws", "n_failed")
    ]
    assert row.iloc[0][["p", "n_draws", "n_failed"]].tolist() == [1 / 40, 39, 0]


def test_planted_pair_is_found_among_incomplete_answers():
    responses, calibration = planted(0.2)
    found = q3_reference(responses, calibration, n_draws=19, method=QUICK)
    assert found.standardised
    assert found.pairs.index[0] == ("i2", "i5")
    assert found.p == 1 / 20


def test_without_dependence_no_pair_is_beyond():
    responses, calibration = made()
    found = q3_reference(responses, calibration, n_draws=19, seed=3, method=QUICK)
    assert found.p > 0.05
    assert found.pairs.empty
    assert found.pairs.index.names == ["item_1", "item_2"]
    assert found.p == (1 + (found.maxima >= found.observed).sum()) / 20


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_draws_do_not_depend_on_the_number_of_threads(monkeypatch, threads):
    responses, calibration = made(missing=0.2)
    calls = []
    alone = q3_reference(
        responses, calibration, n_draws=5, method=QUICK, progress=lambda *n: calls.append(n)
    )
    monkeypatch.setattr(MODULE, "WORTH_THREADS", 0)
    monkeypatch.setattr(sys.modules["irtkit.threads"], "n_threads", lambda: threads)
    spread = q3_reference(
        responses, calibration, n_draws=5, method=QUICK, progress=lambda *n: calls.append(n)
    )
    assert (spread.maxima == alone.maxima).all()
    assert calls == [(done, 5) for done in range(1, 6)] * 2
    other = q3_reference(responses, calibration, n_draws=5, seed=2, method=QUICK)
    assert (other.maxima != alone.maxima).all()
    fewer = q3_reference(responses, calibration, n_draws=2, method=QUICK)
    assert (fewer.maxima == alone.maxima[:2]).all()


def test_a_generator_is_a_seed_too():
    responses, calibration = made()
    one, two = (
        q3_reference(
            responses, calibration, n_draws=2, seed=np.random.default_rng(1), method=QUICK
        )
        for _ in range(2)
    )
    assert (one.maxima == two.maxima).all()


def test_draws_that_lose_an_item_are_drawn_again_and_counted(monkeypatch):
    responses, calibration = made(n_persons=60, n_items=5)
    parameters = calibration.parameters.copy()
    parameters[0, 1] = 4.5  # few persons get it wrong, in many draws nobody
    easy = replace(calibration, parameters=parameters)
    found = q3_reference(responses, easy, n_draws=10, method=QUICK)
    assert found.n_failed > 0
    assert np.isfinite(found.maxima).all()
    parameters[0, 1] = 20.0
    monkeypatch.setattr(MODULE, "MOST_TRIES", 2)
    with pytest.raises(ModelError, match=r"2 data sets.*answered alike.*'i1'.*Leave out"):
        q3_reference(responses, replace(calibration, parameters=parameters), n_draws=2)


def test_draws_that_do_not_converge_are_failures():
    responses, calibration = made(TwoPL())
    with pytest.raises(ModelError, match=r"20 data sets .* did not converge in .* priors"):
        q3_reference(responses, calibration, n_draws=2, method=MML(max_cycles=1, tolerance=1e-12))


def test_models_of_each_item_and_the_kind_of_distribution_are_kept(monkeypatch):
    seen = []

    def watched(responses, models, *, method):
        seen.append((models, method))
        return calibrate(responses, models, method=method)

    rough = simulate(Graded(), n_persons=400, n_items=4, seed=3, n_categories=3).responses
    codes = rough.dense().copy()
    codes[:, 0] = codes[:, 0] > 0
    responses = replace(rough, codes=codes)
    models = {item: TwoPL() if item == "i1" else Graded() for item in responses.items}
    options = {"standard_errors": None, "tolerance": 1e-2}
    fitted = calibrate(responses, models, method=MML(latent="histogram", **options))
    assert isinstance(fitted.latent, Histogram)
    monkeypatch.setattr(MODULE, "calibrate", watched)
    monkeypatch.setattr(MODULE, "MML", lambda **given: MML(tolerance=1e-2, **given))
    q3_reference(responses, fitted, n_draws=1)
    assert seen[0][0] == models
    assert (seen[0][1].latent, seen[0][1].standard_errors) == ("histogram", None)
    fitted = calibrate(responses, models, method=MML(**options))
    q3_reference(responses, fitted, n_draws=1)
    assert seen[-1][1].latent == "normal"
    q3_reference(responses, fitted, n_draws=1, method=MML(tolerance=0.02))
    assert (seen[-1][1].tolerance, seen[-1][1].standard_errors) == (0.02, None)


def test_sparse_answers_stay_sparse_and_have_the_same_statistic(monkeypatch):
    responses, calibration = made(missing=0.3)
    sparse = replace(responses, codes=sp.csr_array(responses.codes + np.int8(1)))
    kinds = []

    def watched(drawn, models, *, method):
        kinds.append(sp.issparse(drawn.codes))
        return calibrate(drawn, models, method=method)

    monkeypatch.setattr(MODULE, "calibrate", watched)
    first = q3_reference(sparse, calibration, n_draws=2, method=QUICK)
    second = q3_reference(responses, calibration, n_draws=2, method=QUICK)
    assert first.observed == pytest.approx(second.observed, abs=EQUAL)
    assert kinds == [True, True, False, False]


def test_weights_are_persons_and_parts_of_persons_are_refused():
    responses, calibration = made(n_persons=100)
    twice = replace(responses, weights=np.full(100, 2.0))
    repeated = Responses.from_array(np.repeat(responses.codes, 2, axis=0))
    first, second = (
        q3_reference(answers, calibration, n_draws=2, method=QUICK)
        for answers in (twice, repeated)
    )
    assert first.observed == pytest.approx(second.observed, abs=EQUAL)
    assert first.maxima == pytest.approx(second.maxima, abs=EQUAL)
    with pytest.raises(ModelError, match="whole numbers"):
        q3_reference(replace(responses, weights=np.full(100, 1.5)), calibration, n_draws=2)


def test_what_cannot_be_compared_is_refused(monkeypatch):
    responses, calibration = made(n_persons=100)
    with pytest.raises(ModelError, match="at least one"):
        q3_reference(responses, calibration, n_draws=0)
    with pytest.raises(ModelError, match="enough of the same persons"):
        q3_reference(responses.select_persons(np.arange(9)), calibration, n_draws=1)
    monkeypatch.setattr(MODULE, "MOST_ITEMS", 5)
    with pytest.raises(ModelError, match="6 items would be calibrated 200 times"):
        q3_reference(responses, calibration)


def test_inputs_are_unchanged():
    responses, calibration = made()
    before = responses.fingerprint(), calibration.parameters.copy()
    found = q3_reference(responses, calibration, n_draws=1, method=QUICK)
    assert responses.fingerprint() == before[0]
    assert (calibration.parameters == before[1]).all()
    assert not found.maxima.flags.writeable


def test_deviations_leave_out_what_is_unknown():
    q3, n_both = np.array([0.1, np.nan, -0.2, 0.3]), np.array([103.0, 4.0, 28.0, 53.0])
    plain = deviations(q3, n_both, False)
    assert plain == pytest.approx(
        [0.1 - 0.2 / 3, np.nan, -0.2 - 0.2 / 3, 0.3 - 0.2 / 3], nan_ok=True
    )
    z, root = np.arctanh(q3[[0, 2, 3]]), np.array([10.0, 5.0, np.sqrt(50.0)])
    centre = (root**2 @ z) / (root**2).sum()
    found = deviations(q3, n_both, True)
    assert found[[0, 2, 3]] == pytest.approx(root * (z - centre))
    assert np.isnan(found[1])
    twins = deviations(np.array([0.1, 1.0, 0.2]), np.array([50.0, 50.0, 40.0]), True)
    assert twins[1] == np.inf
    assert np.isfinite(twins[[0, 2]]).all()


@pytest.mark.parametrize(
    ("n_draws", "level", "place"),
    [(19, 0.05, 19), (200, 0.05, 191), (200, 0.01, 199), (99, 0.01, 99), (999, 0.05, 950)],
)
def test_critical_value_leaves_the_stated_share_above(n_draws, level, place):
    maxima = np.random.default_rng(1).permutation(n_draws).astype(float)
    assert critical_value(maxima, level) == place - 1
    assert critical_value(maxima[:18], level) == np.inf


def test_a_maximum_as_large_counts_and_so_do_the_answers_themselves():
    shares = share_as_large(np.array([0.5, 2.0, 9.0]), np.array([2.0, 1.0, 3.0]))
    assert shares.tolist() == [1.0, 0.75, 0.25]


UPPER_LIMIT = 0.13  # binomial 99.9% limit of .05 in 100 replications


@pytest.mark.slow
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_the_largest_q3_is_beyond_its_critical_value_as_seldom_as_stated(missing):
    rng = np.random.default_rng(11)
    beyond = []
    for _ in range(100):
        responses = simulate(
            Rasch(), n_persons=300, n_items=8, seed=rng, missing=missing
        ).responses
        fitted = calibrate(responses, Rasch(), method=ROUGH)
        found = q3_reference(responses, fitted, n_draws=19, seed=rng, method=ROUGH)
        beyond.append(found.p <= 0.05)
        assert (found.p <= 0.05) == (len(found.pairs) > 0)
    assert np.mean(beyond) <= UPPER_LIMIT
