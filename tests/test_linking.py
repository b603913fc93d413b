"""Linking: exact on copies, equal to brute force, close to the truth on simulated groups."""

import math
from dataclasses import replace

import numpy as np
import pytest

from irtkit.arrays import same
from irtkit.errors import ModelError
from irtkit.estimation import Calibration, Convergence, calibrate
from irtkit.latent import Histogram, Normal
from irtkit.linking import METHODS, link, linked
from irtkit.models import MODELS, Assignment, Graded, Nominal, Rasch, SlopeRule, ThreePL, TwoPL
from irtkit.responses import Responses
from irtkit.scoring import score
from irtkit.simulate import answers, item_parameters, simulate

A, B = 1.3, -0.4
EXACT = 1e-6  # of A and B on a rescaled copy; the minimum is flat to rounding below that
ROUNDING = 1e-10
SAMPLING = (
    0.15  # with 10 items and 2000 persons a group, SDs are 0.04 by curves, 0.07 by mean-sigma
)

KINDS = [
    (model, size) for model in MODELS.values() for size in ((2, 4) if model.ordinal else (2,))
]
every_model = pytest.mark.parametrize(
    ("model", "size"), KINDS, ids=[f"{model.name}-{size}" for model, size in KINDS]
)
every_method = pytest.mark.parametrize("method", METHODS)
PAIRS = [
    pytest.param(model, size, method, id=f"{model.name}-{size}-{method}")
    for model, size in KINDS
    for method in METHODS
    if method != "mean_sigma" or not isinstance(model, Nominal)
]
every_pair = pytest.mark.parametrize(("model", "size", "method"), PAIRS)
by_curves = pytest.mark.parametrize("method", METHODS[1:])


def calibration_of(assignment, parameters, latent=None, seed=0, **changes):
    """A calibration with these parameters, and a covariance drawn at random."""
    n_items, width = parameters.shape
    roots = np.random.default_rng(seed).normal(0, 0.1, (n_items, width, width))
    covariance = roots @ np.swapaxes(roots, 1, 2)
    covariance[np.isnan(parameters)[:, :, None] | np.isnan(parameters)[:, None, :]] = np.nan
    unit = assignment.models[0].slope_rule is SlopeRule.UNIT
    if unit:
        covariance[:, 0, :] = covariance[:, :, 0] = 0.0
    items = tuple(f"i{number}" for number in range(1, n_items + 1))
    nothing = np.zeros(n_items)
    made = Calibration(
        assignment=assignment,
        items=items,
        parameters=parameters,
        covariance=covariance,
        states=("ok",) * n_items,
        latent=latent or Normal(),
        log_likelihood=-1.0,
        log_prior=0.0,
        n_parameters=1,
        n_persons=100.0,
        convergence=Convergence(
            True, 1, 0.0, 0.0, items[0], 61, 0.0, np.zeros((1, 2)), nothing, nothing
        ),
        categories=tuple("0123"),
        standard_errors="observed information",
    )
    return replace(made, **changes)


def drawn(model, size, n_items=8, seed=3, **changes):
    """A calibration of items drawn as `simulate` draws them."""
    rng = np.random.default_rng(seed)
    parameters = item_parameters(model, n_items, size, rng)
    assignment = Assignment.of([model] * n_items, np.full(n_items, size))
    return calibration_of(assignment, parameters, **changes)


def unequal(calibration, seed=8):
    """The same items with other parameters, as another sample would give them."""
    noise = np.random.default_rng(seed).normal(0, 0.15, calibration.parameters.shape)
    parameters = calibration.parameters + noise
    if isinstance(calibration.assignment.models[0], Graded):
        parameters[:, 1:] = calibration.parameters[:, 1:] + noise[:, :1]
    if calibration.assignment.models[0].slope_rule is SlopeRule.UNIT:
        parameters[:, 0] = 1.0
    return replace(calibration, parameters=parameters)


