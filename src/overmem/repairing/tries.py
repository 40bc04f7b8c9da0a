"""How many merges were proved on the same problems, and what is left for the next.

Each further try on the same problems has another chance of being accepted by luck. So tries are counted by
content, kept with the run, and each has a lower level than the one before: the first that of a single proof,
and all later ones together a fifth of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Self

from overmem.artifacts.evidence import MeasuredCheckpoint
from overmem.artifacts.jobs import VAL_SCORES
from overmem.artifacts.store import Store
from overmem.records import BASE, to_plain
from overmem.serialization import from_plain

TRIES_SCHEMA = "overmem.tries/1"
NAME = "tries"
"""Of the record among the artifacts."""
LEVEL = 0.05
"""Chance at most of each error that a first try may make."""
SHARED = 0.2
"""Share of the smaller set of problems from which on two tries were made on the same ones."""


def level_of(number: int) -> float:
    """Chance of an error that the try of this number may have: LEVEL / number^3.

    All tries together have at most zeta(3) LEVEL, that is 1.21 LEVEL: alpha spending (Foster and Stine 2008,
    doi 10.1111/j.1467-9868.2007.00643.x, without payouts), with the first at its full level, as most runs
    are repaired once.

    Args:
        number: 1 for the first.
    """
    return float(LEVEL / number**3)


def stretch_of(number: int) -> float:
    """Times by which a 95% interval is to be longer on either side at this try's level; 1 for the first.

    Args:
        number: 1 for the first.
    """
    quantile = NormalDist().inv_cdf
    return quantile(1 - level_of(number) / 2) / quantile(1 - LEVEL / 2)


@dataclass(frozen=True, kw_only=True)
class Try:
    """One merge against one checkpoint, on some problems; by content, whatever their names."""

    before: str
    """Key of the rows of the checkpoint to beat, which its weights decide."""
    after: str
    """The same of the merge."""
    problems: tuple[str, ...]
    """Fingerprints of the problems."""

    def is_on_the_problems_of(self, other: Try) -> bool:
        """Whether the two were made on the same problems, for the most part or a good part."""
        mine, theirs = set(self.problems), set(other.problems)
        return len(mine & theirs) >= SHARED * min(len(mine), len(theirs))

    def is_again(self, other: Try) -> bool:
        """Whether this is the other once more: the same weights on the same problems."""
        return (self.before, self.after) == (other.before, other.after) and self.is_on_the_problems_of(other)


@dataclass(frozen=True, kw_only=True)
class Tries:
    """The tries of a run, in their order: the record `overmem.tries/1`."""

    tries: tuple[Try, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"schema": TRIES_SCHEMA, **to_plain(self)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`.

        Raises:
            ArtifactError: a part is missing or of another kind.
        """
        again = "run `overmem repair` again with problems of their own for the proof: --confirm FILE"
        return from_plain(cls, record, what="tries.json", next_step=again, schema=TRIES_SCHEMA)


def number_of(tries: Sequence[Try], this: Try) -> int:
    """Which try on its problems this is: 1 for the first; one that was made before keeps its number."""
    there = [found for found in tries if found.is_on_the_problems_of(this)]
    again = next((place for place, found in enumerate(there) if this.is_again(found)), len(there))
    return again + 1


def count_try(
    store: Store, place: MeasuredCheckpoint, before: MeasuredCheckpoint, known: Sequence[str]
) -> int:
    """Note a try with the run, and say its number.

    Merges whose rows on the problems are there, and that no record names, were tries too: who removes the
    record does not begin anew.

    Args:
        store: of the run's audit, where the record is kept.
        place: the merge on the confirm split.
        before: the checkpoint to beat, there.
        known: names of the run's checkpoints, whose rows are no tries, as those of the base model.
    """
    this = _try_of(before, place)
    noted = Tries.from_dict(store.read_record(NAME, TRIES_SCHEMA)) if store.has_record(NAME) else Tries()
    tries = (*noted.tries, *_unnoted(place, this, noted.tries, known))
    number = number_of(tries, this)
    if not any(this.is_again(found) for found in tries):
        tries = (*tries, this)
    if tries != noted.tries:
        store.write_record(NAME, Tries(tries=tries).to_dict())
    return number


def _try_of(before: MeasuredCheckpoint, after: MeasuredCheckpoint) -> Try:
    return Try(
        before=before.record.row_keys[str(VAL_SCORES)],
        after=after.record.row_keys[str(VAL_SCORES)],
        problems=tuple(after.rows(VAL_SCORES)["example_sha"]),
    )


def _unnoted(
    place: MeasuredCheckpoint, this: Try, noted: Sequence[Try], known: Sequence[str]
) -> tuple[Try, ...]:
    """Tries that only the rows of their merges tell of."""
    found = []
    after = {item.after for item in (*noted, this)}
    folders = [path.parent.name for path in sorted(place.store.root.glob("*/likelihood.parquet"))]
    for name in (name for name in folders if name not in (*known, BASE)):
        rows = place.store.read_rows(name, "likelihood", columns=())
        for (key,), part in rows.filter(split="val").partition_by("row_key", as_dict=True).items():
            if key not in after:
                after.add(str(key))
                found.append(Try(before=this.before, after=str(key), problems=tuple(part["example_sha"])))
    return tuple(found)
