"""Bad response tables: each must be refused by name, or accepted with exactly these codes.

One entry a numbered fault. An entry is a function that makes the input and reads it; beside it
stands what must happen. Faults that concern estimation are tested with it, see `ELSEWHERE`.
"""

import gzip
import importlib
import os
import re
import zipfile
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from irtkit.coding import Coding
from irtkit.errors import FileError, ModelError, ResponseError
from irtkit.estimation import calibrate
from irtkit.io import TextFormat, read_columns, read_responses
from irtkit.io.files import read_bytes
from irtkit.layout import Long, Wide
from irtkit.models import TwoPL
from irtkit.responses import Responses

# Faults whose test stands in another module, which must exist and hold that test.
CALIBRATE = "tests.estimation.test_calibrate"
MODELS = "tests.estimation.test_models_calibrated"
ELSEWHERE = {
    1: (CALIBRATE, "test_constant_and_unanswered_items_are_states_and_the_rest_is_calibrated"),
    3: (CALIBRATE, "test_constant_and_unanswered_items_are_states_and_the_rest_is_calibrated"),
    10: (CALIBRATE, "test_third_category_is_refused_with_its_cell"),
    21: (CALIBRATE, "test_too_few_items_or_persons_are_refused"),
    22: (CALIBRATE, "test_too_few_items_or_persons_are_refused"),
    23: (CALIBRATE, "test_too_few_items_or_persons_are_refused"),
    24: (CALIBRATE, "test_fewer_persons_than_items_is_noted"),
    2: ("tests.test_scoring", "test_person_without_answers_gets_the_population"),
    4: (MODELS, "test_a_category_chosen_once_is_kept_and_noted"),
    34: (MODELS, "test_a_category_that_nobody_chose_is_a_state_and_the_highest_sets_the_size"),
    57: (MODELS, "test_groups_without_sense_are_refused"),
    5: ("tests.test_scale", "test_the_key_itself_is_at_the_ceiling_with_an_interval"),
}
# Faults of options that this version does not have.
NOT_YET = {
    58: "there are no forms: one file makes one table",
}


@dataclass(frozen=True)
class Refused:
    error: type[Exception]
    message: str


@dataclass(frozen=True)
class Accepted:
    codes: list
    note: str = ""
    items: list = field(default_factory=list)


ENTRIES = {}


def entry(number, expected):
    """Register an input of the catalogue under its number; several may share one."""

    def register(make):
        ENTRIES[f"A{number:02d}-{make.__name__}"] = (make, expected)
        return make

    return register


def read(folder: Path, content, name="answers.csv", **options):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_responses(path, **options)


def refuse(message, error=ResponseError):
    return Refused(error, message)


TWO = "id,x,y\na,0,1\nb,1,0\n"
TWO_CODES = [[0, 1], [1, 0]]


@entry(6, refuse(r"1 person named more than once, with identical rows \(--dedupe.*'a'"))
def same_rows_twice(folder):
    return read(folder, TWO + "a,0,1\n")


@entry(6, Accepted(TWO_CODES, "1 identical repeated row left out"))
def same_rows_twice_deduped(folder):
    return read(folder, TWO + "a,0,1\n", coding=Coding(dedupe=True))


@entry(8, refuse("no table of answers"))
def repeated_item_name_in_pandas(folder):
    return Responses.from_frame(pd.DataFrame([["a", 0, 1], ["b", 1, 0]], columns=["id", "x", "x"]))


@entry(46, refuse(r"index holds 'a', 'b'.*reset_index"))
def pandas_index_with_the_persons(folder):
    return Responses.from_frame(pd.DataFrame({"x": [0, 1], "y": [1, 0]}, index=["a", "b"]))


@entry(50, refuse("no table of answers"))
def something_that_is_no_table(folder):
    return Responses.from_frame([[0, 1], [1, 0]])


@entry(7, refuse(r"with different answers: 'a'"))
def different_rows_of_a_person(folder):
    return read(folder, TWO + "a,1,1\n", coding=Coding(dedupe=True))


@entry(8, refuse(r"1 column named more than once: 'x'"))
def repeated_item_name(folder):
    return read(folder, "id,x,x\na,0,1\nb,1,0\n")


@entry(8, refuse("item named more than once: 'x'"))
def repeated_item_name_in_polars_like_columns(folder):
    return Responses.from_array(np.eye(2), items=["x", "x"])


