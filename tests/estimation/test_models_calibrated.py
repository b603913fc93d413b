"""Every model calibrated: laws, recovery and coverage, priors, constraints, groups, resuming."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from irtkit.arrays import same
from irtkit.errors import ModelError, NotConverged, ScaleError
from irtkit.estimation import (
    MML,
    Beta,
    Equal,
    Fixed,
    LogNormal,
    Plain,
    Priors,
    anchored,
    calibrate,
    calibrate_groups,
)
from irtkit.io import read_checkpoint, write_checkpoint
from irtkit.latent import Histogram, Normal
from irtkit.models import (
    MODELS,
    GeneralizedPartialCredit,
    Graded,
    Nominal,
    OnePL,
    PartialCredit,
    Rasch,
    ThreePL,
    TwoPL,
)
from irtkit.responses import Responses
from irtkit.scoring import score
from irtkit.simulate import simulate
from tests.golden import golden, golden_responses

INVARIANCE = 1e-5  # ten times the tolerance of the parameters
RESUMED = 1e-10
QUICK = MML(standard_errors=None)

every_model = pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))


def sample(model, n_persons=1500, n_items=8, seed=4, **more):
    size = 3 if model.ordinal else 2
    return simulate(
        model, n_persons=n_persons, n_items=n_items, seed=seed, n_categories=size, **more
    )


@every_model
@pytest.mark.parametrize("acceleration", [Plain(), None], ids=["plain", "squarem"])
def test_em_never_lowers_the_log_posterior(model, acceleration):
    made = sample(model, 500, 6)
    method = QUICK if acceleration is None else replace(QUICK, acceleration=acceleration)
    method = replace(method, max_cycles=200, tolerance=1e-4)
    try:
        found = calibrate(made.responses, model, method=method)
    except NotConverged as stopped:  # plain EM may need more cycles than these
        found = stopped.calibration
    rises = np.diff(found.convergence.history[:, 1])
    assert rises.min(initial=0.0) >= -1e-9 * abs(found.log_likelihood)


@every_model
def test_permuting_persons_and_items_permutes_results(model):
    responses = sample(model, missing=0.1).responses
    rng = np.random.default_rng(1)
    items = [responses.items[n] for n in rng.permutation(responses.n_items)]
    moved = responses.select_items(items).select_persons(rng.permutation(responses.n_persons))
    method = replace(QUICK, tolerance=1e-8)
    first = calibrate(responses, model, method=method)
    second = calibrate(moved, model, method=method)
    order = [second.items.index(item) for item in first.items]
    assert second.log_likelihood == pytest.approx(first.log_likelihood, abs=1e-6)
    assert second.parameters[order] == pytest.approx(first.parameters, abs=2e-4)


@every_model
def test_weights_equal_repeated_rows(model):
    few = sample(model, 400).responses
    weights = np.arange(400) % 3 + 1.0
    rows = np.repeat(np.arange(400), weights.astype(int))
    names = tuple(f"p{n}" for n in range(len(rows)))
    repeated = Responses(few.codes[rows], names, few.items, few.categories)
    method = replace(QUICK, tolerance=1e-8)
    weighted = calibrate(replace(few, weights=weights), model, method=method)
    plain = calibrate(repeated, model, method=method)
    assert weighted.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-6)
    assert weighted.parameters == pytest.approx(plain.parameters, abs=2e-4)


@every_model
def test_gradient_vanishes_and_quadrature_is_exact_at_the_optimum(model):
    found = calibrate(sample(model, missing=0.2).responses, model, method=QUICK)
    assert found.convergence.gradient < 1e-6
    assert found.convergence.quadrature_change < 0.01
    assert found.convergence_table()["change"].max() <= 1e-6


@pytest.mark.slow
@every_model
def test_intervals_cover_the_truth_and_errors_have_the_size_of_standard_errors(model):
    """Some 200 intervals for each kind of parameter, exact binomial 99.9% limits."""
    misses, errors = [], []
    for seed in range(12):
        made = sample(model, 1500, 20, seed=seed)
        found = calibrate(made.responses, model)
        variance = np.einsum("idd->id", found.covariance)
        sign = 1.0 if found.parameters[:, 0].sum() > 0 else -1.0
        miss = sign * found.parameters - made.parameters
        if model.name == "1pl":
            miss, variance = miss[:, 1:], variance[:, 1:]
        known = (variance > 0) & np.isfinite(variance)
        if model.name in ("3pl", "4pl"):  # the priors pull: only slope and intercept are judged
            known[:, 2:] = False
        misses.append(miss[known])
        errors.append(np.sqrt(variance[known]))
    miss, error = np.concatenate(misses), np.concatenate(errors)
    covered = np.mean(np.abs(miss) < 1.96 * error)
    loose = 0.06 if model.name in ("3pl", "4pl") else 0.0
    assert 0.92 - loose < covered < 0.975 + loose / 3


def test_two_categories_make_the_polytomous_models_the_2pl():
    made = simulate(TwoPL(), n_persons=900, n_items=8, seed=2, missing=0.1)
    plain = calibrate(made.responses, TwoPL())
    for model in (Graded(), GeneralizedPartialCredit(), Nominal()):
        found = calibrate(made.responses, model)
        assert found.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-6)
        assert found.parameters == pytest.approx(plain.parameters, abs=INVARIANCE)
        assert found.covariance == pytest.approx(plain.covariance, rel=1e-3)
    rasch = calibrate(made.responses, Rasch())
    credit = calibrate(made.responses, PartialCredit())
    assert credit.log_likelihood == pytest.approx(rasch.log_likelihood, abs=1e-6)


def test_the_nominal_model_reaches_at_least_the_likelihood_of_those_it_nests():
    responses = sample(GeneralizedPartialCredit(), 1000).responses
    values = [
        calibrate(responses, model, method=QUICK).log_likelihood
        for model in (PartialCredit(), GeneralizedPartialCredit(), Nominal())
    ]
    assert values == sorted(values)


def test_several_families_share_one_scale():
    two, graded = sample(TwoPL(), 2000, 6), sample(Graded(), 2000, 6)
    theta = np.random.default_rng(8).normal(size=2000)
    from irtkit.simulate import answers

    rng = np.random.default_rng(9)
    codes = np.concatenate(
        [answers(made.assignment, made.parameters, theta, rng) for made in (two, graded)], axis=1
    )
    items = [f"a{n}" for n in range(6)] + [f"b{n}" for n in range(6)]
    responses = Responses.from_array(codes, items=items)
    models = {item: TwoPL() if item.startswith("a") else Graded() for item in items}
    found = calibrate(responses, models)
    truth = np.full(found.parameters.shape, np.nan)
    truth[:6, :2], truth[6:] = two.parameters, graded.parameters
    error = np.sqrt(np.einsum("idd->id", found.covariance))
    assert np.nanmax(np.abs(found.parameters - truth) / error) < 4.5
    assert found.assignment.name == "2pl+graded"
    table = found.table()
    assert table.loc["a0", ["difficulty", "lower"]].notna().all()
    assert table.loc["b0", ["threshold_1", "threshold_2"]].notna().all()
    with pytest.raises(ModelError, match=r"No model was given for 11 items"):
        calibrate(responses, {"a0": TwoPL()})
    with pytest.raises(ModelError, match="they cannot share a scale"):
        calibrate(responses, {**models, "a0": Rasch()})


def test_fixed_parameters_stay_and_anchor_a_new_population():
    first = simulate(TwoPL(), n_persons=3000, n_items=10, seed=1)
    known = calibrate(first.responses, TwoPL())
    second = simulate(TwoPL(), n_persons=3000, n_items=10, seed=1, latent=Normal(0.7, 1.4))
    items = known.items[:6]
    found = calibrate(
        second.responses, TwoPL(), method=MML(constraints=anchored(known, items), latent="free")
    )
    assert found.parameters[:6] == pytest.approx(known.parameters[:6], abs=1e-12)
    assert (found.covariance[:6] == 0).all()
    assert found.latent.mean == pytest.approx(0.7, abs=0.15)
    assert found.latent.standard_deviation == pytest.approx(1.4, abs=0.15)
    assert found.n_parameters == 2 * 4 + 2
    with pytest.raises(ModelError, match="not identified"):
        calibrate(second.responses, TwoPL(), method=MML(latent="free"))


def test_equal_slopes_make_the_1pl_and_partial_equality_lies_between():
    responses = sample(TwoPL()).responses
    one = calibrate(responses, OnePL())
    tied = calibrate(responses, TwoPL(), method=MML(constraints=[Equal("slope", responses.items)]))
    free = calibrate(responses, TwoPL())
    some = calibrate(
        responses, TwoPL(), method=MML(constraints=[Equal("slope", responses.items[:4])])
    )
    assert tied.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-6)
    assert tied.covariance == pytest.approx(one.covariance, rel=1e-4)
    assert one.log_likelihood < some.log_likelihood < free.log_likelihood
    assert np.ptp(some.parameters[:4, 0]) == 0
    assert some.n_parameters == free.n_parameters - 3


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        ([Fixed("slope", 1.0, ("i99",))], "'i99'"),
        ([Fixed("threshold", 1.0, ("i1",))], "has no parameter 'threshold'"),
        ([Fixed("slope", 1.0, ("i1",)), Fixed("slope", 2.0, ("i1",))], "both 1 and 2"),
        (
            [
                Fixed("slope", 1.0, ("i1",)),
                Fixed("slope", 2.0, ("i2",)),
                Equal("slope", ("i1", "i2")),
            ],
            "equal are fixed at 1 and 2",
        ),
    ],
)
def test_constraints_without_sense_are_refused(constraints, message):
    with pytest.raises(ModelError, match=message):
        calibrate(sample(TwoPL(), 200).responses, TwoPL(), method=MML(constraints=constraints))


def test_priors_keep_slopes_in_place_where_persons_are_few_and_say_so():
    few = simulate(TwoPL(), n_persons=25, n_items=60, seed=3)
    free = calibrate(few.responses, TwoPL(), method=QUICK)
    kept = calibrate(few.responses, TwoPL(), method=replace(QUICK, priors=Priors.small_sample()))
    assert "separating" in free.states
    assert "separating" not in kept.states
    assert kept.log_prior != 0.0
    truth = few.parameters[[few.responses.items.index(item) for item in kept.items], 0]
    both = kept.calibrated & free.calibrated
    rmse = [np.sqrt(np.mean((c.parameters[both, 0] - truth[both]) ** 2)) for c in (kept, free)]
    assert rmse[0] < 0.3 * rmse[1]
    assert "LogNormal(mean=0.0, standard_deviation=0.5)" in " ".join(kept.notes)


def test_a_slope_prior_leaves_a_reversed_item_reversed():
    made = simulate(TwoPL(), n_persons=300, n_items=12, seed=7)
    codes = made.responses.dense().copy()
    codes[:, 3] = 1 - codes[:, 3]
    method = replace(QUICK, priors=Priors(slope=LogNormal(0.0, 0.5)))
    found = calibrate(replace(made.responses, codes=codes), TwoPL(), method=method)
    assert found.states[3] == "reverse-keyed"
    assert found.parameters[3, 0] < -0.3


def test_the_3pl_has_a_prior_by_default_and_is_compared_with_its_nested_2pl():
    plain = simulate(TwoPL(), n_persons=1500, n_items=10, seed=3)
    found = calibrate(plain.responses, ThreePL())
    assert "lower Beta(alpha=5.0, beta=17.0)" in " ".join(found.notes)
    assert "is not better than its nested 2pl" in " ".join(found.notes)
    guessed = simulate(ThreePL(), n_persons=6000, n_items=20, seed=3)
    codes = guessed.responses.dense().copy()
    rng = np.random.default_rng(1)
    codes[rng.random(codes.shape) < 0.25] = 1  # everybody guesses a quarter right
    found = calibrate(replace(guessed.responses, codes=codes), ThreePL(), method=QUICK)
    assert "is better than its nested 2pl by AIC" in " ".join(found.notes)
    with pytest.raises(ModelError, match="no single mode"):
        Priors(lower=Beta(0.5, 2.0))


def test_a_category_that_nobody_chose_is_a_state_and_the_highest_sets_the_size():
    responses = sample(Graded(), 600).responses
    codes = responses.dense().copy()
    codes[codes[:, 0] == 1, 0] = 2
    codes[codes[:, 1] == 2, 1] = 1
    found = calibrate(replace(responses, codes=codes), Graded())
    assert found.states[:3] == ("empty category", "ok", "ok")
    assert found.assignment.n_categories[1] == 2
    assert "Join categories" in " ".join(found.notes)
    with pytest.raises(ModelError, match="nobody chose more"):
        score(responses, found)


def test_an_asymptote_that_runs_to_zero_is_a_state_and_the_rest_has_standard_errors():
    plain = simulate(TwoPL(), n_persons=2000, n_items=10, seed=3)
    found = calibrate(plain.responses, ThreePL(), method=MML(priors=Priors(lower=None)))
    table = found.table()
    bare = table["state"] == "at boundary"
    assert 2 < bare.sum() < 10
    assert (table.loc[bare, "lower"] < 1e-5).all()
    assert table.loc[bare, "se_lower"].isna().all()
    assert table["se_discrimination"].notna().all()
    assert "ran to 0 or 1" in " ".join(found.notes)
    nested = calibrate(plain.responses, TwoPL(), method=QUICK)
    assert found.log_likelihood >= nested.log_likelihood


def test_a_category_chosen_once_is_kept_and_noted():
    responses = sample(Graded(), 600).responses
    codes = responses.dense().copy()
    codes[codes[:, 2] == 2, 2] = 1
    codes[0, 2] = 2
    found = calibrate(replace(responses, codes=codes), Graded())
    assert found.states[2] == "ok"
    assert found.assignment.n_categories[2] == 3
    assert "Category 2 of item 'i3' was chosen once" in " ".join(found.notes)


def test_an_empirical_histogram_finds_the_shape_and_keeps_mean_0_and_sd_1():
    rng = np.random.default_rng(3)
    theta = np.where(rng.random(4000) < 0.5, rng.normal(-1, 0.4, 4000), rng.normal(1, 0.4, 4000))
    theta = (theta - theta.mean()) / theta.std()
    from irtkit.simulate import answers

    made = simulate(TwoPL(), n_persons=10, n_items=25, seed=6)
    codes = answers(made.assignment, made.parameters, theta, rng)
    responses = Responses.from_array(codes)
    plain = calibrate(responses, TwoPL(), method=QUICK)
    method = MML(latent="histogram", tolerance=1e-4)
    found = calibrate(responses, TwoPL(), method=method)
    assert isinstance(found.latent, Histogram)
    assert (found.latent.mean, found.latent.standard_deviation) == pytest.approx((0.0, 1.0))
    assert found.log_likelihood > plain.log_likelihood + 20
    assert found.latent.cdf(np.array([-0.9]))[0] == pytest.approx(np.mean(theta < -0.9), abs=0.05)
    nodes = found.nodes()
    middle = np.abs(nodes.theta) < 0.15
    assert np.exp(nodes.log_weights[middle]).sum() < 0.08  # the dip between the modes
    assert np.sqrt(np.mean((found.parameters - made.parameters) ** 2)) < 0.15


def groups_of(case):
    responses = golden_responses(case)
    frame = pd.DataFrame(responses.dense(), columns=responses.items)
    items = [item for item in responses.items if item != "group"]
    return responses.select_items(items), frame["group"].astype(str).tolist()


@pytest.mark.parametrize("name", ["scalar", "metric", "configural", "anchored"])
def test_groups_equal_r_mirt(name):
    known = golden("dif2g")[name]
    responses, groups = groups_of("dif2g")
    free = [f"i{n}" for n in range(1, 10)] if name == "anchored" else []
    invariance = "scalar" if name == "anchored" else name
    found = calibrate_groups(responses, groups, TwoPL(), invariance=invariance, free_items=free)
    assert found.log_likelihood == pytest.approx(known["fit"]["logLik"], abs=1e-4)
    assert found.n_parameters == known["fit"]["nest"]
    if name != "configural":
        latent = found.of("1").latent
        assert latent.mean == pytest.approx(known["focal"]["mean"], abs=1e-4)
        assert latent.standard_deviation**2 == pytest.approx(known["focal"]["var"], abs=1e-3)
    if name == "anchored":
        expected = np.array([row[:2] for row in known["g1"]], dtype=float)
        assert found.of("1").parameters == pytest.approx(expected, abs=2e-3)
        assert found.of("0").parameters[10] == pytest.approx(found.of("1").parameters[10])


def test_a_group_of_two_identical_halves_is_a_single_group():
    made = simulate(TwoPL(), n_persons=400, n_items=6, seed=5)
    codes = np.concatenate([made.responses.dense()] * 2)
    responses = Responses.from_array(codes)
    found = calibrate_groups(responses, ["a"] * 400 + ["b"] * 400, TwoPL())
    single = calibrate(responses, TwoPL())
    assert found.of("a").parameters == pytest.approx(single.parameters, abs=INVARIANCE)
    assert found.latent_table().loc["b", "mean"] == pytest.approx(0.0, abs=1e-5)
    assert found.log_likelihood == pytest.approx(single.log_likelihood, abs=1e-6)
    assert list(found.table().index.names) == ["group", "item"]


def test_groups_without_sense_are_refused():
    responses = sample(TwoPL(), 100).responses
    half = ["a"] * 50 + ["b"] * 50
    with pytest.raises(ModelError, match="use calibrate"):
        calibrate_groups(responses, ["a"] * 100, TwoPL())
    with pytest.raises(ModelError, match="99 groups were given for 100"):
        calibrate_groups(responses, half[:-1], TwoPL())
    with pytest.raises(ModelError, match=r"1 person without a group: 'p100'"):
        calibrate_groups(responses, [*half[:-1], None], TwoPL())
    with pytest.raises(ModelError, match=r"one person only in 'c'"):
        calibrate_groups(responses, [*half[:-1], "c"], TwoPL())
    with pytest.raises(ModelError, match="Unknown invariance 'strict'"):
        calibrate_groups(responses, half, TwoPL(), invariance="strict")
    with pytest.raises(ModelError, match="'i01'"):
        calibrate_groups(responses, half, TwoPL(), free_items=["i01"])
    with pytest.raises(ModelError, match="nothing links the groups"):
        calibrate_groups(responses, half, TwoPL(), free_items=responses.items)


@pytest.mark.parametrize("name", ["2pl", "graded", "3pl"])
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(name, tmp_path):
    model = MODELS[name]
    responses = sample(model, 2500).responses
    states = []
    whole = calibrate(responses, model, method=QUICK, progress=states.append)
    for number, state in enumerate(states):
        path = tmp_path / f"{number}.json"
        write_checkpoint(state, path)
        read = read_checkpoint(path)
        assert same(read, state)
        resumed = calibrate(responses, model, method=QUICK, resume=read)
        assert resumed.parameters == pytest.approx(whole.parameters, abs=RESUMED)
        assert resumed.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-12)
        assert resumed.n_cycles >= state.n_cycles


def test_a_checkpoint_of_other_answers_or_options_is_refused(tmp_path):
    responses = sample(TwoPL(), 300).responses
    states = []
    calibrate(responses, TwoPL(), method=QUICK, progress=states.append)
    for other, model, method in (
        (responses.select_persons(np.arange(299)), TwoPL(), QUICK),
        (responses, OnePL(), QUICK),
        (responses, TwoPL(), replace(QUICK, slope_bound=10.0)),
    ):
        with pytest.raises(ModelError, match="belongs to other answers, models or options"):
            calibrate(other, model, method=method, resume=states[0])
    path = tmp_path / "state.json"
    write_checkpoint(states[0], path)
    path.write_text(path.read_text().replace("n_cycles", "cycles"))
    with pytest.raises(ScaleError, match=r"state\.json"):
        read_checkpoint(path)


@pytest.mark.parametrize("name", ["2pl", "graded", "3pl"])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_torch_gives_the_digits_of_numpy(name, missing):
    pytest.importorskip("torch")
    pytest.importorskip("array_api_compat")
    model = MODELS[name]
    responses = sample(model, missing=missing).responses
    plain = calibrate(responses, model)
    there = calibrate(responses, model, method=MML(backend="torch"))
    assert there.log_likelihood == pytest.approx(plain.log_likelihood, rel=1e-9)
    assert there.parameters == pytest.approx(plain.parameters, abs=1e-6)
    assert there.covariance == pytest.approx(plain.covariance, rel=1e-5)


def test_torch_refuses_sparse_answers():
    pytest.importorskip("torch")
    pytest.importorskip("array_api_compat")
    responses = sample(TwoPL(), 200, missing=0.5).responses
    sparse = replace(responses, codes=sp.csr_array(responses.dense() + np.int8(1)))
    with pytest.raises(ModelError, match="takes dense answers"):
        calibrate(sparse, TwoPL(), method=replace(QUICK, backend="torch"))


def test_unknown_places_and_kinds_are_refused():
    with pytest.raises(ModelError, match="no backend 'jax'"):
        MML(backend="jax")
    with pytest.raises(ModelError, match="NumPy has no device"):
        MML(device="cuda")
    with pytest.raises(ModelError, match="Unknown latent distribution"):
        MML(latent="cauchy")
    with pytest.raises(ModelError, match="Unknown standard errors"):
        MML(standard_errors="bootstrap")


def test_sparse_answers_are_never_made_dense(monkeypatch):
    made = simulate(TwoPL(), n_persons=130_000, n_items=400, seed=2, missing=0.97)
    assert not isinstance(made.responses.codes, np.ndarray)

    def refuse(*arguments):
        raise AssertionError("the sparse answers were made dense")

    monkeypatch.setattr("irtkit.storage.dense", refuse)
    found = calibrate(made.responses, TwoPL())
    error = np.sqrt(np.einsum("idd->id", found.covariance))
    z = (found.parameters - made.parameters) / error
    assert np.sqrt(np.mean(z**2)) == pytest.approx(1.0, abs=0.12)
    for method in ("eap", "map", "wle"):
        theta = score(made.responses, found, method=method).theta
        assert np.corrcoef(theta, made.theta)[0, 1] > 0.8


@pytest.mark.parametrize("model", [Rasch(), PartialCredit()])
def test_slopes_that_the_model_fixes_are_one_to_the_last_digit(model):
    for seed in range(12):
        drawn = simulate(model, n_persons=150, n_items=4, seed=seed).responses
        found = calibrate(drawn, model, method=MML(standard_errors=None))
        assert (found.slopes == 1.0).all()
