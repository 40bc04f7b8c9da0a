"""The report says what training had of val: page, Markdown and JSON, from the records alone."""

import dataclasses
import json
import math

from overmem.contamination.check import check_sets
from overmem.records import CleanVal, Estimate, PartFigures
from overmem.reporting.html import render_report
from overmem.reporting.json_report import json_report
from overmem.reporting.overlap import overlap_part
from overmem.tasks.sources import load_examples
from tests.helpers.verdicts import make_verdict

TRAIN = load_examples("wordmath:train[:50]").examples
RECORD = check_sets([*load_examples("facts:val[:40]").examples, *TRAIN[:3]], TRAIN, {})
CLEAN = CleanVal(
    checked=True,
    measured=43,
    left_out=3,
    counts={"copy": 3},
    templates=2,
    in_templates=5,
    followers=("<b>v7</b>",),
    parts=(
        PartFigures(
            part="left out",
            accuracy=Estimate(1.0, 0.4, 1.0, 3),
            nll_nats=Estimate(0.1, math.nan, math.nan, 3, "few"),
        ),
    ),
    premise="3 of 43 val problems are left out",
    refused="insufficient evidence: too many",
)


def test_the_section_is_made_from_the_records():
    found = overlap_part(dataclasses.replace(make_verdict(), clean_val=CLEAN), RECORD)
    assert found["premise"] == "3 of 43 val problems are left out"
    assert found["sets"][0]["counts"] == [3, 0, 0] and found["sets"][0]["against"] == "train"
    assert found["parts"][0]["n"] == 3 and len(found["examples"]) == 3
    assert any("5 val problems share 2 templates" in line for line in found["lines"])
    assert overlap_part(make_verdict(), RECORD) is None


def test_the_page_shows_it_and_escapes_what_comes_from_the_data():
    page = render_report(
        dataclasses.replace(make_verdict(), clean_val=CLEAN), title="t", contamination=RECORD
    )
    assert "Is val clean?" in page and "too many" in page
    assert "&lt;b&gt;v7" in page and "<b>v7" not in page
    assert "Is val clean?" not in render_report(make_verdict(), title="t")


def test_json_holds_the_record():
    verdict = dataclasses.replace(make_verdict(), clean_val=CLEAN)
    found = json.loads(json_report(verdict, None, None, None, contamination=RECORD, run="r"))
    assert found["contamination"]["sets"][0]["counts"] == {"copy": 3}
    assert found["verdict"]["clean_val"]["left_out"] == 3