@entry(9, refuse(r"items 'Q1' and 'q1' differ only in case"))
def names_that_differ_by_case(folder):
    return read(folder, "id,Q1,q1\na,0,1\nb,1,0\n")


@entry(9, refuse(r"items 'caf\\xe9' and 'cafe\\u0301' differ only"))
def names_that_differ_by_unicode_form(folder):
    return read(folder, "id,caf\u00e9,cafe\u0301\na,0,1\nb,1,0\n")


@entry(9, refuse(r"items 'x' and 'x ' differ only"))
def names_that_differ_by_a_blank(folder):
    return read(folder, "id,x,x \na,0,1\nb,1,0\n")


@entry(11, Accepted(TWO_CODES, "Numbers written like ' 1' were read as whole codes"))
def integers_written_oddly(folder):
    return read(folder, "id,x,y\na,0,1.0 \nb, 1,0\n")


@entry(11, refuse(r"person 'b' to item 'x' holds '1\.5'.*whole categories"))
def a_half(folder):
    return read(folder, "id,x,y\na,0,1\nb,1.5,0\n")


@entry(12, refuse("person 'a' to item 'x' holds 'FALSE'.*--label-map FALSE=1"))
def truth_words(folder):
    return read(folder, "id,x,y\na,FALSE,TRUE\nb,TRUE,FALSE\n")


@entry(12, Accepted(TWO_CODES))
def truth_words_with_a_map(folder):
    return read(
        folder,
        "id,x,y\na,no,yes\nb,yes,no\n",
        coding=Coding(label_map={"yes": "1", "no": "0"}),
    )


@entry(13, Accepted(TWO_CODES))
def integers_and_their_text_in_one_column(folder):
    return Responses.from_frame(pd.DataFrame({"id": ["a", "b"], "x": [0, "1"], "y": ["1", 0]}))


@entry(13, refuse("truth value True among other kinds"))
def truth_value_among_integers(folder):
    return Responses.from_frame(pd.DataFrame({"id": ["a", "b"], "x": [0, True], "y": [1, 0]}))


@entry(13, Accepted(TWO_CODES))
def a_whole_column_of_truth_values(folder):
    return Responses.from_frame(
        pd.DataFrame({"id": ["a", "b"], "x": [False, True], "y": [True, False]})
    )


@entry(14, Accepted(TWO_CODES, items=["x", "y"]))
def byte_order_mark(folder):
    return read(folder, b"\xef\xbb\xbf" + TWO.encode(), layout=Wide(person="id"))


@entry(15, refuse(r"bytes ff fe: it is UTF-16.*--encoding utf-16"))
def utf_16(folder):
    return read(folder, TWO.encode("utf-16"))


@entry(15, Accepted(TWO_CODES))
def utf_16_declared(folder):
    return read(folder, TWO.encode("utf-16"), text=TextFormat(encoding="utf-16"))


@entry(15, refuse(r"bytes e9 2c 79 0a at offset 6 \(line 1\).*--encoding latin-1"))
def latin_1(folder):
    return read(folder, "id,caf\u00e9,y\na,0,1\nb,1,0\n".encode("latin-1"))


@entry(15, Accepted(TWO_CODES, items=["caf\u00e9", "y"]))
def latin_1_declared(folder):
    content = "id,caf\u00e9,y\na,0,1\nb,1,0\n".encode("latin-1")
    return read(folder, content, text=TextFormat(encoding="latin-1"))


@entry(16, refuse(r"at offset 20 \(line 4\) are not utf-8"))
def two_encodings_in_one_file(folder):
    return read(folder, "id,\u00e9,y\na,0,1\nb,1,0\n".encode() + b"\xe9,1,1\n")


@entry(17, refuse("one column 'id;x;y', but each line holds 2 ';'. Say --sep ';'"))
def semicolons(folder):
    return read(folder, TWO.replace(",", ";"))


@entry(17, Accepted(TWO_CODES))
def semicolons_declared(folder):
    return read(folder, TWO.replace(",", ";"), text=TextFormat(separator=";"))


@entry(17, refuse(r"each line holds 2 '\\t'"))
def tabs_in_a_csv(folder):
    return read(folder, TWO.replace(",", "\t"))


@entry(18, refuse("holds '0,0'.*decimal comma.*--decimal"))
def decimal_commas(folder):
    return read(folder, "id;x;y\na;0,0;1,0\nb;1,0;0,0\n", text=TextFormat(separator=";"))


