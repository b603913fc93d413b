"""Section A, the files: encodings, separators, quotes, compression, other kinds of file."""

import gzip
import os
import zipfile
from decimal import Decimal
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from irtkit.errors import ResponseError
from irtkit.io import files, tables
from irtkit.responses import Responses
from tests.bad_inputs.catalogue import accepted, holds, refused
from tests.bad_inputs.small_tables import (
    BASE,
    CODES,
    LONG,
    PERSONS,
    calibrating,
    calibrating_file,
    check_calibration,
    table,
)

LATIN = BASE.replace("x", "caf\u00e9", 1).encode("latin-1")
SEMICOLONS = BASE.replace(",", ";")
COMMAS = table("id;x;y", "{p};{x};{y}", ("0,0", "1,0"))


@accepted(14)
def byte_order_mark(bench):
    yield calibrating(bench, b"\xef\xbb\xbf" + BASE.encode(), "--person", "id")
    check_calibration(bench)


@refused(15, r"bytes ff fe: it is UTF-16.*--encoding utf-16")
def utf_16(bench):
    return calibrating(bench, BASE.encode("utf-16"))


@accepted(15)
def utf_16_declared(bench):
    yield calibrating(bench, BASE.encode("utf-16"), "--encoding", "utf-16")
    check_calibration(bench)


@refused(15, r"bytes e9 2c 79 0a at offset 6 \(line 1\).*--encoding latin-1")
def latin_1(bench):
    return calibrating(bench, LATIN)


@accepted(15)
def latin_1_declared(bench):
    yield calibrating(bench, LATIN, "--encoding", "latin-1")
    check_calibration(bench, items=("caf\u00e9", "y"))


@refused(15, r"There is no encoding 'utf-99'")
def encoding_that_does_not_exist(bench):
    return calibrating(bench, BASE, "--encoding", "utf-99")


@refused(16, r"at offset 62 \(line 11\) are not utf-8.*--encoding")
def two_encodings_in_one_file(bench):
    return calibrating(bench, BASE.replace("x", "\u00e9", 1).encode() + b"\xe9,1,1\n")


@refused(17, "one column 'id;x;y', but each line holds 2 ';'. Say --sep ';'")
def semicolons(bench):
    return calibrating(bench, SEMICOLONS)


@accepted(17)
def semicolons_declared(bench):
    yield calibrating(bench, SEMICOLONS, "--sep", ";")
    check_calibration(bench)


@refused(17, r"each line holds 2 '\\t'")
def tabs_in_a_csv(bench):
    return calibrating(bench, BASE.replace(",", "\t"))


@accepted(17)
def tabs_in_a_tsv(bench):
    yield calibrating(bench, BASE.replace(",", "\t"), name="answers.tsv")
    check_calibration(bench)


@refused(18, "holds '0,0'.*decimal comma.*--decimal")
def decimal_commas(bench):
    return calibrating(bench, COMMAS, "--sep", ";")


@accepted(18, r"Numbers written like '0\.0'")
def decimal_commas_declared(bench):
    yield calibrating(bench, COMMAS, "--sep", ";", "--decimal", ",")
    check_calibration(bench)


@refused(19, "empty: it holds no respondents")
def nothing(bench):
    return calibrating(bench, b"")


@refused(19, "empty: it holds no respondents")
def only_newlines(bench):
    return calibrating(bench, b"\n\n\r\n\n")


@refused(19, "no respondents: it holds a header")
def header_only(bench):
    return calibrating(bench, "id,x,y\n")


@refused(20, "nothing but numbers.*--no-header")
def no_header(bench):
    return calibrating(bench, "0,1,1\n0,0,1\n")


@refused(20, "All column names are numbers.*--no-header")
def no_header_with_different_numbers(bench):
    return calibrating(bench, "17,1,0\n18,0,1\n")


@accepted(20)
def no_header_declared(bench):
    yield calibrating(bench, table(""), "--no-header")
    check_calibration(bench, items=("i1", "i2"))


@accepted(20)
def no_header_and_no_persons_declared(bench):
    yield calibrating(bench, table("", "{x},{y}"), "--no-header", "--no-person")
    check_calibration(bench, items=("i1", "i2"))


