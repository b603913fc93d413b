"""The evaluation scale: documents, strictness, and models placed on it."""

import copy
import json

import numpy as np
import pytest

from irtkit.arrays import same
from irtkit.coding import Coding
from irtkit.datasets import load_dataset, load_items
from irtkit.errors import PredictionError, ScaleError
from irtkit.estimation import calibrate
from irtkit.estimation.record import calibration_document, calibration_from
from irtkit.models import MODELS, OnePL, Rasch, TwoPL
from irtkit.norms import percentile_words
from irtkit.responses import Responses
from irtkit.scale import build_scale, scale_document, scale_from, scale_score
from irtkit.screening import ItemStates, preset, screen
from irtkit.simulate import simulate
from tests.bad_inputs.scales_made import changed


@pytest.fixture(scope="module")
def screening():
    items = load_items("crowd_nli")
    kitchen = list(items[items["scale"] == "kitchen"]["item"])
    return screen(load_dataset("crowd_nli").select_items(kitchen), TwoPL(), preset("lalor2016"))


@pytest.fixture(scope="module")
def scale(screening):
    return build_scale(screening, name="kitchen entailment")


def predict(scale, labels, items=None, names=("model",)):
    items = list(scale.items if items is None else items)
    return Responses.from_triples(
        [name for name in names for _ in items],
        items * len(names),
        labels,
        coding=Coding(nominal=True),
    )


def gold(scale):
    return list(scale.calibration.key)


def test_scale_survives_its_document(scale):
    document = json.loads(json.dumps(scale_document(scale), allow_nan=False))
    assert same(scale_from(document), scale)


@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_calibration_survives_its_document(model):
    made = simulate(model, n_persons=300, n_items=6, seed=8)
    codes = made.responses.dense().copy()
    codes[:, 2] = 1
    calibration = calibrate(Responses.from_array(codes), model)
    document = json.loads(json.dumps(calibration_document(calibration), allow_nan=False))
    assert same(calibration_from(document), calibration)


def test_no_person_id_stands_in_a_scale(screening, scale):
    text = json.dumps(scale_document(scale))
    assert not [person for person in screening.responses.persons if f'"{person}"' in text]


def test_label_distribution_is_the_share_of_the_crowds_answers(screening, scale):
    shares = scale.label_distribution()
    assert shares.sum(axis=1).to_numpy() == pytest.approx(1.0)
    item = scale.items[0]
    column = screening.responses.items.index(item)
    given = screening.responses.labels[:, column]
    number = scale.calibration.label_set.index("neutral")
    expected = (given == number).sum() / (given >= 0).sum()
    assert shares.loc[item, "neutral"] == pytest.approx(expected)


def test_the_key_itself_is_at_the_ceiling_with_an_interval(scale):
    result = scale_score(predict(scale, gold(scale)), scale)
    row = result.table().iloc[0]
    assert row["at_ceiling"]
    assert not row["at_floor"]
    assert row["percentile_low"] < row["percentile"] < row["percentile_high"] < 100
    assert row["n_answered"] == len(scale.items)
    columns = ["theta", "standard_error", "percentile", "percentile_low", "percentile_high"]
    columns += ["percentile_empirical", "percentile_midrank", "n_answered", "at_ceiling"]
    assert list(result.table().columns)[:10] == [*columns, "at_floor"]


def test_all_wrong_is_at_the_floor_below_everybody(scale):
    wrong = {"entailment": "neutral", "neutral": "contradiction", "contradiction": "neutral"}
    row = scale_score(predict(scale, [wrong[g] for g in gold(scale)]), scale).table().iloc[0]
    assert row["at_floor"]
    assert row["percentile_empirical"] < 1


def test_graded_predictions_score_like_labels(scale):
    labels = ["entailment"] * len(scale.items)
    grades = [int(label == right) for label, right in zip(labels, gold(scale), strict=True)]
    by_label = scale_score(predict(scale, labels), scale).table()
    graded = Responses.from_triples(["model"] * len(grades), scale.items, grades)
    assert scale_score(graded, scale).table().equals(by_label)


def test_missing_and_extra_items_are_named_and_widen_the_error(scale):
    full = scale_score(predict(scale, gold(scale)), scale)
    items = [*scale.items[:10], "garden-01"]
    part = scale_score(predict(scale, [*gold(scale)[:10], "neutral"], items), scale)
    notes = " ".join(part.notes)
    assert "'garden-01'" in notes
    assert f"{len(scale.items) - 10} of {len(scale.items)} items" in notes
    assert part.scores.standard_error[0] > full.scores.standard_error[0]
    assert part.scores.n_answered[0] == 10


def test_unanswered_items_of_a_model_are_named(scale):
    labels = [*gold(scale), *gold(scale)]
    labels[3] = None
    notes = scale_score(predict(scale, labels, names=("a", "b")), scale).notes
    assert notes == (f"'a' left 1 item unanswered: '{scale.items[3]}'.",)


def test_order_of_items_does_not_matter(scale):
    labels = ["neutral" if n % 3 else right for n, right in enumerate(gold(scale))]
    first = scale_score(predict(scale, labels), scale).table()
    second = scale_score(predict(scale, labels[::-1], scale.items[::-1]), scale).table()
    assert np.allclose(first.to_numpy(float), second.to_numpy(float), atol=1e-9)


def test_unknown_label_is_refused_with_the_scales_labels(scale):
    labels = gold(scale)
    labels[4] = "entails"
    with pytest.raises(PredictionError) as caught:
        scale_score(predict(scale, labels), scale)
    message = str(caught.value)
    assert "1 of 2" in message
    assert f"'entails' (items '{scale.items[4]}')" in message
    assert "contradiction, entailment, neutral" in message
    assert "--label-map entails=" in message


