"""What every view of a verdict says first."""

from __future__ import annotations

from dataclasses import dataclass

from overmem.formatting import certainty_text
from overmem.records import Verdict
from overmem.verdict.words.accuracy import ship_text
from overmem.verdict.words.choice import shipped_stage

INSUFFICIENT = "insufficient evidence"
_MEANINGS = {
    "learning": "Accuracy is still rising to its peak.",
    "fit": "Accuracy is at its best and perplexity is not inflated.",
    "over-memorized": "Accuracy holds, but perplexity is inflated.",
    "overfit": "Accuracy has fallen and perplexity is inflated.",
    "unstable": "Accuracy has fallen, though perplexity is not inflated.",
}


@dataclass(frozen=True, kw_only=True)
class Headline:
    """What every view of a verdict says first."""

    stage: str
    """Of the last checkpoint; `insufficient evidence` where none can be given."""
    confidence: str
    """How sure that is, or what it leans to."""
    meaning: str
    """The stage in a sentence; empty where none is given."""
    ship: str
    """Name of the checkpoint to ship, or `none yet`."""
    ship_stage: str
    """Its stage and how sure that is; empty where none is shipped."""

    @property
    def line(self) -> str:
        """Stage and confidence in one line."""
        return f"{self.stage}, {self.confidence}"

    @property
    def shipped(self) -> str:
        """The checkpoint to ship with its stage."""
        return f"{self.ship} ({self.ship_stage})" if self.ship_stage else self.ship

    @property
    def detail(self) -> str:
        """How sure the stage is and what it means."""
        return f"{self.confidence}. {self.meaning}" if self.meaning else self.confidence


def headline(verdict: Verdict) -> Headline:
    """The stage of the last checkpoint, how sure it is, and what to ship.

    Terminal, page, Markdown, notebook and the words all take it from here.
    """
    chosen = verdict.recommended
    ship = chosen.name if chosen is not None else "none yet"
    shipped = shipped_stage(chosen) if chosen is not None else ""
    last = verdict.checkpoints[-1] if verdict.checkpoints else None
    leaning, logged = last.leaning if last is not None else None, verdict.evidence == "logged"
    stage, confidence = verdict.stage, certainty_text(None, verdict.confidence)
    if stage == "undetermined" and logged:
        confidence = (f"leans {leaning}, " if leaning else "") + "read from the training log alone"
        keep = verdict.logged.runs[0].keep if verdict.logged is not None else None
        ship = f"none yet; the log alone would keep {keep.name}" if keep is not None else ship
    elif verdict.evidence in ("accuracy", "scores"):
        stage, confidence = "no stage", "read from accuracy alone"
        ship = ship if chosen is not None else ship_text(verdict)
        shipped = "by accuracy alone" if chosen is not None else ""
    elif stage == "undetermined" and (last is None or leaning is None or verdict.recommended is None):
        stage, confidence = INSUFFICIENT, "no stage can be given"
    elif stage == "undetermined" and last is not None:
        confidence = certainty_text(leaning, last.confidence)
    if verdict.evidence == "accuracy and eval_loss":
        confidence += ", eval_loss standing in for likelihoods"
    return Headline(
        stage=stage,
        confidence=confidence,
        meaning=_MEANINGS.get(stage, ""),
        ship=ship,
        ship_stage=shipped,
    )
