"""Planning a sample: equal to the loop by hand, and its answer holds when simulated."""

import math

import numpy as np
import pytest

from irtkit.arrays import same
from irtkit.errors import ModelError, NotConverged
from irtkit.estimation import MML, calibrate
from irtkit.models import MODELS, Nominal, OnePL, PartialCredit, Rasch, SlopeRule, TwoPL
from irtkit.planning import FEWEST_PERSONS, SampleSize, _needed, plan_sample
from irtkit.simulate import simulate

ROUNDING = 1e-12
SAMPLING = 0.1  # relative: medians over 400 items, whose standard errors differ by half
QUICK = MML(max_cycles=300, tolerance=1e-3)


def size_of(n_persons, median_error):
    """A size of which only the median standard error matters."""
    return SampleSize(n_persons, median_error, 1.0, 1.0, 1.0, 0.0, 0.0, 0)


@pytest.fixture(scope="module")
def plan():
    return plan_sample(
        TwoPL(), n_items=20, standard_error=0.2, sizes=(100, 250, 1000), replications=20, seed=1
    )


def test_every_number_equals_the_loop_by_hand():
    sizes, wanted = (60, 200), 0.3
    found = plan_sample(
        TwoPL(), n_items=8, standard_error=wanted, sizes=sizes, replications=3, seed=5, missing=0.1
    )
    rng = np.random.default_rng(5)
    drawn = [simulate(TwoPL(), n_persons=200, n_items=8, seed=rng, missing=0.1) for _ in range(3)]
    for n_persons in sizes:
        errors, misses, lost = [], [], 0
        for made in drawn:
            part = made.responses.select_persons(np.arange(n_persons))
            table, truth = calibrate(part, TwoPL()).table(), made.table()
            for item, row in table.iterrows():
                lost += row["state"] != "ok"
                errors.append(row["se_difficulty"] if row["state"] == "ok" else math.inf)
                if row["state"] == "ok":
                    misses.append(row["difficulty"] - truth.loc[item, "difficulty"])
        row = found.table().loc[n_persons]
        errors.sort()
        assert row["median_error"] == errors[12]  # of 24
        assert row["high_error"] == errors[21]
        assert row["rmse"] == pytest.approx(math.sqrt(sum(m * m for m in misses) / len(misses)))
        assert row["median_absolute_error"] == pytest.approx(np.median(np.abs(misses)))
        assert row["share_reached"] == pytest.approx(np.mean(np.array(errors) <= wanted))
        assert row["share_not_ok"] == pytest.approx(lost / 24)
        assert row["not_calibrated"] == 0


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.name)
def test_every_model_can_be_planned_for_what_it_estimates(model):
    free = model.slope_rule is not SlopeRule.UNIT
    for parameter in ("difficulty", "discrimination"):
        if parameter == "difficulty" and isinstance(model, Nominal):
            continue
        if parameter == "discrimination" and not free:
            continue
        found = plan_sample(
            model,
            n_items=8,
            standard_error=0.2,
            parameter=parameter,
            sizes=(150, 600),
            replications=1,
            seed=2,
            method=QUICK,
        )
        medians = found.table()["median_error"]
        assert found.needed >= FEWEST_PERSONS
        assert not medians[600] > medians[150]  # NaN where a size could not be calibrated
        assert found.model == model.name


def test_more_persons_make_standard_errors_and_errors_smaller(plan):
    table = plan.table()
    assert table.index.tolist() == [100, 250, 1000]
    for column in ("median_error", "high_error", "rmse", "median_absolute_error"):
        assert table[column].is_monotonic_decreasing
    assert table["share_reached"].is_monotonic_increasing
    assert table["median_error"][250] / table["median_error"][1000] == pytest.approx(
        2.0, rel=SAMPLING
    )


def test_standard_errors_of_the_model_are_the_errors_it_makes():
    found = plan_sample(
        Rasch(), n_items=10, standard_error=0.1, sizes=(400,), replications=40, seed=3
    )
    row = found.table().loc[400]
    normal_quartile = 0.6745  # median absolute error of a normal estimate with unit error
    assert row["median_absolute_error"] == pytest.approx(
        normal_quartile * row["median_error"], rel=SAMPLING
    )


def test_the_answer_holds_when_it_is_simulated(plan):
    assert not plan.extrapolated
    assert 100 < plan.needed < 500
    again = plan_sample(
        TwoPL(), n_items=20, standard_error=0.2, sizes=(plan.needed,), replications=20, seed=77
    )
    assert again.table()["median_error"].item() == pytest.approx(0.2, rel=SAMPLING)


def planned(**changes):
    """A small plan."""
    given = {"n_items": 8, "standard_error": 0.2, "sizes": (300,), "replications": 2, "seed": 1}
    return plan_sample(TwoPL(), **(given | changes))


