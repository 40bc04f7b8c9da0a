"""What a checkpoint gives away of its training data: the worst attack's figures, where they can be had."""

from __future__ import annotations

from collections.abc import Iterable

from overmem.artifacts.evidence import MeasuredCheckpoint, align_evidence
from overmem.artifacts.jobs import TRAIN_SCORES, VAL_SCORES
from overmem.artifacts.manifest import Manifest
from overmem.artifacts.store import Store
from overmem.axes.privacy.figures import REFERENCES, privacy_figure
from overmem.records import Privacy

_JOBS = {TRAIN_SCORES, VAL_SCORES, *(job for pair in REFERENCES.values() for job in pair)}


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