@entry(18, Accepted(TWO_CODES, r"Numbers written like '0\.0'"))
def decimal_commas_declared(folder):
    content = "id;x;y\na;0,0;1,0\nb;1,0;0,0\n"
    return read(folder, content, text=TextFormat(separator=";", decimal=","))


@entry(19, refuse("empty: it holds no respondents"))
def nothing(folder):
    return read(folder, b"")


@entry(19, refuse("empty: it holds no respondents"))
def only_newlines(folder):
    return read(folder, b"\n\n\r\n\n")


@entry(19, refuse("no respondents: it holds a header"))
def header_only(folder):
    return read(folder, "id,x,y\n")


@entry(20, refuse("nothing but numbers.*--no-header"))
def no_header(folder):
    return read(folder, "0,1,1\n0,0,1\n")


@entry(20, refuse("All column names are numbers.*--no-header"))
def no_header_with_different_numbers(folder):
    return read(folder, "17,1,0\n18,0,1\n")


@entry(20, Accepted(TWO_CODES, items=["i1", "i2"]))
def no_header_declared(folder):
    return read(folder, "17,0,1\n18,1,0\n", text=TextFormat(header=False))


@entry(20, Accepted([[0, 1], [1, 0]], items=["i1", "i2"]))
def no_header_and_no_persons_declared(folder):
    return read(folder, "0,1\n1,0\n", text=TextFormat(header=False), layout=Wide(person=None))


@entry(25, refuse(r"1,000,001 columns.*would need about .* GiB.*long layout"))
def a_million_columns(folder):
    names = ",".join(f"i{n}" for n in range(1_000_000))
    return read(folder, f"id,{names}\na" + ",1" * 1_000_000 + "\n")


@entry(26, refuse(r"has 5,000.0 GiB; reading it needs about 20,000.0 GiB of memory", FileError))
def more_rows_than_memory(folder):
    path = folder / "answers.csv"
    path.write_text(TWO)
    os.truncate(path, 5_000 * 2**30)  # a sparse file: no disk is used
    return read_responses(path)


@entry(27, refuse("holds '99999999999999999999'. That is out of range for a category"))
def integer_beyond_64_bits(folder):
    return read(folder, "id,x,y\na,0,1\nb,99999999999999999999,0\n")


@entry(28, refuse("holds 'inf'"))
def infinity_as_text(folder):
    return read(folder, "id,x,y\na,0,inf\nb,1,0\n")


@entry(28, refuse("holds '1e309'"))
def overflow_as_text(folder):
    return read(folder, "id,x,y\na,0,1e309\nb,1,0\n")


@entry(28, refuse("person '2' to item 'i1' is infinite"))
def infinity_as_number(folder):
    return Responses.from_array([[0.0, 1.0], [-np.inf, 0.0]])


@entry(29, refuse("negative codes -99, -9, first in the answer of person 'b' to item 'y'"))
def negative_codes(folder):
    return read(folder, "id,x,y\na,-9,1\nb,1,-99\n")


@entry(29, Accepted([[-1, 1], [1, -1]]))
def negative_codes_declared_missing(folder):
    return read(folder, "id,x,y\na,-9,1\nb,1,-99\n", coding=Coding(missing=("-9", "-99")))


@entry(30, refuse("answers are 0, 1, 9: the codes leave out 2.*--missing 9"))
def nine_as_omitted(folder):
    return read(folder, "id,x,y\na,0,9\nb,1,0\n")


@entry(30, Accepted([[0, -1], [1, 0]]))
def nine_declared_missing(folder):
    return read(folder, "id,x,y\na,0,9\nb,1,0\n", coding=Coding(missing=("9",)))


@entry(31, refuse("answers are 1, 2, 3: the codes do not start at 0.*--order 1,2,3"))
def codes_from_one(folder):
    return read(folder, "id,x,y\na,1,3\nb,2,1\n")


@entry(31, Accepted([[0, 2], [1, 0]]))
def codes_from_one_ordered(folder):
    return read(folder, "id,x,y\na,1,3\nb,2,1\n", coding=Coding(order=("1", "2", "3")))


@entry(32, refuse("answers are 0, 1, 3: the codes leave out 2"))
def gap_in_the_codes(folder):
    return read(folder, "id,x,y\na,0,3\nb,1,0\n")


@entry(32, Accepted([[0, 2], [1, 0]]))
def gap_declared_as_order(folder):
    return read(folder, "id,x,y\na,0,3\nb,1,0\n", coding=Coding(order=("0", "1", "3")))


