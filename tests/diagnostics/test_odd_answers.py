"""Answers that no model likes: each ends in a named state or a refusal, in every diagnostic."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import irtkit as irt
from irtkit.errors import IrtkitError, ModelError

QUICK = irt.MML(standard_errors=None)
PRIORS = irt.MML(standard_errors=None, priors=irt.Priors.small_sample())
BY_GROUP = irt.DIFOptions(estimation=irt.MML(priors=irt.Priors.small_sample()), purify=False)
GROUPS = ["a", "b"] * 60


def drawn():
    return irt.simulate(irt.TwoPL(), n_persons=120, n_items=8, seed=5).responses


def with_column(item, answers):
    responses = drawn()
    codes = responses.dense().copy()
    codes[:, item] = answers(codes)
    return replace(responses, codes=codes)


def guttman():
    """Persons and items in one order: who solves an item solves all easier ones."""
    level = np.arange(120) % 9
    return replace(drawn(), codes=(level[:, None] > np.arange(8)).astype(np.int8))


def disconnected():
    responses = drawn()
    codes = responses.dense().copy()
    codes[:60, :4] = -1
    codes[60:, 4:] = -1
    return replace(responses, codes=codes)


ODD = {
    "reverse-keyed": lambda: with_column(2, lambda codes: 1 - codes[:, 2]),
    "constant": lambda: with_column(3, lambda codes: np.ones(120)),
    "duplicate": lambda: with_column(4, lambda codes: codes[:, 1]),
    "separating": guttman,
    "unanswered": lambda: with_column(5, lambda codes: np.full(120, -1)),
}
DIAGNOSTICS = {
    "item_fit": irt.item_fit,
    "grouped_fit": irt.grouped_fit,
    "item_curves": irt.item_curves,
    "local_dependence": irt.local_dependence,
    "dependence_search": lambda r, c: irt.dependence_search(r, c).top,
    "model_fit": irt.model_fit,
    "person_fit": irt.person_fit,
    "low_effort": irt.low_effort,
    "classical_table": lambda r, c: irt.classical_table(r),
    "dif": lambda r, c: irt.dif(r, GROUPS, options=BY_GROUP),
    "dif_wald": lambda r, c: irt.dif(r, GROUPS, method="wald", options=BY_GROUP),
    "dimensionality": lambda r, c: irt.dimensionality(r, n_draws=3),
    "compare_dimensions": lambda r, c: irt.compare_dimensions(r),
    "q3_reference": lambda r, c: irt.q3_reference(r, c, n_draws=2, method=PRIORS).table(),
}


def table_or_words(call):
    """Return what a call gives, or what a refusal says."""
    try:
        return call(), ""
    except IrtkitError as refusal:
        return None, str(refusal)


@pytest.mark.parametrize("state", ODD)
def test_odd_items_have_their_state(state):
    calibration = irt.calibrate(ODD[state](), irt.TwoPL(), method=QUICK)
    assert state in calibration.states


@pytest.mark.parametrize("name", DIAGNOSTICS)
@pytest.mark.parametrize("state", ODD)
def test_every_diagnostic_gives_a_table_or_says_why_not(state, name):
    responses = ODD[state]()
    calibration = irt.calibrate(responses, irt.TwoPL(), method=QUICK)
    before = responses.fingerprint()
    table, words = table_or_words(lambda: DIAGNOSTICS[name](responses, calibration))
    assert responses.fingerprint() == before
    if table is None:
        assert words.endswith((".", ")"))
        assert len(words) > 40  # a sentence, not a word
    else:
        assert isinstance(table, pd.DataFrame)
        assert len(table) > 0


@pytest.mark.parametrize("preset", ["lalor2016", "standard", "strict", "leaderboard"])
@pytest.mark.parametrize("state", ODD)
def test_every_preset_ends_with_a_log_or_a_refusal(state, preset):
    rules = [rule for rule in irt.preset(preset) if not isinstance(rule, irt.LowerAsymptotes)]
    result, words = table_or_words(
        lambda: irt.screen(ODD[state](), irt.TwoPL(), rules, method=QUICK)
    )
    if result is None:
        assert words.startswith("Screening left")
    elif preset == "leaderboard" and state == "separating":
        assert set(result.calibration.states) == {state}  # told by name, left to priors
    else:
        assert state not in set(result.calibration.states)


def test_disconnected_answers_are_refused_by_name():
    with pytest.raises(ModelError, match="share neither items nor persons"):
        irt.screen(disconnected(), irt.TwoPL(), irt.preset("standard"), method=QUICK)
