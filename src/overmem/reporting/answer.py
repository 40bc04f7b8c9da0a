"""What a report says first: the stage, what to ship and why, with the repaired model where one was proved."""

from __future__ import annotations

from overmem.records import Repair, Verdict
from overmem.repairing.narrative import how_made
from overmem.reporting import view
from overmem.verdict.words.axes import INFLATED
from overmem.verdict.words.choice import missing_text, why_text
from overmem.verdict.words.headline import INSUFFICIENT, headline


def accepted(repair: Repair | None) -> bool:
    """Whether a repaired model is what to ship."""
    return (
        repair is not None
        and repair.proof is not None
        and repair.proof.accepted
        and repair.model is not None
        and repair.winner is not None
    )


def answer(verdict: Verdict, repair: Repair | None) -> view.Values:
    """The answer, each fact once: page and Markdown say the same.

    Args:
        verdict: the record.
        repair: the record, if there is one of the same audit.
    """
    first, chosen = headline(verdict), verdict.recommended
    # Where no stage can be given, its figures would read as one.
    reasons = view.reasons(verdict) if first.stage != INSUFFICIENT else []
    last = verdict.checkpoints[-1].name if verdict.checkpoints else None
    why = why_text(chosen.name, chosen.why) if chosen is not None else missing_text(verdict.reason)
    found = {
        "stage": first.stage,
        "slug": view.stage_slug(verdict.stage),
        "stage_of": f"Stage of the last checkpoint, {last}" if last else "No checkpoint was measured",
        "certainty": _certainty(verdict, first.detail if not reasons else first.confidence),
        "reasons": reasons,
        "ships": chosen is not None,
        "ship_label": "Checkpoint to ship",
        "ship": first.ship,
        "ship_stage": first.ship_stage,
        "why": why,
        "instead": "",
    }
    return found | _repaired(repair, first.shipped) if accepted(repair) else found


def _repaired(repair: Repair | None, before: str) -> view.Values:
    """What takes the place of a checkpoint where a repair was proved."""
    assert repair is not None and repair.proof is not None
    winner = next(attempt for attempt in repair.attempts if attempt.name == repair.winner)
    return {
        "ships": True,
        "ship_label": "Model to ship",
        "ship": "Repaired model",
        "ship_stage": how_made(winner),
        "why": f"{repair.proof.reason}, on {repair.n_confirm:,} held-out problems.",
        "instead": f"It is in {_place(repair)}. Without the repair: {before}.",
    }


def _place(repair: Repair) -> str:
    """Where the repaired model lies, named from the run's folder where it is in there."""
    assert repair.model is not None
    if repair.model.is_relative_to(repair.run):
        return f"`{repair.model.relative_to(repair.run)}` of the run's folder"
    return f"`{repair.model}`"


def _certainty(verdict: Verdict, said: str) -> str:
    """How sure the stage is, since which step it holds, and what would settle it."""
    onset, text = verdict.onset, said.rstrip(".")
    if onset.step is not None:
        known = onset.low is not None and onset.high is not None
        interval = f" (95% interval {onset.low} to {onset.high})" if known else ""
        since = ", since step" if verdict.stage in INFLATED else "; if inflated, since step"
        text = f"{text}{since} {onset.step}{interval}"
    last = verdict.checkpoints[-1] if verdict.checkpoints else None
    if last is not None and last.leaning is not None and last.problems_to_settle is not None:
        text = f"{text}. About {last.problems_to_settle:,} problems would settle it in half of the cases"
    return f"{text}."