@refused(25, r"1,000,001 columns.*would need about .* GiB.*long layout")
def a_million_columns(bench):
    names = ",".join(f"i{n}" for n in range(1_000_000))
    return calibrating(bench, f"id,{names}\n" + ("a" + ",1" * 1_000_000 + "\n") * 2)


@refused(26, r"has 5,000.0 GiB; reading it needs about 20,000.0 GiB of memory", code=4)
def more_rows_than_memory(bench):
    path = bench.write("answers.csv", BASE)
    os.truncate(path, 5_000 * 2**30)  # a sparse file: no disk is used
    return calibrating_file(path)


@refused(36, "one row an answer, the long layout. Say --long")
def long_table_read_as_wide(bench):
    return calibrating(bench, LONG)


@refused(36, r"repeated ids look like the long layout \(--long\)")
def long_table_with_other_names_read_as_wide(bench):
    return calibrating(bench, "who,what,said\na,1,0\na,0,1\nb,1,1\nb,0,0\n")


@accepted(36)
def long_table_read_as_long(bench):
    yield calibrating(bench, LONG, "--long")
    check_calibration(bench)


@refused(37, r"1 answer to an item that the same person answers elsewhere, differently: 'a x x'")
def repeated_pair_with_another_answer(bench):
    return calibrating(bench, LONG + "a,x,1\n", "--long", "--dedupe")


@refused(37, r"with the same answer \(--dedupe keeps one\): 'a x x'")
def repeated_pair_with_the_same_answer(bench):
    return calibrating(bench, LONG + "a,x,0\n", "--long")


@accepted(37, "1 identical repeated answer left out")
def repeated_pair_deduped(bench):
    yield calibrating(bench, LONG + "a,x,0\n", "--long", "--dedupe")
    check_calibration(bench)


@accepted(38, r"Fewer persons \(2\) than items \(9\).*transpose")
def transposed_table(bench):
    rows = "".join(f"{n},{','.join(str(c[k]) for c in CODES)}\n" for k, n in enumerate("xy"))
    yield calibrating(bench, f"item,{','.join(PERSONS)}\n" + rows)
    # the columns stay the items: nothing is turned by guessing
    assert '"item": "a"' in (bench.folder / "c.json").read_text()


@accepted(39)
def formulas_as_names(bench):
    items = ("=cmd|' /C calc'!A0", "@SUM")
    text = BASE.replace("x,y", ",".join(items), 1).replace("a,", "+1,", 1)
    yield calibrating(bench, text.replace("b,", "-1+1,", 1))
    check_calibration(bench, items=items)


@accepted(39, "Fewer|No model_fit", writes=["fit", "fit/items.csv", "fit/item_fit.csv",
    "fit/local_dependence.csv", "fit/person_fit.csv"])  # fmt: skip
def formulas_in_every_table_that_is_written(bench):
    text = BASE.replace("x,y", "=1+1,@SUM", 1).replace("a,", "+1,", 1)
    assert bench.run(*calibrating(bench, text)).code == 0
    yield ["diagnose", bench.written[0], "c.json", "-o", "fit"]
    for path in (bench.folder / "fit").iterdir():
        cells = {cell for line in path.read_text().splitlines() for cell in line.split(",")}
        assert not {"=1+1", "@SUM", "+1"} & cells
    assert "'=1+1" in (bench.folder / "fit" / "items.csv").read_text()
    assert "'+1" in (bench.folder / "fit" / "person_fit.csv").read_text()


@refused(39, "holds '=1[+]1'")
def formula_as_answer(bench):
    return calibrating(bench, BASE.replace("a,0", "a,=1+1"))


@refused(40, "Line 3 holds a NUL byte")
def nul_byte(bench):
    return calibrating(bench, BASE.encode().replace(b"b,0", b"b\x00,0"))


@accepted(41)
def newline_inside_a_quoted_name(bench):
    ran = yield calibrating(bench, BASE.replace("x", '"x\nlong name"', 1))
    check_calibration(bench, items=("x\nlong name", "y"))
    assert "x\\nlong name" in ran.out.replace("\n", "")


@accepted(41)
def newline_inside_a_quoted_person(bench):
    yield calibrating(bench, BASE.replace("a,", '"a\nfirst",', 1))
    check_calibration(bench)


@refused(42, "quote opened on line 3 is not closed")
def unclosed_quote(bench):
    return calibrating(bench, BASE.replace("b,", '"b,', 1))


