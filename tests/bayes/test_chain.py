"""A posterior in the chain: screening by sampling, scales, scores over draws, the command line."""

import json

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("pymc")
pytest.importorskip("nutpie")

from irtkit.cli import run
from irtkit.errors import ModelError, NotConverged
from irtkit.estimation import MML, Priors
from irtkit.estimation.bayes import (
    NUTS,
    Bayes,
    SignedPriors,
    read_posterior,
    write_posterior,
)
from irtkit.models import TwoPL
from irtkit.scale import build_scale, scale_score
from irtkit.scoring import score
from irtkit.screening import ItemStates, LowerAsymptotes, screen
from irtkit.simulate import simulate
from tests.bayes.posteriors import given, small, well_mixed

QUICK = Bayes(SignedPriors(), NUTS(draws=800, tune=500, chains=2), seed=3)
HASTY = Bayes(SignedPriors(), NUTS(draws=20, tune=20, chains=2), seed=3)


@pytest.fixture(scope="module")
def answers():
    """60 persons, 8 items of which the last was keyed the wrong way round."""
    made = simulate(TwoPL(), n_persons=60, n_items=8, seed=4).responses
    codes = made.dense().copy()
    codes[:, -1] = 1 - codes[:, -1]
    frame = pd.DataFrame(codes, index=made.persons, columns=made.items)
    return type(made).from_frame(frame.rename_axis("person").reset_index())


@pytest.mark.slow
def test_a_screening_by_sampling_becomes_a_scale(answers):
    result = screen(answers, TwoPL(), [LowerAsymptotes(), ItemStates()], method=QUICK)
    assert result.kept == list(answers.items[:-1])
    assert "maximum likelihood only" in result.log["reason"].iloc[0]
    assert result.calibration.standard_errors == "posterior standard deviations"
    scale = build_scale(result, name="seven items")
    table = scale_score(answers.select_items(scale.items), scale, item_draws=50).table()
    assert table["percentile"].between(0, 100).all()


@pytest.mark.slow
def test_a_posterior_that_fails_its_checks_makes_no_scale_unless_told(answers):
    result = screen(answers, TwoPL(), [ItemStates()], method=HASTY)
    assert not result.calibration.converged
    with pytest.raises(NotConverged, match="accept_unusable") as caught:
        build_scale(result, name="seven items")
    assert caught.value.calibration is result.calibration
    assert build_scale(result, name="seven items", accept_unusable=True).items


def test_abilities_over_given_draws_are_the_mean_over_draws():
    drawn, posterior = small()
    calibration, draws = posterior.calibration(), posterior.item_draws(7)
    mixed = score(drawn.responses, calibration, item_draws=draws)
    single = [score(drawn.responses, calibration, item_draws=one[None]) for one in draws]
    theta = np.stack([each.theta for each in single])
    second = np.stack([each.standard_error**2 + each.theta**2 for each in single])
    np.testing.assert_allclose(mixed.theta, theta.mean(axis=0), atol=1e-12)
    expected = np.sqrt(second.mean(axis=0) - theta.mean(axis=0) ** 2)
    np.testing.assert_allclose(mixed.standard_error, expected, atol=1e-9)


def test_draws_of_the_items_widen_intervals():
    drawn, posterior = small()
    calibration = posterior.calibration()
    fixed = score(drawn.responses, calibration)
    mixed = score(drawn.responses, calibration, item_draws=posterior.item_draws(200))
    assert (mixed.standard_error > fixed.standard_error).mean() > 0.9


def test_draws_follow_their_items_when_persons_answered_some():
    drawn, posterior = small()
    some = drawn.responses.select_items(drawn.responses.items[3:0:-1])
    draws = posterior.item_draws(5)
    whole = posterior.calibration()
    mixed = score(some, whole, item_draws=draws)
    by_hand = [
        score(some, whole, item_draws=np.repeat(one[None], 2, axis=0)).theta for one in draws
    ]
    np.testing.assert_allclose(mixed.theta, np.mean(by_hand, axis=0), atol=1e-12)


def test_draws_of_another_shape_are_refused():
    drawn, posterior = small()
    with pytest.raises(ModelError, match="have shape"):
        score(drawn.responses, posterior.calibration(), item_draws=np.ones((3, 2, 2)))
    draws = posterior.item_draws(3)
    with pytest.raises(ModelError, match="'eap' only"):
        score(drawn.responses, posterior.calibration(), method="map", item_draws=draws)


