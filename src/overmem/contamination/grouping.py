"""Which problems stand for one another: by a column of the data, or as their texts say.

Several references of one problem, and wordings of one template, are answered alike, so that their errors add
up: they are one group (`overmem.stats.groups`). But templates that training has too are no groups: where the
task is drawn from templates, sharing them is the task, and its problems are what was drawn.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

from overmem.artifacts.evidence import joined_labels
from overmem.contamination.check import check_sets, with_shared_template
from overmem.contamination.record import Contamination
from overmem.errors import DataError
from overmem.records import Example
from overmem.stats.groups import Groups

FEWEST_GROUPS = 30
"""Groups that templates must leave where training data do not tell whether they are the task, as fewer would
allow no stage (`overmem.verdict.judge.MIN_PROBLEMS`)."""
OTHER_COLUMN = "name one of them with --group, or leave it out: val is then grouped by its texts"
SAME_PROMPT, ONE_TEMPLATE = "the same prompt", "one template with other numbers or names"


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """The groups that the problems of a set fall into."""

    labels: Mapping[str, str]
    """Of each problem by its id, equal in one group; a problem that is not named stands alone."""
    by: str
    """What tells them."""

    def labels_of(self, ids: Sequence[str]) -> tuple[str, ...] | None:
        """The label of each problem; None where each stands alone."""
        found = tuple(self.labels.get(name, name) for name in ids)
        return None if len(set(found)) == len(found) else found


def find_groups(record: Contamination, ids: Sequence[str]) -> Grouping | None:
    """The groups that the texts of val show; None where each problem stands alone.

    Problems that are the same word for word are one group. Those of one template that training does not have
    are, unless training has most of val's templates, which are the task then. Where no training data are
    known, they are unless fewer than `FEWEST_GROUPS` would be left.

    Args:
        record: what val has twice, and of training data.
        ids: of the val problems.
    """
    trained = record.of("val", "train")
    return _groups_of(record, ids, None if trained is None else {item.id for item in trained.found})


def groups_of_train(train: Sequence[Example], val: Sequence[Example], column: str | None) -> Grouping | None:
    """The groups of training rows; None where each stands alone.

    By the column where training data have it. Else as of val, with the sides changed: equal prompts are one
    group, and so is a template that val does not have, unless val has most of training's.

    Args:
        train: the rows that are measured.
        val: the problems beside them.
        column: that groups val, if one was named.
    """
    if _has_column(column, train):
        return groups_by_column(train, column, "train")
    shared = {train[place].id for place in with_shared_template(train, val)}
    return _groups_of(check_sets(train, None, {}), [example.id for example in train], shared)


def _groups_of(record: Contamination, ids: Sequence[str], elsewhere: set[str] | None) -> Grouping | None:
    """Groups by equal prompts and by templates; `elsewhere` are problems whose template another set has."""
    twice = record.of("val", "val")
    known = [{item.id: item.other, item.other: item.other} for item in (twice.found if twice else ())]
    own = [group for group in record.groups if not {*group} & (elsewhere or set())]
    templates = [dict.fromkeys(group, group[0]) for group in own if 2 * len(own) > len(record.groups)]
    labels = joined_labels([*known, *templates])
    if elsewhere is None and Groups.of(labels.get(name, name) for name in ids).effective < FEWEST_GROUPS:
        templates, labels = [], joined_labels(known)
    if not labels:
        return None
    by = " or ".join([SAME_PROMPT] * bool(known) + [ONE_TEMPLATE] * bool(templates))
    return Grouping(labels=labels, by=by)


def groups_beside_val(examples: Sequence[Example], column: str | None) -> Grouping | None:
    """The groups of another set than val, such as an OOD set; None where each problem stands alone.

    By the column where its data have it. Else equal prompts are one group, and templates are none: they may
    be what the set is drawn from.

    Args:
        examples: of the set.
        column: that groups val, if one was named.
    """
    if _has_column(column, examples):
        return groups_by_column(examples, column)
    record = check_sets(examples, None, {})
    return find_groups(replace(record, groups=()), [example.id for example in examples])


def _has_column(column: str | None, examples: Sequence[Example]) -> TypeGuard[str]:
    return column is not None and any(column in {**e.meta, **(e.row or {})} for e in examples)


def groups_by_column(
    examples: Sequence[Example], column: str, of: str = "val", next_step: str = OTHER_COLUMN
) -> Grouping:
    """The groups that a column of the data says: equal values are one group, a row without one is alone.

    Args:
        examples: with the rows that they were read from.
        column: its name.
        of: what the examples are, for the message.
        next_step: what to do where they have no such column.

    Raises:
        DataError: no row has the column.
    """
    rows = [dict(example.meta) | dict(example.row or {}) for example in examples]
    if not any(column in row for row in rows):
        raise DataError(
            f"{of} has no column `{column}` to group its problems by",
            got=", ".join(map(str, rows[0]))
            if rows and rows[0]
            else "no columns beside prompt and reference",
            expected="a column with the same value in all rows of one group",
            next_step=next_step,
        )
    values = [_label(row.get(column)) for row in rows]
    labels = {e.id: value for e, value in zip(examples, values, strict=True) if value is not None}
    return Grouping(
        labels={name: f"{column}={value}" for name, value in labels.items()}, by=f"column {column}"
    )


def _label(value: Any) -> str | None:
    return (
        value if value is None or isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    )


def said_of_groups(
    grouping: Grouping | None, ids: Sequence[str], of: str = "val problems"
) -> tuple[str, ...]:
    """How many groups there are and what tells them, in a line; nothing where each problem stands alone."""
    labels = None if grouping is None else grouping.labels_of(ids)
    if grouping is None or labels is None:
        return ()
    groups = len(set(labels))
    return (
        f"groups: {len(labels):,} {of} in {groups:,} groups ({grouping.by}); errors are those of the groups",
    )
