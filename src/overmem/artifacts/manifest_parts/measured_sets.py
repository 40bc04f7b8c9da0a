"""A set of problems as it was measured: which problems, from where, how they were asked and graded."""

from __future__ import annotations

from dataclasses import dataclass

from overmem.serialization import FieldError


@dataclass(frozen=True, kw_only=True)
class MeasuredSet:
    """One set of problems in one wording, as it was measured."""

    set: str
    """See `overmem.artifacts.jobs.Job`."""
    variant: str
    """`clean`, or the name of a perturbation."""
    source: str
    """As written in the options."""
    shape: str
    """What the data were recognised as."""
    grader: str
    n: int
    """Problems in the set, before any limit."""
    most_measured: int | None = None
    """Most of them that any work was done on; None where an older overmem noted none."""
    fingerprint: str
    """Of the rendered problems."""
    answers: str | None = None
    """Key of the reference answers; None where an older overmem noted none."""
    example_ids: tuple[str, ...]
    example_shas: tuple[str, ...]
    max_new_tokens: int | None = None
    """Longest answer that was allowed."""
    groups: tuple[str, ...] | None = None
    """Label of each problem, equal for those that stand for one another; None where each stands alone."""
    grouped_by: str | None = None
    """What told the groups, such as `column source`."""

    def check_read(self) -> None:
        """Refuse ids that are not one a fingerprint, or groups that are not one an id.

        Raises:
            FieldError: so it is.
        """
        if len(self.example_ids) != len(self.example_shas) or self.n < 0:
            got = f"{len(self.example_ids)} ids, {len(self.example_shas)} fingerprints, n {self.n}"
            raise FieldError("example_ids", "does not fit", got, "as many as `example_shas`")
        if self.groups is not None and len(self.groups) != len(self.example_ids):
            got = f"{len(self.groups)} labels of {len(self.example_ids)} problems"
            raise FieldError("groups", "does not fit", got, "as many as `example_ids`")
        for field_name in ("example_ids", "example_shas"):
            try:
                "".join(getattr(self, field_name)).encode()
            except UnicodeEncodeError as error:
                got = ascii(error.object[error.start])
                raise FieldError(field_name, "holds half of a character", got, "text") from None

    @property
    def measured(self) -> int:
        """Problems that were measured."""
        return self.n if self.most_measured is None else self.most_measured