def test_a_calibration_from_sampling_says_its_priors_in_words():
    notes = given(well_mixed()).calibration().notes
    assert any("mean difficulty Normal(0, 2)" in note for note in notes)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A file of answers."""
    path = tmp_path_factory.mktemp("answers") / "answers.csv"
    made = simulate(TwoPL(), n_persons=80, n_items=5, seed=4).responses
    pd.DataFrame(made.dense(), columns=made.items).to_csv(path, index_label="person")
    return path


def command(*words):
    return run([str(word) for word in words])


def test_the_command_line_samples_and_keeps_the_draws(table, tmp_path, capsys):
    out, draws = tmp_path / "c.json", tmp_path / "draws.nc"
    words = [
        "--method",
        "bayes",
        "--draws",
        "500",
        "--target-accept",
        "0.98",
        "--sampling-seed",
        "4",
    ]
    assert command("calibrate", table, *words, "--posterior", draws, "-o", out, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["checks"]["verdict"] == "usable"
    assert shown["n_cycles"] == 2000
    posterior = read_posterior(draws)
    assert posterior.parameters.shape == (4, 500, 5, 2)
    assert posterior.sampling.seed == 4
    assert draws.stat().st_mode & 0o777 == out.stat().st_mode & 0o777
    slopes = [row["discrimination"] for row in shown["items"]]
    np.testing.assert_allclose(slopes, posterior.parameters[..., 0].mean(axis=(0, 1)))


def test_the_command_line_shows_the_checks(table, tmp_path, capsys):
    words = ["--method", "bayes", "--draws", "500", "--target-accept", "0.98"]
    assert command("calibrate", table, *words, "-o", tmp_path / "c.json") == 0
    shown = capsys.readouterr().out
    assert "largest R-hat" in shown
    assert "divergences" in shown


def test_draws_that_fail_their_checks_end_in_a_partial_file(table, tmp_path, capsys):
    out = tmp_path / "c.json"
    words = ["--method", "bayes", "--draws", "20", "--tune", "20", "--chains", "2"]
    assert command("calibrate", table, *words, "-o", out) == 3
    assert "not usable" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["c.json.partial"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "bayes", "--latent", "histogram"], "--latent belongs to --method mml"),
        (["--method", "bayes", "--checkpoint", "x"], "--checkpoint belongs to --method mml"),
        (["--draws", "10"], "--draws belongs to --method bayes"),
        (["--posterior", "x.nc"], "--posterior belongs to --method bayes"),
    ],
)
def test_options_of_the_other_method_are_refused(table, tmp_path, capsys, words, message):
    assert command("calibrate", table, *words, "-o", tmp_path / "c.json") == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_checks_of_a_screening_go_by_maximum_likelihood(table, tmp_path, capsys):
    words = ["--method", "bayes", "--checks", tmp_path / "checks"]
    assert command("screen", table, *words, "-o", tmp_path / "s.json") == 2
    assert "--method mml" in capsys.readouterr().err


def test_bayes_and_mml_are_the_two_methods():
    assert Bayes() == Bayes(sampler=NUTS())
    assert MML(priors=Priors.small_sample()) != MML()


@pytest.mark.parametrize(
    "words",
    [
        ("trace", "--parameter", "intercept"),
        ("trace", "--parameter", "sd_difficulty"),
        ("forest", "--item", "{item}"),
        ("forest", "--parameter", "difficulty"),
    ],
)
def test_the_command_line_draws_a_posterior(words, tmp_path):
    pytest.importorskip("matplotlib")
    _, posterior = small()
    write_posterior(posterior, tmp_path / "draws.nc")
    given = [word.format(item=posterior.items[0]) for word in words]
    out = tmp_path / "a.png"
    assert command("plot", given[0], tmp_path / "draws.nc", *given[1:], "-o", out) == 0
    assert out.stat().st_size > 1000


def test_an_unknown_parameter_or_item_is_named(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    write_posterior(small()[1], tmp_path / "draws.nc")
    for words in (("trace", "--parameter", "discriminatoin"), ("forest", "--item", "none")):
        out = tmp_path / "a.png"
        assert command("plot", words[0], tmp_path / "draws.nc", *words[1:], "-o", out) == 2
        assert words[-1] in capsys.readouterr().err