def test_predictions_of_another_split_are_refused(scale):
    with pytest.raises(PredictionError, match="None of the 4 predicted items"):
        scale_score(predict(scale, ["neutral"] * 4, ["x1", "x2", "x3", "x4"]), scale)


def test_too_few_answers_are_refused(scale):
    with pytest.raises(PredictionError, match=r"'model' answered fewer than 3"):
        scale_score(predict(scale, gold(scale)[:2], scale.items[:2]), scale)


def test_scale_from_codes_has_no_label_distribution_and_takes_no_labels():
    made = simulate(TwoPL(), n_persons=300, n_items=6, seed=8)
    scale = build_scale(screen(made.responses, TwoPL(), (ItemStates(),)), name="codes")
    with pytest.raises(ScaleError, match="built from codes"):
        scale.label_distribution()
    with pytest.raises(PredictionError, match="has no key"):
        scale_score(predict(scale, ["a", "b", "a", "b", "a", "b"]), scale)


def change(document, path, value):
    return changed(copy.deepcopy(document), path, value)


REFUSED = [
    (("schema",), "irtkit/scale/9", "version of irtkit"),
    (("schema",), "other", "another kind of file"),
    (("name",), ..., "field name is missing"),
    (("items", 2, "parameters", "slope"), ..., r"items\[2\]\.parameters\.slope is missing"),
    (("items", 2, "parameters", "slope"), 0, r"items\[2\]\.parameters\.slope is 0"),
    (("items", 2, "parameters", "slope"), 1e6, r"items\[2\]\.parameters\.slope is 1000000"),
    (("items", 2, "parameters", "slope"), "1.0", r"'1\.0'; it should be a number"),
    (("items", 2, "parameters", "slope"), True, "it should be a number"),
    (("items", 2, "parameters", "intercept"), float("nan"), "it should be a number from"),
    (("items", 1, "covariance"), [[-1.0, 0.0], [0.0, 1.0]], "no covariance matrix"),
    (("items", 1, "covariance"), [[1.0, 0.0]], "2 x 2 finite numbers"),
    (("items", 1, "gold"), "entails", "'entails' are not in label_set"),
    (("items", 1, "gold"), None, "some items have one, some not"),
    (("items", 1, "state"), "fine", "state is 'fine'"),
    (("items", 1, "model"), "5pl", "model is '5pl'"),
    (("items", 1, "extra"), 1, None),
    (("latent", "standard_deviation"), -1, "standard_deviation is -1"),
    (("latent", "distribution"), "cauchy", "'cauchy'"),
    (("norms", "theta"), [1.0, 0.0], "n finite numbers|should"),
    (("norms", "n_persons"), 0, "n_persons is 0"),
    (("label_counts",), [[1.0]], "finite numbers"),
    (("provenance", "rules"), "s_x2", "a list of texts"),
    (("surprise",), 1, "Unknown fields: 'surprise'"),
    (("items",), [], "items is empty"),
]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    REFUSED,
    ids=[f"{'.'.join(map(str, p))}={v!r:.20}" for p, v, _ in REFUSED],
)
def test_reading_is_strict_and_names_the_place(scale, path, value, message):
    document = change(scale_document(scale), path, value)
    with pytest.raises(ScaleError, match=message or "Unknown fields in items"):
        scale_from(document)


def test_repeated_item_ids_are_refused(scale):
    document = scale_document(scale)
    document["items"][1]["item"] = document["items"][0]["item"]
    with pytest.raises(ScaleError, match="more than once"):
        scale_from(document)


def test_rasch_scale_needs_unit_slopes():
    made = simulate(Rasch(), n_persons=200, n_items=5, seed=1)
    document = calibration_document(calibrate(made.responses, Rasch()))
    document["items"][0]["parameters"]["slope"] = 1.5
    with pytest.raises(ScaleError, match="the rasch model excludes"):
        calibration_from(document)


def test_name_is_required(screening):
    with pytest.raises(ScaleError, match="needs a name"):
        build_scale(screening, name=" ")


def test_1pl_scale_scores():
    made = simulate(OnePL(), n_persons=300, n_items=8, seed=8)
    scale = build_scale(screen(made.responses, OnePL(), (ItemStates(),)), name="one")
    table = scale_score(made.responses, scale).table()
    assert table["percentile_empirical"].between(0, 100).all()
    ranks = table[["theta", "percentile"]].round(6).rank()
    assert (ranks["theta"] == ranks["percentile"]).all()


def test_draws_of_the_items_widen_intervals_and_leave_the_place_among_the_norms(scale):
    answers = gold(scale)
    answers[0] = next(label for label in scale.calibration.label_set if label != answers[0])
    for given in (gold(scale), answers):
        plain = scale_score(predict(scale, given), scale).table().iloc[0]
        drawn = scale_score(predict(scale, given), scale, item_draws=100, seed=1).table().iloc[0]
        assert drawn["standard_error"] > plain["standard_error"]
        assert drawn["theta"] != plain["theta"]
        for name in ("percentile_empirical", "percentile_midrank"):
            assert drawn[name] == plain[name]


@pytest.mark.parametrize(
    ("value", "decimals", "words"),
    [
        (100.0, 1, "> 99.9"),
        (0.0, 1, "< 0.1"),
        (99.87, 1, "99.9"),
        (50.04, 1, "50.0"),
        (50.04, 0, "50"),
        (99.7, 0, "99.7"),
        (0.3, 0, "0.3"),
        (float("nan"), 1, "\N{EN DASH}"),
    ],
)
def test_a_percentile_is_never_0_or_100_in_words(value, decimals, words):
    assert percentile_words(value, decimals) == words