def slope_of(model, slope=A):
    """A, which models with slope 1 hold at 1."""
    return 1.0 if model.slope_rule is SlopeRule.UNIT else slope


def copy_on(calibration, slope, constant):
    """The calibration with theta replaced by slope theta + constant."""
    moved = calibration.assignment.rescaled(calibration.parameters, -constant / slope, 1 / slope)
    latent = calibration.latent.rescaled(slope, constant)
    return replace(calibration, parameters=moved, latent=latent)


def plain_loss(method, new, reference, slope, constant):
    """The criterion by loops over nodes, items and categories."""
    nodes = reference.nodes()
    moved = new.assignment.rescaled(new.parameters, -constant / slope, 1 / slope)
    loss = 0.0
    for theta, log_weight in zip(nodes.theta, nodes.log_weights, strict=True):
        total, curves = 0.0, 0.0
        for place, model in enumerate(new.assignment.models):
            width = len(new.assignment.names(place))
            point = np.array([theta])
            one = model.log_prob(reference.parameters[place, :width], point)[0]
            other = model.log_prob(moved[place, :width], point)[0]
            for code in range(new.assignment.n_categories[place]):
                gap = math.exp(one[code]) - math.exp(other[code])
                curves += gap**2
                total += code * gap
        loss += math.exp(log_weight) * (curves if method == "haebara" else total**2)
    return loss


@every_pair
@pytest.mark.parametrize("constant", [B, 0.0, 2.5])
def test_linking_to_a_rescaled_copy_recovers_the_line(model, size, method, constant):
    new, slope = drawn(model, size), slope_of(model)
    found = link(new, copy_on(new, slope, constant), method=method)
    assert found.slope == pytest.approx(slope, abs=EXACT)
    assert found.constant == pytest.approx(constant, abs=EXACT)
    assert math.isnan(found.loss) if method == "mean_sigma" else found.loss < ROUNDING
    assert found.table()["distance"].max() < EXACT


@by_curves
def test_a_scale_with_another_origin_and_unit_is_found_too(method):
    new = drawn(TwoPL(), 2)
    found = link(new, copy_on(new, 100.0, 500.0), method=method)
    assert (found.slope, found.constant) == pytest.approx((100.0, 500.0), rel=EXACT)


@every_model
def test_moving_a_calibration_changes_no_probability(model, size):
    new, slope = drawn(model, size), slope_of(model)
    found = linked(new, link(new, copy_on(new, slope, B)))
    theta = np.linspace(-4, 4, 9)
    line = link(new, copy_on(new, slope, B))
    after = found.log_prob(line.slope * theta + line.constant)
    assert after == pytest.approx(new.log_prob(theta), abs=ROUNDING)
    assert found.nodes().log_weights == pytest.approx(new.nodes().log_weights, abs=ROUNDING)
    assert found.latent.mean == pytest.approx(line.constant)
    assert found.latent.standard_deviation == pytest.approx(line.slope)


@every_model
def test_moving_there_and_back_changes_nothing(model, size):
    new = drawn(model, size)
    there = link(new, copy_on(new, slope_of(model), B))
    back = replace(there, slope=1 / there.slope, constant=-there.constant / there.slope)
    found = linked(linked(new, there), back)
    assert found.parameters == pytest.approx(new.parameters, abs=ROUNDING, nan_ok=True)
    assert found.covariance == pytest.approx(new.covariance, abs=ROUNDING, nan_ok=True)
    assert found.latent.mean == pytest.approx(0.0, abs=ROUNDING)


@every_model
def test_standard_errors_move_with_their_parameters(model, size):
    new, slope = drawn(model, size), slope_of(model)
    before = new.table()
    after = linked(new, link(new, copy_on(new, slope, B))).table()
    for column in before.columns[before.columns.str.startswith("se_")]:
        factor = 1.0
        if column.startswith(("se_difficulty", "se_threshold")):
            factor = slope
        elif column.startswith(("se_discrimination", "se_slope")):
            factor = 1 / slope
        elif column.startswith("se_intercept"):
            continue  # a sum of slope and intercept
        expected = before[column].to_numpy() * factor
        assert after[column].to_numpy() == pytest.approx(expected, rel=EXACT, nan_ok=True)


