"""What the page says in words and numbers, and that every view says the same headline."""

import io
import math
import re
from dataclasses import replace

import pytest
from rich.console import Console

from overmem.cli.views.verdict import render_verdict
from overmem.formatting import DASH
from overmem.records import BaseModel, Estimate, Verdict
from overmem.reporting.html import render_report
from overmem.reporting.markdown import markdown_report
from overmem.reporting.view import base_row, cell_text, checkpoint_row, columns, reasons, share_text
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
    box = "\n".join(stream.getvalue().splitlines()[-6:])  # Stage and Ship stand last
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


def test_reasons_give_the_figures_that_fired() -> None:
    verdict = make_verdict()
    (accuracy, first), (perplexity, second) = reasons(verdict)
    assert accuracy == "Accuracy is the highest of the run" and first.endswith("of 400 problems")
    assert perplexity == "Perplexity is inflated" and "(1.10 counts as inflated)" in second
    lone = replace(verdict.checkpoints[-1], accuracy=Estimate(math.nan, math.nan, math.nan, 0, "no grader"))
    blind = replace(verdict, checkpoints=(*verdict.checkpoints[:-1], lone))
    assert len(reasons(blind)) == 1
    assert reasons(replace(verdict, checkpoints=())) == []
    last = replace(verdict.checkpoints[-1], stage="undetermined", leaning="fit")
    unclear = replace(verdict, stage="undetermined", checkpoints=(*verdict.checkpoints[:-1], last))
    assert reasons(unclear)[1] == ("Whether perplexity is inflated is not clear", second)
    assert reasons(leaning())[1][0] == "Perplexity is inflated"


def test_a_measure_that_no_checkpoint_has_is_no_column() -> None:
    verdict = make_verdict()
    nan = Estimate(math.nan, math.nan, math.nan, 0, "no grader")
    without = tuple(replace(s, accuracy=nan, train_nll_nats=None) for s in verdict.checkpoints)
    assert [key for key, _ in columns(replace(verdict, checkpoints=without))] == ["nll_nats", "perplexity"]
    one = (*without[:-1], replace(without[-1], accuracy=verdict.checkpoints[0].accuracy))
    assert columns(replace(verdict, checkpoints=one))[0] == ("accuracy", "Accuracy")


def test_the_base_model_is_a_row_of_its_own_or_a_tag() -> None:
    verdict = make_verdict()
    figure = Estimate(0.25, 0.2, 0.3, 400)
    base = BaseModel(
        name="hub/base", in_run=False, accuracy=figure, nll_nats=figure, perplexity=figure, comparisons=()
    )
    beside = replace(verdict, base=base)
    shown = base_row(beside)
    assert shown is not None and shown["accuracy"][0] == "25.0%"
    assert not any("base model" in checkpoint_row(beside, s)["tags"] for s in beside.checkpoints)
    first = verdict.checkpoints[0].name
    within = replace(verdict, base=replace(base, in_run=True, name=f"/runs/{first}"))
    assert base_row(within) is None
    tagged = [s.name for s in within.checkpoints if "base model" in checkpoint_row(within, s)["tags"]]
    assert tagged == [first]


def test_a_share_of_none_or_all_has_an_interval() -> None:
    assert re.fullmatch(rf"0% \(0{DASH}\d\)", share_text(0, 60))
    assert re.fullmatch(rf"100% \(9\d{DASH}100\)", share_text(60, 60))


def test_cells_without_a_figure_are_empty() -> None:
    assert cell_text(math.nan) == cell_text(None) == ""
    assert cell_text(0.123456) == "0.1235" and cell_text(1234) == "1234" and cell_text("fit") == "fit"
