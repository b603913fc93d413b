"""Section C: scale files, as they come back from other hands."""

import json
import os
import pickle

import pytest

from irtkit.diagnostics import item_fit
from irtkit.errors import ModelError, ScaleError
from irtkit.estimation import calibrate
from irtkit.io import read_scale
from irtkit.models import TwoPL
from irtkit.simulate import simulate
from tests.bad_inputs.catalogue import absent, accepted, holds, refused
from tests.bad_inputs.scales_made import changed, document, five, resealed, six
from tests.bad_inputs.small_tables import BASE, calibrating

MODEL = "item,correct\n" + "".join(f"i{n},{n % 2}\n" for n in range(1, 6))
SLOPE = ("items", 1, "parameters", "slope")
INTERCEPT = ("items", 1, "parameters", "intercept")
MARK = 123456.5  # a number that stands nowhere else in the file


def scoring(bench, content, name="scale.json"):
    """Write a scale file and give the words that score a model on it."""
    path = bench.write(name, content)
    return ["score", path, bench.write("model.csv", MODEL), "-o", "scores.csv"]


def with_change(path, value) -> str:
    """Return the scale with one field changed and a seal that fits."""
    return resealed(changed(document(five()), path, value))


def with_text(path, word: str) -> str:
    """Return the scale with a number written in another way, and no seal that fits."""
    return json.dumps(changed(document(five()), path, MARK)).replace(str(MARK), word)


@accepted(69, "a table of predictions", writes=["scores.csv"])
def untouched_scale(bench):
    yield scoring(bench, five())


@refused(69, r"'irtkit/scale/2'; this irtkit reads version 1")
def newer_schema(bench):
    return scoring(bench, with_change(["schema"], "irtkit/scale/2"))


@refused(69, r"'irtkit/scale/0'; this irtkit reads version 1")
def older_schema(bench):
    """There was no earlier version, so nothing is to be migrated yet."""
    return scoring(bench, with_change(["schema"], "irtkit/scale/0"))


@refused(69, "another kind of file", about="c.json")
def calibration_given_as_a_scale(bench):
    assert bench.run(*calibrating(bench, BASE)).code == 0
    return ["score", "c.json", bench.write("model.csv", MODEL)]


@refused(69, "another kind of file")
def scale_given_as_a_calibration(bench):
    path = bench.write("scale.json", five())
    return ["diagnose", bench.write("answers.csv", BASE), path, "-o", "fit"]


@refused(70, "Unknown fields: 'surprise'")
def unknown_field(bench):
    return scoring(bench, with_change(["surprise"], 1))


@refused(70, r"Unknown fields in items\[1\]: 'surprise'")
def unknown_field_of_an_item(bench):
    return scoring(bench, with_change(["items", 1, "surprise"], 1))


@refused(71, r"items\[1\]\.parameters\.slope is missing")
def missing_parameter(bench):
    return scoring(bench, with_change(SLOPE, ...))


@refused(71, r"norms\.theta is missing")
def missing_norms(bench):
    return scoring(bench, with_change(["norms", "theta"], ...))


@refused(71, r"norms\.theta is empty")
def empty_norms(bench):
    empty = {"theta": [], "below": [], "at_or_below": [], "n_persons": 5.0}
    return scoring(bench, with_change(["norms"], empty))


@refused(72, "was changed after irtkit wrote it, or is damaged.*Build it again")
def tampered_parameter(bench):
    text = five().decode()
    slope = repr(document(five())["items"][1]["parameters"]["slope"])
    assert text.count(slope) == 1
    return scoring(bench, text.replace(slope, "1.25"))


@refused(72, "field sha256 is missing")
def seal_left_out(bench):
    return scoring(bench, json.dumps(document(five())))


@refused(73, "It holds NaN, which is not JSON")
def nan_literal(bench):
    return scoring(bench, with_text(SLOPE, "NaN"))


@refused(73, "It holds -Infinity, which is not JSON")
def infinity_literal(bench):
    return scoring(bench, with_text(SLOPE, "-Infinity"))


@refused(74, r"items\[1\]\.parameters\.slope is 0")
def slope_of_zero(bench):
    return scoring(bench, with_change(SLOPE, 0.0))