@every_model
@by_curves
def test_the_criterion_equals_the_obvious_loop_and_is_smallest_there(model, size, method):
    new = drawn(model, size, n_items=3)
    reference = unequal(copy_on(new, slope_of(model), B))
    found = link(new, reference, method=method)
    here = plain_loss(method, new, reference, found.slope, found.constant)
    assert found.loss == pytest.approx(here, rel=ROUNDING, abs=ROUNDING**2)
    for ratio, shift in ((1.01, 0), (0.99, 0), (1, 0.01), (1, -0.01), (1.3, 0.3), (0.7, -0.5)):
        if ratio == 1 or model.slope_rule is not SlopeRule.UNIT:
            line = found.slope * ratio, found.constant + shift
            assert plain_loss(method, new, reference, *line) > found.loss


@pytest.mark.parametrize("model", [TwoPL(), Graded(), Rasch()], ids=lambda model: model.name)
def test_mean_sigma_equates_mean_and_standard_deviation(model):
    new = drawn(model, 2)
    reference = unequal(copy_on(new, slope_of(model), B))
    found = link(new, reference, method="mean_sigma")
    before, after = new.table()["difficulty"], reference.table()["difficulty"]
    slope = 1.0 if model == Rasch() else np.std(after) / np.std(before)
    assert found.slope == pytest.approx(slope)
    assert found.slope * before.mean() + found.constant == pytest.approx(after.mean())


@every_model
@by_curves
def test_the_distances_of_the_items_are_the_parts_of_haebaras_criterion(model, size, method):
    new = drawn(model, size)
    found = link(new, unequal(copy_on(new, slope_of(model), B)), method=method)
    parts = (found.table()["distance"] ** 2).sum()
    whole = plain_loss("haebara", new, found.reference, found.slope, found.constant)
    assert parts == pytest.approx(whole, rel=ROUNDING)


@every_method
def test_models_with_slope_one_keep_it(method):
    new = drawn(Rasch(), 2)
    reference = replace(copy_on(new, 1.0, B), latent=Normal(B, 1.7))
    found = link(new, reference, method=method)
    assert found.slope == 1.0
    assert (linked(new, found).parameters[:, 0] == 1.0).all()


@every_method
def test_items_of_several_models_link_together(method):
    models = [TwoPL(), Graded(), ThreePL(), Graded(), TwoPL()]
    assignment = Assignment.of(models, [2, 4, 2, 3, 2])
    parameters = np.full((5, 4), np.nan)
    for place, model in enumerate(models):
        own = drawn(model, int(assignment.n_categories[place]), seed=place).parameters[0]
        parameters[place, : len(own)] = own
    new = calibration_of(assignment, parameters)
    found = link(new, copy_on(new, A, B), method=method)
    assert (found.slope, found.constant) == pytest.approx((A, B), abs=EXACT)
    moved = linked(new, found)
    theta = np.linspace(-3, 3, 7)
    after = np.exp(moved.log_prob(found.slope * theta + found.constant))
    assert after == pytest.approx(np.exp(new.log_prob(theta)), abs=ROUNDING)
    assert (np.isnan(moved.covariance) == np.isnan(new.covariance)).all()


@every_method
def test_the_order_of_items_does_not_matter(method):
    new = drawn(TwoPL(), 2)
    reference = unequal(copy_on(new, A, B))
    order = np.random.default_rng(2).permutation(8)
    shuffled = replace(
        reference,
        items=tuple(reference.items[place] for place in order),
        parameters=reference.parameters[order],
    )
    one, other = link(new, reference, method=method), link(new, shuffled, method=method)
    assert (other.slope, other.constant) == pytest.approx((one.slope, one.constant), abs=EXACT)
    assert other.table().loc[one.items, :].to_numpy() == pytest.approx(
        one.table().to_numpy(), abs=EXACT
    )


