"""What the sets of an audit have of one another: problems that training had, and problems that are alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from overmem.artifacts.jobs import OOD, REFERENCES
from overmem.artifacts.manifest import Manifest
from overmem.artifacts.store import Store
from overmem.auditing.options import AuditOptions
from overmem.auditing.problem_sets.problems import Problems
from overmem.axes import CORE
from overmem.contamination.check import check_sets
from overmem.contamination.grouping import (
    Grouping,
    find_groups,
    groups_beside_val,
    groups_by_column,
    groups_of_train,
)
from overmem.contamination.policy import problems_left_out
from overmem.contamination.record import Contamination, read_contamination
from overmem.verdict.clean_val import add_followers


@dataclass
class Overlap:
    """The overlap of an audit's sets, by their texts and, once there are some, by their rows."""

    problems: Mapping[str, Problems]
    """By `data_key`."""
    options: AuditOptions
    store: Store

    @cached_property
    def contamination(self) -> Contamination:
        """What val and the other sets have of the training data, by their texts."""
        val, train = self.problems["val"], self.problems.get("train")
        return check_sets(
            val.examples,
            None if train is None else train.drawn_from,
            {name: p.examples for name, p in self.problems.items() if name.startswith((OOD, REFERENCES))},
            fingerprint=val.fingerprint,
            earlier=read_contamination(self.store),
        )

    def hear_rows(self, manifest: Manifest) -> None:
        """Add to the overlap what the rows of a finished core say of it; what is left out follows."""
        self.contamination = add_followers(self.store, manifest, self.contamination)
        self.__dict__.pop("left_out", None)

    @cached_property
    def left_out(self) -> dict[str, tuple[str, ...]]:
        """Ids of problems that training had, by set, which no reader of this audit sees."""
        val = self.problems["val"]
        limits = [self.options.limit_of(axis) for axis in CORE]
        most = None if None in limits else max(n for n in limits if n is not None)
        measured = [val.examples[i].id for i in val.chosen(most, self.options.seed)]
        return problems_left_out(self.contamination, measured, strict=self.options.strict_overlap)

    @cached_property
    def grouping(self) -> Grouping | None:
        """The groups that val problems fall into; None where each stands alone.

        Raises:
            DataError: `group` names a column that val does not have.
        """
        options, examples = self.options, self.problems["val"].examples
        if options.groups is not None:
            return Grouping(labels=options.groups, by="those of the audit that is repaired")
        if options.group is not None:
            return groups_by_column(examples, options.group)
        return find_groups(self.contamination, [example.id for example in examples])

    @cached_property
    def groupings(self) -> dict[str, Grouping | None]:
        """The groups of val's problems, the training rows and each OOD set; None where each stands alone."""
        column = self.options.group
        others = {name: p.examples for name, p in self.problems.items() if name.startswith(OOD)}
        found = {name: groups_beside_val(examples, column) for name, examples in others.items()}
        if (train := self.problems.get("train")) is not None:
            found["train"] = groups_of_train(train.examples, self.problems["val"].examples, column)
        return {"val": self.grouping, **found}