@refused(74, r"items\[2\]\.covariance is no covariance matrix")
def negative_variance(bench):
    return scoring(bench, with_change(["items", 2, "covariance", 0, 0], -0.5))


@refused(74, r"latent\.standard_deviation is 0")
def no_spread_of_ability(bench):
    return scoring(bench, with_change(["latent", "standard_deviation"], 0))


@refused(74, r"items\[0\].*(?:order|fall|thresholds)", about="c.json")
def thresholds_out_of_order(bench):
    made = json.loads(calibrated(bench, "graded"))
    parameters = made["items"][0]["parameters"]
    names = [name for name in parameters if name.startswith("intercept")]
    swapped = dict(zip(names, [parameters[n] for n in reversed(names)], strict=True))
    return diagnosing(bench, changed(made, ["items", 0, "parameters"], parameters | swapped))


def with_asymptotes(model, **logits) -> str:
    """Return the scale with asymptotes on its first item."""
    fields = document(five())
    parameters = fields["items"][0]["parameters"] | logits
    fields["items"][0] |= {"model": model, "parameters": parameters, "covariance": None}
    return resealed(fields)


@refused(74, r"items\[0\]\.parameters: .*impossible.*upper asymptote lies above the lower")
def lower_asymptote_above_the_upper(bench):
    return scoring(bench, with_asymptotes("4pl", logit_lower=2.0, logit_upper=1.0))


@refused(75, r"items\[0\]\.parameters\.logit_lower is 40\.0")
def lower_asymptote_of_one(bench):
    return scoring(bench, with_asymptotes("3pl", logit_lower=40.0))


def calibrated(bench, model) -> str:
    """Calibrate a few simulated answers and return the file."""
    size = ["--persons", 200, "--items", 4, "--seed", 1]
    assert bench.run("simulate", "--model", model, *size, "-o", "a.csv").code == 0
    loose = ["--tolerance", 0.01, "--standard-errors", "none"]
    assert bench.run("calibrate", "a.csv", "--model", model, *loose, "-o", "old.json").code == 0
    return (bench.folder / "old.json").read_text()


def diagnosing(bench, fields):
    """Seal the fields of a calibration and give the words that read it."""
    del fields["sha256"]
    return ["diagnose", "a.csv", bench.write("c.json", resealed(fields)), "-o", "fit"]


@refused(74, "which the rasch model excludes")
def slope_of_a_rasch_item(bench):
    fields = document(five())
    for row in fields["items"]:
        row |= {"model": "rasch", "covariance": None}
        row["parameters"]["slope"] = 1.0
    return scoring(bench, resealed(changed(fields, SLOPE, 1.5)))


@refused(75, r"items\[1\]\.parameters\.slope is 1000000")
def slope_of_a_million(bench):
    return scoring(bench, with_change(SLOPE, 1e6))


@refused(75, r"items\[1\]\.parameters\.intercept is -1000000")
def intercept_of_minus_a_million(bench):
    return scoring(bench, with_change(INTERCEPT, -1e6))


@refused(76, "nested more than 64 deep")
def nested_100_000_deep(bench):
    return scoring(bench, "[" * 100_000 + "]" * 100_000)


@refused(76, "nested more than 64 deep")
def objects_nested_100_000_deep(bench):
    return scoring(bench, '{"a":' * 100_000 + "1" + "}" * 100_000)


@refused(76, "number 1e999, which is too large")
def number_beyond_float64(bench):
    return scoring(bench, with_text(SLOPE, "1e999"))


@refused(76, r"number 9{20}\.\.\., which is too large")
def integer_beyond_float64(bench):
    return scoring(bench, with_text(SLOPE, "9" * 400))


@refused(76, "at most 268,435,456 are read")
def larger_than_any_scale(bench):
    words = scoring(bench, b"")
    os.truncate(words[1], 2**28 + 1)  # a sparse file
    return words


@refused(77, "The field 'slope' stands twice in one object")
def repeated_field(bench):
    return scoring(bench, five().decode().replace('"slope":', '"slope": 9.0, "slope":', 1))