@entry(33, refuse("holds 'high'.*--order low,mid,high"))
def ordered_words_without_an_order(folder):
    return read(folder, "id,x,y\na,low,high\nb,mid,low\n")


@entry(33, Accepted([[0, 2], [1, 0]]))
def ordered_words_with_their_order(folder):
    content = "id,x,y\na,low,high\nb,mid,low\n"
    return read(folder, content, coding=Coding(order=("low", "mid", "high")))


@entry(33, refuse("holds 'hihg'.*Did you mean 'high'"))
def word_beside_the_order(folder):
    content = "id,x,y\na,low,hihg\nb,mid,low\n"
    return read(folder, content, coding=Coding(order=("low", "mid", "high")))


@entry(35, refuse("column 'year' holds 60 different answers.*identifier"))
def identifier_as_item(folder):
    rows = "".join(f"p{n},{n % 2},{1900 + n}\n" for n in range(60))
    return read(folder, "id,x,year\n" + rows)


@entry(36, refuse("one row an answer, the long layout. Say --long"))
def long_table_read_as_wide(folder):
    return read(folder, "person,item,answer\na,x,0\na,y,1\nb,x,1\nb,y,0\n")


@entry(36, refuse(r"repeated ids look like the long layout \(--long\)"))
def long_table_with_other_names_read_as_wide(folder):
    return read(folder, "who,what,said\na,1,0\na,0,1\nb,1,1\nb,0,0\n")


@entry(36, Accepted(TWO_CODES))
def long_table_read_as_long(folder):
    return read(folder, "person,item,answer\na,x,0\na,y,1\nb,x,1\nb,y,0\n", layout=Long())


@entry(
    37, refuse(r"1 answer to an item that the same person answers elsewhere, differently: 'a x x'")
)
def repeated_pair_with_another_answer(folder):
    content = "person,item,answer\na,x,0\na,x,1\nb,x,1\nb,y,0\n"
    return read(folder, content, layout=Long(), coding=Coding(dedupe=True))


@entry(37, refuse(r"with the same answer \(--dedupe keeps one\)"))
def repeated_pair_with_the_same_answer(folder):
    return read(folder, "person,item,answer\na,x,0\na,x,0\nb,y,0\n", layout=Long())


@entry(37, Accepted([[0, -1], [-1, 0]], "1 identical repeated answer left out"))
def repeated_pair_deduped(folder):
    content = "person,item,answer\na,x,0\na,x,0\nb,y,0\n"
    return read(folder, content, layout=Long(), coding=Coding(dedupe=True))


@entry(38, Accepted([[0, 1, 1], [1, 0, 0]], r"Fewer persons \(2\) than items \(3\).*transpose"))
def transposed_table(folder):
    return read(folder, "item,w1,w2,w3\nq1,0,1,1\nq2,1,0,0\n")


@entry(39, Accepted(TWO_CODES, items=["=cmd|' /C calc'!A0", "@SUM"]))
def formulas_as_item_names(folder):
    return read(folder, "id,=cmd|' /C calc'!A0,@SUM\n+1,0,1\n-1+1,1,0\n")


@entry(39, refuse("holds '=1[+]1'"))
def formula_as_answer(folder):
    return read(folder, "id,x,y\na,=1+1,1\nb,1,0\n")


@entry(40, refuse("Line 3 holds a NUL byte"))
def nul_byte(folder):
    return read(folder, TWO.encode().replace(b"b,1", b"b\x00,1"))


@entry(41, Accepted(TWO_CODES, items=["x\nlong name", "y"]))
def newline_inside_a_quoted_name(folder):
    return read(folder, 'id,"x\nlong name",y\na,0,1\nb,1,0\n')


@entry(41, Accepted(TWO_CODES))
def newline_inside_a_quoted_person(folder):
    return read(folder, 'id,x,y\n"a\nfirst",0,1\nb,1,0\n')


@entry(42, refuse("quote opened on line 3 is not closed"))
def unclosed_quote(folder):
    return read(folder, 'id,x,y\na,0,1\n"b,1,0\nc,1,1\n')


@entry(42, refuse("quote opened on line 4 is not closed"))
def unclosed_quote_after_a_quoted_newline(folder):
    return read(folder, 'id,x,y\na,0,1\n"b\n1","1,0\nc,1,1\n')