@refused(42, "quote opened on line 4 is not closed")
def unclosed_quote_after_a_quoted_newline(bench):
    return calibrating(bench, 'id,x,y\na,0,1\n"b\n1","1,0\nc,1,1\n')


@refused(42, "row of line 3 has a cell of more than 131,072 characters")
def endless_cell(bench):
    return calibrating(bench, 'id,x,y\na,0,1\n"b,' + "1" * 200_000 + "\n")


@refused(43, "Line 3 has 2 fields, the header has 3")
def row_too_short(bench):
    return calibrating(bench, BASE.replace("b,0,1", "b,0"))


@refused(43, "Line 2 has 4 fields, the header has 3")
def row_too_long(bench):
    return calibrating(bench, BASE.replace("a,0,1", "a,0,1,1"))


@refused(43, "Line 4 has 2 fields, the header has 3")
def row_too_short_after_a_quoted_newline(bench):
    return calibrating(bench, 'id,x,y\n"a\n1",0,1\nb,1\n')


@accepted(44)
def carriage_returns_and_newlines(bench):
    yield calibrating(bench, BASE.replace("\n", "\r\n", 3).replace("y\r\n", "y\r"))
    check_calibration(bench)


@holds(44, "accepted")
def line_ends_leave_the_written_bytes(bench):
    made = set()
    for number, end in enumerate(("\n", "\r\n", "\r")):
        path = bench.write(f"{number}.csv", table(end=end))
        words = ["calibrate", path, "--model", "rasch", "-o", f"{number}.json"]
        assert bench.run(*words).code == 0
        made.add((bench.folder / f"{number}.json").read_bytes())
    assert len(made) == 1


@accepted(45)
def trailing_separator(bench):
    yield calibrating(bench, table("id,x,y,", "{p},{x},{y},"))
    check_calibration(bench)


@refused(45, "An item has no name|A item has no name")
def filled_column_without_a_name(bench):
    return calibrating(bench, table("id,x,y,", "{p},{x},{y},1"))


@refused(46, "first column has no name, as when pandas or R.*--person 'Unnamed: 0'")
def index_column_of_pandas(bench):
    return calibrating(bench, BASE.replace("id", "Unnamed: 0"))


@accepted(46)
def index_column_of_pandas_declared(bench):
    yield calibrating(bench, BASE.replace("id", "Unnamed: 0"), "--person", "Unnamed: 0")
    check_calibration(bench)


@accepted(46)
def row_names_of_r_declared(bench):
    yield calibrating(bench, BASE.replace("id", ""), "--person", "")
    check_calibration(bench)


@holds(46, "refused in Python")
def pandas_index_with_the_persons(bench):
    frame = pd.DataFrame({"x": [0, 1], "y": [1, 0]}, index=["a", "b"])
    with pytest.raises(ResponseError, match=r"index holds 'a', 'b'.*reset_index"):
        Responses.from_frame(frame)


@refused(47, "compressed file .* is damaged after", code=4)
def truncated_gzip(bench):
    return calibrating(bench, gzip.compress(BASE.encode() * 100)[:-20], name="answers.csv.gz")


@refused(47, "compressed file .* is damaged after", code=4)
def gzip_with_a_wrong_checksum(bench):
    content = bytearray(gzip.compress(BASE.encode()))
    content[-8] ^= 1
    return calibrating(bench, bytes(content), name="answers.csv.gz")


@accepted(47)
def sound_gzip(bench):
    yield calibrating(bench, gzip.compress(BASE.encode()), name="answers.csv.gz")
    check_calibration(bench)


@refused(48, "unpacks to more than 1 MiB, the limit", code=4)
def gzip_bomb(bench):
    bench.patch.setattr(tables, "read_bytes", lambda path: files.read_bytes(path, most=2**20))
    return calibrating(bench, gzip.compress(bytes(30 * 2**20)), name="answers.csv.gz")


@refused(49, "is a zip archive, not text")
def zip_archive(bench):
    path = bench.write("answers.csv", b"")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../x", BASE)
        archive.writestr("y", BASE)
    return calibrating_file(path)


@refused(49, "'../../x', which leads out of the archive", code=4)
def log_archive_with_a_member_that_leads_out(bench):
    path = bench.write("log.eval", b"")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.json", "{}")
        archive.writestr("../../x", "{}")
    return ["read", path, "-o", "answers.csv"]


