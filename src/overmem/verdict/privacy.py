"""What a checkpoint gives away of its training data: the worst attack's figures, where they can be had."""

from __future__ import annotations

from collections.abc import Iterable

from overmem.artifacts.evidence import MeasuredCheckpoint, align_evidence
from overmem.artifacts.jobs import TRAIN_SCORES, VAL_SCORES
from overmem.artifacts.manifest import Manifest
from overmem.artifacts.store import Store
from overmem.axes.privacy.figures import REFERENCES, privacy_figure
from overmem.formatting import estimate_text, joined
from overmem.records import Privacy, Verdict

_JOBS = {TRAIN_SCORES, VAL_SCORES, *(job for pair in REFERENCES.values() for job in pair)}


def shipped_names(verdict: Verdict) -> tuple[str, ...]:
    """The checkpoints that a reader may ship: recommended, the other picks, and the last."""
    recommended = verdict.recommended.name if verdict.recommended else None
    last = verdict.checkpoints[-1].name if verdict.checkpoints else None
    return tuple(name for name in dict.fromkeys([recommended, *verdict.alternatives.values(), last]) if name)


def measure_privacy(store: Store, manifest: Manifest, names: Iterable[str]) -> tuple[Privacy, ...]:
    """The worst attack's figures at some checkpoints, on the problems that all of them have.

    Made of the likelihood rows of val and train, which cost nothing more; the attack against the base model
    is among them where `--axes privacy` had the base model scored.

    Args:
        store: the run's artifacts.
        manifest: that describes them.
        names: of measured checkpoints.

    Returns:
        One record a checkpoint; empty where no training data were measured.
    """
    places = [MeasuredCheckpoint(store, manifest, name) for name in names]
    if not places or not store.has_texts():
        return ()
    found = (
        privacy_figure(evidence, place.name)
        for place, evidence in zip(places, align_evidence(places, _JOBS), strict=True)
    )
    return tuple(item for item in found if item is not None)


def privacy_sentence(verdict: Verdict) -> str | None:
    """What the checkpoint to ship gives away, with the last one's figure where that is another."""
    known = {item.checkpoint: item for item in verdict.privacy}
    last = verdict.checkpoints[-1].name if verdict.checkpoints else ""
    shipped = verdict.recommended.name if verdict.recommended is not None else last
    if shipped not in known or known[shipped].auroc.reason is not None:
        return None
    found = known[shipped]
    said = (
        f"Whether a problem was trained on can be told from {shipped} with AUROC "
        f"{estimate_text(found.auroc)} (0.5 is chance; the worst attack: {joined(found.auroc_attacks)})"
    )
    if found.recall.reason is None and found.false_alarms is not None:
        said += (
            f", and {found.recall.value:.0%} of the training problems are found at "
            f"{found.false_alarms.value:.0%} false alarms"
        )
    if last in known and last != shipped:
        said += f"; from {last} with {estimate_text(known[last].auroc)}"
    return f"{said}."
