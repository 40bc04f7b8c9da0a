"""What follows from an overlap: which problems are left out, and when a verdict is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from overmem.artifacts.jobs import OOD
from overmem.contamination.record import KINDS, NO_TRAIN, Contamination, SetOverlap
from overmem.formatting import percent

LEAKS = ("copy", "reworded")
"""Kinds that are left out always; renumbered problems only where that is asked for."""
MOST_LEFT_OUT = 0.2
"""Share of val from which on no verdict is given: a fifth copied turned over-memorized into fit."""
FEWEST_CLEAN = 30
"""Fewer clean problems allow no stage, as fewer of any kind do (`overmem.verdict.judge.MIN_PROBLEMS`)."""


def leaked_ids(record: Contamination, set_name: str, strict: bool) -> dict[str, str]:
    """Problems of a set that training had, with the kind of each; `followed` are the second witness's.

    Args:
        record: of the audit.
        set_name: `val`, `ood/NAME` or `references/NAME`.
        strict: renumbered ones, too.
    """
    kinds = KINDS if strict else LEAKS
    against_train = record.of(set_name, "train")
    found = {o.id: o.kind for o in (against_train.found if against_train else ()) if o.kind in kinds}
    if set_name == "val" and record.certain_from is not None:
        certain = [item.id for item in record.followers if item.probability >= record.certain_from]
        found = {**dict.fromkeys(certain, "followed"), **found}
    return found


def problems_left_out(
    record: Contamination, measured_val: Iterable[str], *, strict: bool = False
) -> dict[str, tuple[str, ...]]:
    """Ids that the verdict and the axes do without, by set.

    Where too few clean val problems would be left, none is left out of val: a verdict is refused then, and
    the figures are those of all problems.

    Args:
        record: of the audit.
        measured_val: ids of the val problems that are measured.
        strict: renumbered ones are left out, too.
    """
    measured = set(measured_val)
    names = dict.fromkeys(item.set for item in record.sets if item.against == "train")
    found = {name: leaked_ids(record, name, strict) for name in ("val", *names)}
    if len(measured - set(found["val"])) < FEWEST_CLEAN:
        del found["val"]
    return {name: tuple(sorted(ids)) for name, ids in found.items() if ids}


def refusal(n_leaked: int, n_measured: int) -> str | None:
    """Why no verdict is given, or None.

    Args:
        n_leaked: measured val problems that training had.
        n_measured: all of them.
    """
    if not n_leaked:
        return None
    few = n_measured - n_leaked < FEWEST_CLEAN
    if n_leaked <= MOST_LEFT_OUT * n_measured and not few:
        return None
    why = (
        f"and {n_measured - n_leaked} clean ones are left, fewer than {FEWEST_CLEAN}"
        if few
        else f"more than {percent(MOST_LEFT_OUT, 0)}"
    )
    return (
        f"insufficient evidence: {n_leaked} of {n_measured} val problems are training problems, {why}; audit "
        "with a clean --val (`overmem data check` names the problems), or with --allow-overlap"
    )


@dataclass(frozen=True)
class _Names:
    one: str
    many: str


_SAID: Mapping[str, _Names] = {
    "copy": _Names("copy", "copies"),
    "reworded": _Names("reworded", "reworded"),
    "renumbered": _Names("renumbered", "renumbered"),
    "followed": _Names("followed train's NLL", "followed train's NLL"),
}


def counts_text(counts: Mapping[str, int]) -> str:
    """`3 copies, 1 reworded`; `none` where there is nothing."""
    ordered = [kind for kind in _SAID if counts.get(kind)]
    said = [f"{counts[k]:,} {_SAID[k].one if counts[k] == 1 else _SAID[k].many}" for k in ordered]
    return ", ".join(said) or "none"


def overlap_line(item: SetOverlap) -> str:
    """One comparison in a line."""
    if item.against == item.set:
        return f"{item.set} against itself: {item.n:,} problems, {len(item.found):,} of them twice"
    said = f"{item.set} against {item.against} ({item.n_against:,}): {counts_text(item.counts)} of {item.n:,}"
    return f"{said}; {item.unread:,} have no words to compare" if item.unread else said


def said_of_contamination(record: Contamination, left_out: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """What was found and what follows, a line each, before anything is measured.

    Args:
        record: of the texts.
        left_out: ids by set; see `problems_left_out`.
    """
    if record.not_checked is not None:
        head = [
            f"warning: val was not compared with training data: {record.not_checked} (--train); a verdict "
            "holds only if no val problem was trained on"
        ]
    else:
        head = []
    compared = {item.set for item in record.sets if item.against == "train"}
    others = {item.against for item in record.sets if item.against.startswith(OOD)} - compared
    if record.not_checked is None and others:
        head.append(
            f"warning: {', '.join(sorted(others))} was not compared with training data: {NO_TRAIN} (--train)"
        )
    lines = [
        f"overlap: {overlap_line(item)}" for item in record.sets if item.against != item.set or item.found
    ]
    if record.groups:
        grouped = sum(map(len, record.groups))
        lines.append(
            f"overlap: {grouped:,} of {record.n_val:,} val problems share {len(record.groups):,} templates"
        )
    lines += [
        f"warning: {len(ids):,} problems of {name} are left out of the verdict: they are in the training data"
        for name, ids in left_out.items()
    ]
    return (*head, *lines)