@refused(50, "named Parquet but is text")
def csv_named_parquet(bench):
    return calibrating(bench, BASE, name="answers.parquet")


@refused(50, "named Parquet but is a zip archive")
def archive_named_parquet(bench):
    return calibrating(bench, b"PK\x03\x04junk", name="answers.parquet")


@refused(50, "Parquet file is damaged")
def parquet_with_a_damaged_footer(bench):
    path = bench.write("answers.parquet", b"")
    pd.DataFrame({"id": ["a", "b"], "x": [0, 1]}).to_parquet(path)
    path.write_bytes(path.read_bytes()[:-12] + b"damagedPAR1!")
    return calibrating_file(path)


@holds(50, "refused in Python")
def something_that_is_no_table(bench):
    with pytest.raises(ResponseError, match="no table of answers"):
        Responses.from_frame([[0, 1], [1, 0]])


def columns():
    return [list(column) for column in zip(*CODES, strict=True)]


@accepted(51)
def parquet_with_dictionary_and_nullable_columns(bench):
    x, y = columns()
    frame = pd.DataFrame(
        {
            "id": pd.Categorical(list(PERSONS)),
            "x": pd.array([0, None, *x[2:]], dtype="Int8"),
            "y": pd.Categorical([str(code) for code in y]),
        }
    )
    path = bench.write("answers.parquet", b"")
    frame.to_parquet(path)
    yield calibrating_file(path)
    check_calibration(bench, [(0, 1), (-1, 1), *CODES[2:]])


@refused(51, "column 'x' is of type Decimal.*convert the column")
def parquet_with_decimals(bench):
    path = bench.write("answers.parquet", b"")
    frame = pl.DataFrame({"id": ["a", "b"], "x": [Decimal("0"), Decimal("1")], "y": [1, 0]})
    frame.write_parquet(path)
    return calibrating_file(path)


@refused(51, "column 'x' is of type List.*convert the column")
def parquet_with_lists(bench):
    path = bench.write("answers.parquet", b"")
    pl.DataFrame({"id": ["a", "b"], "x": [[0], [1]], "y": [1, 0]}).write_parquet(path)
    return calibrating_file(path)


@accepted(51)
def parquet_of_polars_with_truth_values(bench):
    x, y = columns()
    frame = pl.DataFrame({"id": list(PERSONS), "x": x, "y": [bool(code) for code in y]})
    path = bench.write("answers.parquet", b"")
    frame.write_parquet(path)
    yield calibrating_file(path)
    check_calibration(bench)


@refused(52, r"is an Excel workbook \(xlsx\), not text.*Export it as text")
def workbook_named_csv(bench):
    path = bench.write("answers.csv", b"")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return calibrating_file(path)


@refused(53, "is a folder, not a file", code=4, about="answers")
def a_folder(bench):
    (bench.folder / "answers").mkdir()
    return calibrating_file("answers")


@refused(53, "is a device, pipe or socket, not a file", code=4, about="pipe.csv")
def a_pipe(bench):
    os.mkfifo(bench.folder / "pipe.csv")
    return calibrating_file("pipe.csv")


@refused(53, "is a device, pipe or socket, not a file", code=4, about="/dev/zero")
def an_endless_device(bench):
    return calibrating_file("/dev/zero")


@refused(53, "is a link to nothing", code=4, about="link.csv")
def a_broken_link(bench):
    (bench.folder / "link.csv").symlink_to("gone.csv")
    return calibrating_file("link.csv")


@holds(54, "refused, exit 4")
def file_that_changes_while_it_is_read(bench):
    """The writer is real, only the moment is arranged."""
    path = bench.write("answers.csv", BASE)
    plain = Path.read_bytes

    def slow(self):
        content = plain(self)
        if self.name == path.name:
            with path.open("a") as other:
                other.write("j,1,1\n")
        return content

    bench.patch.setattr(Path, "read_bytes", slow)
    ran = bench.run(*calibrating_file(path))
    assert (ran.code, ran.out) == (4, "")
    assert ran.err == (f"error: {path} changed while it was read. Wait until it is complete.\n")
    assert list(bench.tree()) == ["answers.csv"]