@entry(42, refuse("row of line 3 has a cell of more than 131,072 characters"))
def endless_cell(folder):
    return read(folder, 'id,x,y\na,0,1\n"b,' + "1" * 200_000 + "\n")


@entry(43, refuse("Line 3 has 2 fields, the header has 3"))
def row_too_short(folder):
    return read(folder, "id,x,y\na,0,1\nb,1\n")


@entry(43, refuse("Line 2 has 4 fields, the header has 3"))
def row_too_long(folder):
    return read(folder, "id,x,y\na,0,1,1\nb,1,0\n")


@entry(43, refuse("Line 4 has 2 fields, the header has 3"))
def row_too_short_after_a_quoted_newline(folder):
    return read(folder, 'id,x,y\n"a\n1",0,1\nb,1\n')


@entry(44, Accepted(TWO_CODES))
def carriage_returns_and_newlines(folder):
    return read(folder, "id,x,y\r\na,0,1\rb,1,0\n")


@entry(45, Accepted(TWO_CODES, items=["x", "y"]))
def trailing_separator(folder):
    return read(folder, "id,x,y,\na,0,1,\nb,1,0,\n")


@entry(45, refuse("An item has no name|A item has no name"))
def filled_column_without_a_name(folder):
    return read(folder, "id,x,y,\na,0,1,1\nb,1,0,0\n")


@entry(46, refuse("first column has no name, as when pandas or R.*--person 'Unnamed: 0'"))
def index_column_of_pandas(folder):
    return read(folder, "Unnamed: 0,x,y\n0,0,1\n1,1,0\n")


@entry(46, Accepted(TWO_CODES, items=["x", "y"]))
def row_names_of_r_declared(folder):
    return read(folder, ",x,y\na,0,1\nb,1,0\n", layout=Wide(person=""))


@entry(47, refuse("compressed file .* is damaged after", FileError))
def truncated_gzip(folder):
    return read(folder, gzip.compress(TWO.encode() * 1000)[:-20], "answers.csv.gz")


@entry(47, refuse("compressed file .* is damaged after", FileError))
def gzip_with_a_wrong_checksum(folder):
    content = bytearray(gzip.compress(TWO.encode()))
    content[-8] ^= 1
    return read(folder, bytes(content), "answers.csv.gz")


@entry(47, Accepted(TWO_CODES))
def sound_gzip(folder):
    return read(folder, gzip.compress(TWO.encode()), "answers.csv.gz")


@entry(48, refuse("unpacks to more than 1 MiB, the limit", FileError))
def gzip_bomb(folder):
    path = folder / "answers.csv.gz"
    path.write_bytes(gzip.compress(bytes(30 * 2**20)))
    return read_bytes(path, most=2**20)


@entry(49, refuse("is a zip archive, not text"))
def zip_archive(folder):
    path = folder / "answers.csv"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../x", TWO)
        archive.writestr("y", TWO)
    return read_responses(path)


@entry(50, refuse("named Parquet but is text"))
def csv_named_parquet(folder):
    return read(folder, TWO, "answers.parquet")


@entry(50, refuse("Parquet file is damaged"))
def parquet_with_a_damaged_footer(folder):
    path = folder / "answers.parquet"
    pd.DataFrame({"id": ["a", "b"], "x": [0, 1]}).to_parquet(path)
    path.write_bytes(path.read_bytes()[:-12] + b"damagedPAR1!")
    return read_responses(path)


@entry(51, Accepted([[0, 1], [-1, 0]], items=["x", "y"]))
def parquet_with_dictionary_and_nullable_columns(folder):
    frame = pd.DataFrame(
        {
            "id": pd.Categorical(["a", "b"]),
            "x": pd.array([0, None], dtype="Int8"),
            "y": pd.Categorical(["1", "0"]),
        }
    )
    frame.to_parquet(folder / "answers.parquet")
    return read_responses(folder / "answers.parquet")


@entry(51, refuse("column 'x' is of type Decimal"))
def parquet_with_decimals(folder):
    frame = pl.DataFrame({"id": ["a", "b"], "x": [Decimal("0"), Decimal("1")], "y": [1, 0]})
    frame.write_parquet(folder / "answers.parquet")
    return read_responses(folder / "answers.parquet")


@entry(51, refuse("column 'x' is of type List"))
def parquet_with_lists(folder):
    frame = pl.DataFrame({"id": ["a", "b"], "x": [[0], [1]], "y": [1, 0]})
    frame.write_parquet(folder / "answers.parquet")
    return read_responses(folder / "answers.parquet")


