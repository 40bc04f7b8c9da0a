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
