"""What a report says first, with and without a repaired model."""

import math
from dataclasses import replace
from pathlib import Path

from overmem.records import Attempt, Onset, Proof, Repair
from overmem.reporting.answer import accepted, answer
from overmem.reporting.html import render_report
from overmem.reporting.markdown import markdown_report
from tests.helpers.verdicts import make_verdict


def repaired(*, proved: bool) -> Repair:
    return Repair(
        run=Path("runs/demo"),
        before="checkpoint-3000",
        last="checkpoint-6000",
        n_search=200,
        n_confirm=1200,
        attempts=(
            Attempt(
                name="soup-2",
                method="soup",
                checkpoints=("checkpoint-2000", "checkpoint-4000"),
                weights=(0.25, 0.75),
                nll_nats=0.3,
            ),
        ),
        winner="soup-2",
        proof=Proof(
            accepted=proved,
            probability_not_worse=0.99,
            gains=("likelihood nll",),
            reason="accuracy holds, and better in likelihood nll",
            differences=(),
        ),
        against_last=(),
        temperature=None,
        retraining=None,
        model=Path("runs/demo/overmem/repaired") if proved else None,
        words=("Repaired: soup-2", "Against the last checkpoint: better"),
    )


def test_a_checkpoint_is_the_answer_without_a_proved_repair() -> None:
    verdict = make_verdict()
    # An earlier repair's model may still lie there: what a proof did not accept is not shipped.
    lying = replace(repaired(proved=False), model=repaired(proved=True).model)
    for repair in (None, repaired(proved=False), lying, replace(repaired(proved=True), model=None)):
        said = answer(verdict, repair)
        assert not accepted(repair) and said["ship"] == "checkpoint-3000" and said["instead"] == ""
        assert said["ship_label"] == "Checkpoint to ship"
    page = render_report(verdict, title="t", repair=repaired(proved=False))
    assert page.index('id="checkpoints"') < page.index('<section id="repair"')


def test_a_proved_repair_is_the_answer_everywhere() -> None:
    verdict = make_verdict()
    said = answer(verdict, repaired(proved=True))
    assert said["ship"] == "Repaired model" and said["ship_label"] == "Model to ship"
    assert said["ship_stage"] == "0.25 checkpoint-2000 + 0.75 checkpoint-4000"
    assert "on 1,200 held-out problems" in said["why"]
    assert (
        "`overmem/repaired` of the run's folder" in said["instead"] and "checkpoint-3000" in said["instead"]
    )
    elsewhere = replace(repaired(proved=True), model=Path("/models/x"))
    assert "`/models/x`. Without" in answer(verdict, elsewhere)["instead"]
    page = render_report(verdict, title="t", repair=repaired(proved=True))
    top = page[page.index('id="answer"') : page.index("<figure")]
    assert "Repaired model" in top and "<code>overmem/repaired</code>" in top
    assert page.index('<section id="repair"') < page.index('<section id="checkpoints"')
    text = markdown_report(verdict, None, repaired(proved=True), title="t", run="t")
    assert "**Ship the repaired model** (0.25 checkpoint-2000" in text and "**Ship checkpoint" not in text


def test_the_stage_says_since_when_and_how_sure() -> None:
    verdict = make_verdict()
    assert answer(verdict, None)["certainty"].endswith("since step 5000 (95% interval 4000 to 6000).")
    alone = replace(verdict, onset=Onset(step=5000, low=None, high=None))
    assert answer(alone, None)["certainty"].endswith("since step 5000.")
    leaning = replace(verdict, stage="fit")
    assert "; if inflated, since step 5000" in answer(leaning, None)["certainty"]
    last = replace(verdict.checkpoints[-1], leaning="overfit", problems_to_settle=1234)
    open_ = replace(verdict, stage="undetermined", checkpoints=(*verdict.checkpoints[:-1], last))
    assert answer(open_, None)["certainty"].endswith(
        ". About 1,234 problems would settle it in half of the cases."
    )
    given = replace(last, leaning=None)
    told = replace(verdict, checkpoints=(*verdict.checkpoints[:-1], given))
    assert "would settle it" not in answer(told, None)["certainty"]
    never = replace(verdict, onset=Onset(step=None, low=None, high=None))
    assert "since" not in answer(never, None)["certainty"]


def test_no_figure_speaks_for_a_stage_where_none_can_be_given() -> None:
    verdict = make_verdict(stage="undetermined", recommended=None, reason="too few problems")
    said = answer(verdict, None)
    assert said["stage"] == "insufficient evidence" and said["reasons"] == []
    assert said["why"] == "too few problems." and not said["ships"]


def test_without_a_checkpoint_it_says_what_is_missing() -> None:
    nothing = make_verdict(checkpoints=(), recommended=None, reason="no rows", confidence=math.nan)
    said = answer(nothing, None)
    assert (
        not said["ships"] and said["stage_of"] == "No checkpoint was measured" and said["why"] == "no rows."
    )