def test_a_histogram_moves_with_its_nodes():
    theta = np.linspace(-4, 4, 41)
    weights = Normal().nodes(41).log_weights
    new = drawn(TwoPL(), 2, latent=Histogram(theta, np.exp(weights)))
    found = link(new, copy_on(new, A, B))
    assert (found.slope, found.constant) == pytest.approx((A, B), abs=EXACT)
    assert linked(new, found).latent.theta == pytest.approx(A * theta + B, abs=10 * EXACT)


def test_an_item_that_drifted_stands_out():
    new = drawn(TwoPL(), 2, n_items=12)
    reference = copy_on(new, A, B)
    harder = reference.parameters.copy()
    harder[4, 1] -= harder[4, 0]  # one unit of theta harder in the reference
    table = link(new, replace(reference, parameters=harder)).table()
    assert table["distance"].idxmax() == "i5"
    assert table["difficulty_difference"].abs().idxmax() == "i5"
    assert table["difficulty_difference"]["i5"] == pytest.approx(-1.0, abs=0.2)


def test_the_table_shows_the_first_threshold_and_none_of_nominal_items():
    new = drawn(Graded(), 4)
    table = link(new, copy_on(new, A, B)).table()
    expected = copy_on(new, A, B).table()
    assert table["difficulty_reference"].to_numpy() == pytest.approx(expected["threshold_1"])
    assert table["discrimination_linked"].to_numpy() == pytest.approx(
        expected["discrimination"], abs=EXACT
    )
    nominal = drawn(Nominal(), 4)
    table = link(nominal, copy_on(nominal, A, B)).table()
    assert table["difficulty_linked"].isna().all()
    assert table["discrimination_difference"].abs().max() < EXACT


def test_items_are_used_only_if_both_calibrated_them_alike():
    new = drawn(TwoPL(), 2, key=("a",) * 8, label_set=("a", "b"))
    models = [TwoPL()] * 7 + [Rasch()]
    reference = replace(
        copy_on(new, A, B),
        items=("i1", "other", "i3", "i4", "i5", "i6", "i7", "i8"),
        states=("ok", "ok", "separating", "ok", "ok", "ok", "ok", "ok"),
        key=("a", "a", "a", "b", "a", "a", "a", "a"),
        assignment=Assignment.of(models, [2] * 8),
    )
    assert link(new, reference).items == ("i1", "i5", "i6", "i7")
    assert link(new, reference, items=["i7", "i1", "i7"]).items == ("i7", "i1")
    for item, why in (("i3", "separating"), ("i4", "key b"), ("i8", "rasch")):
        with pytest.raises(ModelError, match=f"'{item}'.*{why}"):
            link(new, reference, items=["i1", item])
    without_key = replace(reference, key=None)
    assert "i4" in link(new, without_key).items


@pytest.fixture(scope="module")
def groups():
    """Two groups of persons, N(0, 1) and N(0.5, 1.2), who share 10 of their 20 items."""
    rng = np.random.default_rng(11)
    parameters = item_parameters(TwoPL(), 30, 2, rng)
    assignment = Assignment.of([TwoPL()] * 20, np.full(20, 2))
    made = []
    for mean, sd, first in ((0.0, 1.0, 0), (0.5, 1.2, 10)):
        theta = rng.normal(mean, sd, 2000)
        codes = answers(assignment, parameters[first : first + 20], theta, rng)
        items = [f"q{number}" for number in range(first + 1, first + 21)]
        made.append(Responses.from_array(codes, items=items))
    return parameters, made


