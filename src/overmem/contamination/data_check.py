"""Val against training data before anything is trained or measured: what `overmem data check` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overmem.artifacts.jobs import OOD
from overmem.contamination.policy import leaked_ids, refusal
from overmem.contamination.record import Contamination
from overmem.errors import DataError
from overmem.keywords import names_its_keywords
from overmem.records import Example
from overmem.tasks.sources import SourceText, load_examples


@dataclass(frozen=True, kw_only=True)
class DataCheck:
    """What val and the other sets have of the training data, and whether a verdict could rest on val."""

    record: Contamination
    refused: str | None
    """Why no verdict would be given; None where it would."""

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {**self.record.to_dict(), "refused": self.refused}

    def __repr__(self) -> str:
        found = self.record.of("val", "train")
        counts = ", ".join(f"{n} {kind}" for kind, n in (found.counts if found is not None else {}).items())
        said = self.record.not_checked or f"val has of train: {counts or 'nothing'}"
        return (
            f"DataCheck of {self.record.n_val} val problems; {said}; {self.refused or 'a verdict is given'}"
        )


@names_its_keywords
def data_check(
    val: SourceText,
    train: SourceText | None = None,
    *,
    ood: Mapping[str, SourceText] | None = None,
    columns: str | None = None,
    strict_overlap: bool = False,
) -> DataCheck:
    """Find val problems that are in the training data: copied, reworded or renumbered.

    Args:
        val: validation problems, a source as for `audit`.
        train: all training data.
        ood: problems of other distributions by name.
        columns: `prompt=COLUMN,completion=COLUMN,answer=COLUMN` of val and train.
        strict_overlap: renumbered problems count as leaks, too.

    Raises:
        DataError: data that cannot be read, or that are token ids.
    """
    examples = _texts_of(val, columns)
    trained = None if train is None else _texts_of(train, columns)
    others = {f"{OOD}{name}": _texts_of(source, None) for name, source in (ood or {}).items()}
    # After the data are read: wrong data are said before a table is needed.
    from overmem.contamination.check import check_sets

    record = check_sets(examples, trained, others)
    refused = refusal(len(leaked_ids(record, "val", strict_overlap)), len(examples))
    return DataCheck(record=record, refused=refused)


def _texts_of(source: str | Path, columns: str | None) -> Sequence[Example]:
    """The problems of a source, which must have their texts.

    Raises:
        DataError: they cannot be read, or are token ids.
    """
    found = load_examples(str(source), columns).examples
    if any(example.tokens is not None for example in found):
        raise DataError(
            "tokenized rows have no text to compare",
            got=source,
            expected="rows of text",
            next_step="give the data before they were tokenized, or audit: it decodes them",
        )
    return found