def test_missing_answers_cost_persons():
    assert planned(missing=0.5).needed > 1.5 * planned().needed


def test_the_same_seed_gives_the_same_plan():
    assert same(planned(), planned())
    assert same(planned(), planned(seed=np.random.default_rng(1)))
    assert not same(planned(), planned(seed=2))


def test_the_order_of_the_sizes_does_not_matter():
    assert same(planned(sizes=(200, 50, 100)), planned(sizes=[50, 100, 200, 200]))


@pytest.mark.parametrize("wanted", [0.5, 0.2, 0.1, 0.08, 0.05, 0.01])
def test_where_the_law_of_the_square_root_holds_the_answer_is_exact(wanted):
    sizes = tuple(size_of(n, 2.0 / math.sqrt(n)) for n in (100, 300, 900))
    needed, extrapolated = _needed(sizes, wanted)
    assert needed == max(FEWEST_PERSONS, math.ceil(4.0 / wanted**2 - 1e-6))
    assert extrapolated == (not 100 <= needed <= 900)


def test_between_sizes_the_answer_agrees_with_the_medians():
    sizes = (size_of(100, 0.9), size_of(200, 0.4), size_of(400, 0.3))
    assert _needed(sizes, 0.4) == (200, False)
    assert 100 < _needed(sizes, 0.5)[0] < 200
    assert 200 < _needed(sizes, 0.35)[0] < 400
    assert _needed(sizes, 0.3) == (400, False)
    assert _needed(sizes, 0.15) == (1600, True)


def test_sizes_without_standard_errors_are_passed_over():
    sizes = (size_of(20, math.inf), size_of(50, math.nan), size_of(100, 0.4), size_of(400, 0.2))
    assert _needed(sizes, 0.5) == (100, False)
    assert _needed(sizes, 0.3)[0] == math.ceil(100 * (4 / 3) ** 2)
    with pytest.raises(ModelError, match="In no size"):
        _needed(sizes[:2], 0.5)


def test_a_size_at_which_estimations_do_not_converge_is_counted_not_fatal():
    found = planned(sizes=(12, 2000), replications=4, method=MML(max_cycles=40))
    lost = found.table()["not_calibrated"]
    assert lost[12] > 0
    assert lost[2000] == 0
    assert np.isfinite(found.table()["median_error"][2000])
    with pytest.raises(ModelError, match=r"None of the simulated studies.*not converge") as why:
        planned(method=MML(max_cycles=1))
    assert not isinstance(why.value, NotConverged)


def test_unusable_items_are_counted_and_have_no_standard_error():
    table = planned(sizes=(12, 300), replications=4, method=MML(max_cycles=300)).table()
    assert table["share_not_ok"][12] > table["share_not_ok"][300]
    assert math.isinf(table["high_error"][12])
    assert np.isfinite(table["rmse"]).all()


def test_sentences_say_how_the_answer_came_about(plan):
    assert plan.sentence() == (
        f"About {plan.needed} persons are needed for a median standard error of 0.2 of the "
        "difficulties of 20 2pl items. Interpolated between simulations of 100 to 1,000 persons."
    )
    far = plan_sample(
        OnePL(), n_items=5, standard_error=0.01, parameter="discrimination", sizes=(100,), seed=1
    )
    assert far.extrapolated
    assert "of the discriminations of 5 1pl items" in far.sentence()
    assert "Extrapolated from simulations of 100 persons: simulate that many" in far.sentence()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parameter": "theta"}, r"Cannot plan for 'theta', only for 'discrimination', 'diff"),
        ({"sizes": ()}, "give numbers of persons"),
        ({"sizes": (5, 100)}, "at least 10 each"),
        ({"n_items": 2}, "Cannot plan with 2 items"),
        ({"replications": 0}, "0 replications"),
        ({"standard_error": 0.0}, "0.0 is not a positive number"),
        ({"standard_error": math.nan}, "nan is not a positive number"),
        ({"missing": 1.0}, "share"),
        ({"method": MML(standard_errors=None)}, "computes none"),
        ({"method": MML(latent="free")}, "None of the simulated studies"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ModelError, match=message):
        planned(**changes)


def test_parameters_that_a_model_does_not_estimate_are_refused():
    for model in (Rasch(), PartialCredit()):
        with pytest.raises(ModelError, match="holds discriminations at 1"):
            plan_sample(model, n_items=8, standard_error=0.2, parameter="discrimination", seed=1)
    with pytest.raises(ModelError, match="Nominal items have no difficulties"):
        plan_sample(Nominal(), n_items=8, standard_error=0.2, seed=1)