absent(78, "a scale is one file and names no others; members of log archives are tried under 49")
absent(80, "no YAML is read")


@refused(79, "is a Python pickle, not JSON.*never unpickles")
def pickle_named_json(bench):
    return scoring(bench, pickle.dumps(document(five())))


@refused(79, "is a zip archive, not JSON")
def archive_named_json(bench):
    return scoring(bench, b"PK\x03\x04archive/data.pkl")


@accepted(81, "a table of predictions", writes=["scores.csv"])
def answers_in_another_order_than_the_scale(bench):
    lines = MODEL.splitlines()
    words = scoring(bench, five())
    assert bench.run(*words).code == 0
    plain = (bench.folder / "scores.csv").read_text()
    (bench.folder / "scores.csv").unlink()
    bench.write("model.csv", "\n".join([lines[0], *lines[:0:-1]]) + "\n")
    yield words
    assert (bench.folder / "scores.csv").read_text() == plain


@holds(81, "refused in Python")
def answers_to_items_that_were_not_calibrated(bench):
    made = simulate(TwoPL(), n_persons=200, n_items=6, seed=9).responses
    known = calibrate(made.select_items(made.items[:5]), TwoPL())
    with pytest.raises(ModelError, match="1 of 6 items are not in the calibration: 'i6'"):
        item_fit(made, known)


@refused(82, "6 items in two of the sets: 'i1'", about=None)
def two_scales_of_one_name_and_other_content(bench):
    other = changed(document(six()), ["items", 0, "parameters", "slope"], 1.5)
    paths = [bench.write("a.json", six()), bench.write("b.json", resealed(other))]
    rows = "".join(f"i{n},words {n}\n" for n in range(1, 7))
    texts = bench.write("texts.csv", "item,text\n" + rows)
    return ["export", *paths, "--texts", texts, "-o", "set.jsonl"]


@refused(83, r"slope is '1\.0'; it should be a number")
def number_in_quotes(bench):
    return scoring(bench, with_change(SLOPE, "1.0"))


@refused(83, r"convergence\.n_cycles is 12\.5; it should be a whole number")
def half_a_cycle(bench):
    return scoring(bench, with_change(["convergence", "n_cycles"], 12.5))


@refused(84, "is not complete JSON")
def half_a_file(bench):
    return scoring(bench, five()[: len(five()) // 2])


@refused(84, r"The version before it is .*scale\.json\.bak")
def half_a_file_with_the_version_before(bench):
    bench.write("scale.json", five()[: len(five()) // 2])
    bench.write("scale.json.bak", five())
    return scoring(bench, five()[: len(five()) // 2])


@refused(84, "is not complete JSON")
def empty_file(bench):
    return scoring(bench, b"")


@refused(84, r"holds list, not an object")
def list_of_scales(bench):
    return scoring(bench, "[]")


@refused(84, "is not UTF-8 at byte 2")
def bytes_that_are_no_text(bench):
    return scoring(bench, b'{"\xff": 1}')


@refused(84, r"holds \\ud800, half of a character")
def half_of_a_character(bench):
    return scoring(bench, with_change(["name"], "\ud800"))


@accepted(85, "a table of predictions", writes=["scores.csv"])
def markup_in_the_name(bench):
    markup = "<script>alert(1)</script>{{7*7}}\x1b[31m"
    ran = yield scoring(bench, with_change(["name"], markup))
    assert read_scale(bench.folder / "scale.json").name == markup
    assert "<script>alert(1)</script>{{7*7}}" in ran.out
    assert "\x1b" not in ran.out


@refused(86, "slope is '1,5'; it should be a number")
def decimal_comma(bench):
    return scoring(bench, with_change(SLOPE, "1,5"))


@refused(86, "is not complete JSON")
def decimal_comma_without_quotes(bench):
    return scoring(bench, with_text(SLOPE, "1,5"))


@holds(84, "refused in Python")
def every_cut_of_a_scale_file(bench):
    whole = five()
    for end in range(0, len(whole) - 2, max(1, len(whole) // 60)):
        path = bench.write("cut.json", whole[:end])
        with pytest.raises(ScaleError):
            read_scale(path)