@every_method
def test_the_difference_of_two_groups_is_recovered(groups, method):
    parameters, (one, other) = groups
    reference, new = calibrate(one, TwoPL()), calibrate(other, TwoPL())
    found = link(new, reference, method=method)
    assert found.items == tuple(f"q{number}" for number in range(11, 21))
    assert found.slope == pytest.approx(1.2, abs=SAMPLING)
    assert found.constant == pytest.approx(0.5, abs=SAMPLING)
    truth = -parameters[20:, 1] / parameters[20:, 0]  # of items that the reference never saw
    moved = linked(new, found).table()["difficulty"].to_numpy()[10:]
    assert np.median(np.abs(moved - truth)) < SAMPLING


def test_scores_move_along_the_line(groups):
    _, (one, other) = groups
    reference, new = calibrate(one, TwoPL()), calibrate(other, TwoPL())
    found = link(new, reference)
    before, after = score(other, new), score(other, linked(new, found))
    moved = found.slope * before.theta + found.constant
    assert after.theta == pytest.approx(moved, abs=ROUNDING)
    assert after.standard_error == pytest.approx(found.slope * before.standard_error)


def test_items_without_parameters_stay_without():
    made = simulate(TwoPL(), n_persons=300, n_items=8, seed=1)
    codes = made.responses.dense().copy()
    codes[:, 2] = 1
    new = calibrate(replace(made.responses, codes=codes), TwoPL())
    found = link(new, copy_on(new, A, B))
    assert "i3" not in found.items
    assert np.isnan(linked(new, found).parameters[2]).all()
    assert linked(new, found).states == new.states


def test_a_linked_calibration_says_so_and_leaves_the_original_alone():
    new = drawn(TwoPL(), 2)
    kept = drawn(TwoPL(), 2)
    moved = linked(new, link(new, copy_on(new, A, B)))
    assert same(new, kept)
    assert "theta = 1.3 times the original theta - 0.4" in moved.notes[-1]
    assert "stocking_lord, 8 common items" in moved.notes[-1]


def test_unknown_methods_are_refused_with_the_known_ones():
    new = drawn(TwoPL(), 2)
    with pytest.raises(ModelError, match="'mean_sigma', 'haebara', 'stocking_lord'"):
        link(new, new, method="mean_mean")


def test_fewer_than_two_common_items_are_refused_by_name():
    new = drawn(TwoPL(), 2)
    names = tuple(f"j{number}" for number in range(8))
    with pytest.raises(ModelError, match=r"0 common items\. At least 2"):
        link(new, replace(new, items=names))
    with pytest.raises(ModelError, match="1 common item: 'i1'"):
        link(new, replace(new, items=("i1", *names[1:])))
    with pytest.raises(ModelError, match=r"0 common items.*Unusable: 'i1' is .*\(separating\)"):
        link(new, replace(new, states=("separating",) * 8))
    with pytest.raises(ModelError, match="0 common items"):
        link(new, new, items=[])


def test_unknown_items_are_refused_with_the_nearest():
    new = drawn(TwoPL(), 2)
    long = tuple(f"question_{number}" for number in range(8))
    new = replace(new, items=long)
    with pytest.raises(ModelError, match=r"'question1'.*Did you mean 'question_1'"):
        link(new, new, items=["question_0", "question1"])


def test_mean_sigma_is_refused_where_difficulties_say_nothing():
    new = drawn(Nominal(), 4)
    with pytest.raises(ModelError, match=r"Nominal items have no difficulties.*'haebara'"):
        link(new, new, method="mean_sigma")
    alike = drawn(TwoPL(), 2)
    alike = replace(alike, parameters=np.tile([1.0, 0.5], (8, 1)))
    with pytest.raises(ModelError, match=r"do not differ.*'haebara'"):
        link(alike, alike, method="mean_sigma")


def test_a_linking_that_would_change_slopes_of_one_is_refused():
    new = drawn(TwoPL(), 2)
    found = link(new, copy_on(new, A, B))
    with pytest.raises(ModelError, match=r"rasch.*A = 1\.3"):
        linked(drawn(Rasch(), 2), found)
