"""Overlap of training and evaluation is found by id and by text."""

import pandas as pd
import pytest

from irtkit.bridge.finetuning.leaks import check_leak, normalised, text_keys
from irtkit.errors import ModelError

TRAINED = pd.DataFrame(
    {
        "item": ["a1", "a2"],
        "text": ["A man sleeps.", "Two dogs run"],
        "text_pair": ["He is awake.", "Dogs move"],
    }
)


def table(**columns):
    return pd.DataFrame({name: [value] for name, value in columns.items()})


def test_sets_without_overlap_pass():
    check_leak(TRAINED, table(item="b1", text="A man sits.", text_pair="He is awake."))
    check_leak(TRAINED, table(item="b1", text="A man sleeps.", text_pair="He is asleep."))
    check_leak(TRAINED.iloc[:0], TRAINED)


def test_same_id_is_found():
    with pytest.raises(ModelError, match="1 item of the test set also in training: 'a2'"):
        check_leak(TRAINED, table(item="a2", text="x", text_pair="y"), what="test")
    with pytest.raises(ModelError, match="also in training"):
        check_leak(TRAINED, table(item="a2"))
    with pytest.raises(ModelError, match="also in training: '7'"):
        check_leak(table(item="7"), table(item=7))


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("A man sleeps.", "He is awake."),
        ("a MAN  sleeps", " he is awake!"),
        ("\u201cA man sleeps\u201d", "He is\u00a0awake"),
        ("\uff21 man sleeps", "He is awake"),
    ],
)
def test_same_text_is_found_whatever_its_dress(text, pair):
    with pytest.raises(ModelError, match=r"1 item .* 'b1 \(a1 in training\)'"):
        check_leak(TRAINED, table(item="b1", text=text, text_pair=pair))


def test_words_that_differ_stay_different():
    different = ["ein", "nein", "n ein", "it's 1.5", "it's 15", "हिंदी", "हद", "C++", "C"]
    found = [normalised(text) for text in different]
    assert len(set(found) - {"c"}) == len(different) - 2  # C++ and C are one
    assert normalised("?!") != normalised("...")


def test_one_text_is_not_a_pair_with_an_empty_second():
    assert text_keys(table(text="a b")) == [("a b", "")]


def test_tables_without_items_are_refused():
    with pytest.raises(ModelError, match="a DataFrame with a column item, is needed"):
        check_leak(TRAINED, table(text="x"))
