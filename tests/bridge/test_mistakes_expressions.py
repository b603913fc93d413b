"""Boolean expressions over epochs: the same as Python's operators, and nothing else is read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irtkit.bridge.mistakes.expressions import DEEPEST, LONGEST, evaluated
from irtkit.errors import ModelError

EPOCHS = 3
EVERY = np.array(np.meshgrid(*[[False, True]] * EPOCHS)).reshape(EPOCHS, -1)  # (E, 8)


def by_python(expression):
    """Evaluate by Python's own operators, whose precedence is the one promised."""
    return eval(expression, {f"e{n + 1}": row for n, row in enumerate(EVERY)})


@pytest.mark.parametrize(
    "expression",
    [
        "e1",
        "e1 & e2 & e3",
        "e1 | e2",
        "~e3 & e1",
        "e1 | e2 & e3",
        "(e1 | e2) & e3",
        "~(e1 | e2)",
        "~~e1",
        "~e1 | ~e2 & ~(e3 | e1)",
        "  e1&(e2|~e3) ",
        "((((e2))))",
    ],
)
def test_an_expression_means_what_it_means_in_python(expression):
    assert np.array_equal(evaluated(expression, EVERY), by_python(expression))


EXPRESSIONS = st.recursive(
    st.sampled_from(["e1", "e2", "e3"]),
    lambda inner: st.one_of(
        inner.map(lambda a: f"~{a}"),
        inner.map(lambda a: f"({a})"),
        st.tuples(inner, st.sampled_from([" & ", "|", " |", "&"]), inner).map("".join),
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(EXPRESSIONS)
def test_any_expression_means_what_it_means_in_python(expression):
    assert np.array_equal(evaluated(expression, EVERY), by_python(expression))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(alphabet="e123&|~() x._[]'\"", max_size=30))
def test_any_text_is_read_or_refused(text):
    try:
        found = evaluated(text, EVERY)
    except ModelError:
        return
    assert np.array_equal(found, by_python(text.strip()))


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("e1 &", "ends, where an epoch such as e1 was expected"),
        ("e1 & & e2", "has '&' at character 6, where an epoch"),
        ("e1 e2", "has 'e2' at character 4, where an operator"),
        ("(e1 | e2", "ends, where & or | or a closing bracket"),
        ("e1 | e2)", "has '\\)' at character 8, where an operator"),
        ("()", "has '\\)' at character 2, where an epoch"),
        ("e1 and e2", "has 'and' at character 4"),
        ("e1 & E2", "has 'E2' at character 6"),
        ("e1 & e2x", "has 'e2x' at character 6"),
        ("e1; import os", "has ';' at character 3"),
        ("__import__('os')", "has '__import__' at character 1"),
        ("e1 && e2", "has '&' at character 5"),
        ("e", "has 'e' at character 1"),
        ("e4", "'e4' at character 1 .* not recorded: there is e1 to e3"),
        ("e1 | e0", "'e0' at character 6 .* not recorded"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(expression, message):
    with pytest.raises(ModelError, match=message):
        evaluated(expression, EVERY)


def test_one_epoch_is_named_as_one():
    with pytest.raises(ModelError, match=r"there is e1 \(1 epoch\)"):
        evaluated("e2", EVERY[:1])


@pytest.mark.parametrize("text", ["(" * (DEEPEST + 2), "~" * (DEEPEST + 2) + "e1"])
def test_nesting_without_end_is_refused(text):
    with pytest.raises(ModelError, match="nested"):
        evaluated(text, EVERY)


def test_a_text_without_end_is_refused():
    with pytest.raises(ModelError, match="characters; at most"):
        evaluated("e1 | " * LONGEST, EVERY)


def test_what_was_noted_is_not_changed_through_the_result():
    noted = EVERY.copy()
    evaluated("e1", noted)[:] = True
    assert np.array_equal(noted, EVERY)
