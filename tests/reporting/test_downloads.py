"""The CSV files of a report."""

import csv
import io
import math
from urllib.parse import unquote

from overmem.reporting.downloads import Table, csv_text, data_link, file_name


def test_csv_reads_back_and_starts_no_formula() -> None:
    rows = (("=1+1", -0.5, math.nan, True), ('a "b",\nc', 2, None, False), ("@x", 1e-9, 0.1234567, None))
    table = Table(columns=("name", "x", "y", "z"), rows=rows)
    read = list(csv.reader(io.StringIO(csv_text(table))))
    assert read[0] == ["name", "x", "y", "z"]
    assert read[1] == ["'=1+1", "-0.5", "", "true"]
    assert read[2] == ['a "b",\nc', "2", "", "false"]
    assert read[3] == ["'@x", "1e-09", "0.123457", ""]
    kind, _, text = data_link(table).partition(",")
    assert kind == "data:text/csv;charset=utf-8" and unquote(text) == csv_text(table)
    assert not set(text) & set(" <>\"'#")
    assert file_name("../a/b c<script>", "tokens") == "overmem-a-b-c-script-tokens.csv"
    assert file_name("...", "tokens") == "overmem-run-tokens.csv"


FORMULAS = [
    "=1+1",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "  =1",
    "\ufeff=1",
    "\xa0\u200b=1",
    "'=1",
    '"=1',
]
FORMULAS += ["\u201c=1", "\x00=1", "\uff1d1+1", "\uff0b1", "\uff0d1+1", " \uff20x", "-", "-1-cmd", "\tplain"]


def test_no_cell_and_no_column_name_starts_a_formula() -> None:
    rows = tuple((text, 1) for text in FORMULAS)
    for table in (Table(columns=("name", "n"), rows=rows), Table(columns=tuple(FORMULAS))):
        read = list(csv.reader(io.StringIO(csv_text(table), newline="")))
        cells = [row[0] for row in read[1:]] if table.rows else read[0]
        assert cells == [f"'{text}" for text in FORMULAS]


def test_numbers_and_plain_texts_are_left_alone() -> None:
    cells = ("-0.5", "+3", "-1e-05", " -", "a=1", "1-1", "checkpoint-1", "\u22120.5", "(=)", -0.5, -3, 1e-9)
    kept = ["-0.5", "+3", "-1e-05", "' -", *cells[4:9], "-0.5", "-3", "1e-09"]
    assert next(csv.reader(io.StringIO(csv_text(Table(columns=cells))))) == kept  # type: ignore[arg-type]
