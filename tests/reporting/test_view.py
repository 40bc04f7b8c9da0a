"""What the page says in words and numbers, and that every view says the same headline."""

import io
import math
import re
from dataclasses import replace

import pytest
from rich.console import Console

from overmem.cli.views.verdict import render_verdict
from overmem.formatting import DASH
from overmem.records import Estimate, Verdict
from overmem.reporting.html import render_report
from overmem.reporting.markdown import markdown_report
from overmem.reporting.view import cell_text, reasons, share_text, tiles
from overmem.verdict.gate import check_verdict
from overmem.verdict.words.headline import headline
from tests.helpers.verdicts import make_verdict


def leaning() -> Verdict:
    verdict = make_verdict()
    last = replace(verdict.checkpoints[-1], stage="undetermined", leaning="overfit", confidence=0.61)
    return replace(verdict, stage="undetermined", checkpoints=(*verdict.checkpoints[:-1], last))


@pytest.mark.parametrize(
    "verdict",
    [
        make_verdict(),
        make_verdict(stage="fit"),
        leaning(),
        replace(leaning(), evidence="logged", recommended=None),
        replace(leaning(), recommended=None),
    ],
    ids=["over-memorized", "fit", "leaning", "logged", "insufficient"],
)
def test_every_view_says_the_same_headline(verdict: Verdict) -> None:
    said = headline(verdict)
    stream = io.StringIO()
    render_verdict(verdict, Console(file=stream, width=80))
    box = "\n".join(stream.getvalue().splitlines()[:4])
    assert said.line in box and said.ship in box
    page = " ".join(re.sub("<[^>]+>", "", render_report(verdict, title="t")).split())
    # The page begins a line with an upper case letter.
    assert f"{said.stage.capitalize()} {said.confidence}".lower() in page.lower()
    ship = said.ship if verdict.recommended else "None yet"
    assert f"Checkpoint to ship {ship}" in page
    text = markdown_report(verdict, None, None, title="t", run="t")
    assert f"**{said.stage.capitalize()}** ({said.confidence}" in text
    assert re.search(rf"\*\*Ship:? {said.ship}\.\*\*", text)
    caption = re.search("<caption>(.*?)</caption>", verdict._repr_html_())
    assert caption is not None and said.line in caption[1] and said.ship in caption[1]


def test_the_gate_says_of_the_last_checkpoint_what_the_headline_says() -> None:
    assert f"undetermined ({headline(leaning()).confidence})" in check_verdict(leaning(), ("fit",)).reason


def test_reasons_and_tiles_give_the_figures_that_fired() -> None:
    verdict = make_verdict()
    (accuracy, first), (perplexity, second) = reasons(verdict)
    assert accuracy == "Accuracy is the highest of the run" and first.endswith("of 400 problems")
    assert perplexity == "Perplexity is inflated" and "from 1.10 on counts as inflated" in second
    assert next(label for label, _, _ in tiles(verdict)) == "Since step"
    lone = replace(verdict.checkpoints[-1], accuracy=Estimate(math.nan, math.nan, math.nan, 0, "no grader"))
    blind = replace(verdict, checkpoints=(*verdict.checkpoints[:-1], lone))
    assert len(reasons(blind)) == 1
    assert ("undefined", "no grader") in [(value, context[0]) for _, value, context in tiles(blind)]
    assert reasons(replace(verdict, checkpoints=())) == tiles(replace(verdict, checkpoints=())) == []


def test_a_share_of_none_or_all_has_an_interval() -> None:
    assert re.fullmatch(rf"0% \(0{DASH}\d\)", share_text(0, 60))
    assert re.fullmatch(rf"100% \(9\d{DASH}100\)", share_text(60, 60))


def test_cells_without_a_figure_are_empty() -> None:
    assert cell_text(math.nan) == cell_text(None) == ""
    assert cell_text(0.123456) == "0.1235" and cell_text(1234) == "1234" and cell_text("fit") == "fit"
