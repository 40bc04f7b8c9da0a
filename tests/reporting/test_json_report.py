"""The report as JSON: records and data."""

import json
from pathlib import Path

from overmem.reporting.run import render


def test_json_holds_records_and_data(run: Path) -> None:
    record = json.loads(render(run, format="json"))
    assert record["schema"] == "overmem.report/1"
    assert record["verdict"]["schema"] == "overmem.verdict/1"
    figures = record["exhibits"]["figures"]
    assert set(figures) >= {"reliability-tokens", "pass-at-k", "membership-roc", "excess-nll", "tokens"}
    for figure in figures.values():
        assert figure["reason"] is None and figure["rows"]
        assert all(len(row) == len(figure["columns"]) for row in figure["rows"])
    assert [c.split()[1] for c in record["measured"]["commands"]] == ["audit", "diagnose", "report"]