@entry(51, Accepted(TWO_CODES))
def polars_frame(folder):
    frame = pl.DataFrame({"id": ["a", "b"], "x": [0, 1], "y": [True, False]})
    return Responses.from_frame(frame)


@entry(52, refuse(r"is an Excel workbook \(xlsx\), not text"))
def workbook_named_csv(folder):
    path = folder / "answers.csv"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return read_responses(path)


@entry(53, refuse("is a folder, not a file", FileError))
def a_folder(folder):
    return read_responses(folder)


@entry(53, refuse("is a device, pipe or socket, not a file", FileError))
def a_pipe(folder):
    os.mkfifo(folder / "pipe.csv")
    return read_responses(folder / "pipe.csv")


@entry(53, refuse("is a device, pipe or socket, not a file", FileError))
def an_endless_device(folder):
    return read_responses("/dev/zero")


@entry(53, refuse("is a link to nothing", FileError))
def a_broken_link(folder):
    (folder / "link.csv").symlink_to(folder / "gone.csv")
    return read_responses(folder / "link.csv")


@entry(53, refuse("does not exist", FileError))
def a_missing_file(folder):
    return read_responses(folder / "gone.csv")


@entry(55, refuse(r"persons 'ab' and 'a\\u200bb' differ only"))
def zero_width_character_in_an_id(folder):
    return read(folder, "id,x,y\nab,0,1\na\u200bb,1,0\n")


@entry(55, Accepted(TWO_CODES))
def right_to_left_and_homoglyph_ids_are_kept(folder):
    return read(folder, "id,x,y\n\u202eab,0,1\n\u0430b,1,0\n")


@entry(56, refuse("weight of person '2' is -1"))
def negative_weight(folder):
    return read(folder, "x,y,n\n0,1,3\n1,0,-1\n", layout=Wide(person=None, weight="n"))


@entry(56, refuse("weight of person '1' is 0"))
def zero_weight(folder):
    return read(folder, "x,y,n\n0,1,0\n1,0,0\n", layout=Wide(person=None, weight="n"))


@entry(56, refuse("weight of person '2' is nan"))
def missing_weight(folder):
    return read(folder, "x,y,n\n0,1,2\n1,0,nan\n", layout=Wide(person=None, weight="n"))


@entry(56, refuse("weight 'many' in column 'n' is not a number"))
def weight_in_words(folder):
    return read(folder, "x,y,n\n0,1,2\n1,0,many\n", layout=Wide(person=None, weight="n"))


@pytest.mark.parametrize("name", ENTRIES)
def test_bad_input(name, tmp_path):
    make, expected = ENTRIES[name]
    if isinstance(expected, Refused):
        with pytest.raises(expected.error, match=f"(?s){expected.message}"):
            make(tmp_path)
        return
    made = make(tmp_path)
    assert made.dense().tolist() == expected.codes
    assert not expected.items or list(made.items) == expected.items
    if expected.note:
        assert re.search(expected.note, " ".join(made.notes))
    else:
        assert made.notes == ()


def test_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch):
    """A54: the writer is real, only the moment is arranged."""
    path = tmp_path / "answers.csv"
    path.write_text(TWO)
    plain = Path.read_bytes

    def slow(self):
        content = plain(self)
        with path.open("a") as other:
            other.write("c,1,1\n")
        return content

    monkeypatch.setattr(Path, "read_bytes", slow)
    with pytest.raises(FileError, match="changed while it was read"):
        read_columns(path)


def test_line_ends_do_not_change_the_fingerprint(tmp_path):
    prints = set()
    for number, end in enumerate(("\n", "\r\n", "\r")):
        made = read(tmp_path, TWO.replace("\n", end), f"{number}.csv")
        prints.add(made.fingerprint())
    assert len(prints) == 1


def test_every_fault_of_the_catalogue_has_its_place():
    here = {int(name[1:3]) for name in ENTRIES}
    assert here | {54} | set(ELSEWHERE) | set(NOT_YET) == set(range(1, 59))
    for module, test in ELSEWHERE.values():
        assert hasattr(importlib.import_module(module), test)


def test_more_than_two_categories_need_a_model_for_them(tmp_path):
    made = read(tmp_path, "id,x,y,z\na,0,1,2\nb,1,2,0\nc,2,0,1\n")
    with pytest.raises(ModelError, match="knows 0 and 1 only"):
        calibrate(made, TwoPL())
