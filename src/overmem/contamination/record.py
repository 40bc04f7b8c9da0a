"""What is known of the overlap between val, training data and OOD sets: the record `contamination.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from overmem.records import to_plain
from overmem.serialization import from_plain

if TYPE_CHECKING:
    from overmem.artifacts.store import Store

Kind = Literal["copy", "reworded", "renumbered"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Of overlap, the surest first; see `overmem.contamination.kinds`."""
CONTAMINATION_SCHEMA = "overmem.contamination/1"
NO_TRAIN = "no training data was given"
NAME = "contamination"
"""Of the record among the artifacts."""


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """One problem that another set has, too."""

    id: str
    other: str
    """Id of the problem in the other set."""
    kind: str
    """`copy`, `reworded` or `renumbered`; see `overmem.contamination.kinds`."""


@dataclass(frozen=True, kw_only=True)
class SideBySide:
    """Two problems to compare by eye, shortened."""

    kind: str
    text: str
    other: str


@dataclass(frozen=True, kw_only=True)
class SetOverlap:
    """One set of problems against another."""

    set: str
    """`val` or `ood/NAME` or `references/NAME`."""
    against: str
    """`train`, `ood/NAME`, or `val`, for problems that it has twice."""
    n: int
    """Problems of the set."""
    n_against: int
    unread: int = 0
    """Problems of it without a word to compare."""
    fingerprint: str = ""
    """Of the set."""
    found: tuple[Overlap, ...] = ()
    """At most one a problem, in the order of the set."""
    examples: tuple[SideBySide, ...] = ()
    """A few of each kind."""

    @property
    def counts(self) -> dict[str, int]:
        """Problems by kind; kinds that were not found are left out."""
        kinds = [item.kind for item in self.found]
        return {kind: kinds.count(kind) for kind in dict.fromkeys(sorted(kinds))}


@dataclass(frozen=True, kw_only=True)
class Follower:
    """A val problem whose NLL followed the training problems' and not the rest of val's."""

    id: str
    probability: float
    """That it moves with train, in [0, 1]; see `overmem.contamination.followers`."""


@dataclass(frozen=True, kw_only=True)
class Contamination:
    """What the texts say before anything is measured, and what the rows say afterwards."""

    val: str
    """Fingerprint of the val problems that were checked."""
    n_val: int
    not_checked: str | None = None
    """Why val was not compared with training data; None where it was."""
    sets: tuple[SetOverlap, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()
    """Ids of val problems that share one template, numbers and names masked; groups of one are left out."""
    followers: tuple[Follower, ...] = field(default=())
    """Of the second witness, the likeliest first."""
    certain_from: float | None = None
    """Probability from which on a follower is left out; None where the rows could not tell."""

    def of(self, set_name: str, against: str) -> SetOverlap | None:
        """One comparison, if it was made."""
        return next((item for item in self.sets if (item.set, item.against) == (set_name, against)), None)

    def to_dict(self) -> dict[str, Any]:
        """The `overmem.contamination/1` record, with the counts of each comparison."""
        plain = to_plain(self)
        for item, written in zip(self.sets, plain["sets"], strict=True):
            written["counts"] = item.counts
        return {"schema": CONTAMINATION_SCHEMA, **plain}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`.

        Raises:
            ArtifactError: another schema, or a part that is missing or of another kind.
        """
        again = "run `overmem audit` again; it measures only what is missing"
        return from_plain(
            cls, record, what="contamination.json", next_step=again, schema=CONTAMINATION_SCHEMA
        )


def read_contamination(store: Store) -> Contamination | None:
    """The record of an audited run; None where an older overmem audited it.

    Raises:
        ArtifactError: it is damaged, or of another schema.
    """
    if not store.has_record(NAME):
        return None
    return Contamination.from_dict(store.read_record(NAME, CONTAMINATION_SCHEMA))


def write_contamination(store: Store, record: Contamination) -> None:
    """Save the record, whole or not at all."""
    store.write_record(NAME, record.to_dict())
