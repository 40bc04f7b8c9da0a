"""The training data of a run for the next fine-tune: without its most memorized rows, without duplicates."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overmem.artifacts.manifest import read_manifest
from overmem.artifacts.store import Store, write_text_atomic
from overmem.errors import DataError, RunError
from overmem.memorized.ranking import MEASURE, rank_training_rows
from overmem.records import Example
from overmem.tasks.sources import load_examples


@dataclass(frozen=True, kw_only=True)
class CleanData:
    """What was written, and what was left out."""

    out: Path
    n: int
    """Rows written."""
    memorized: int
    duplicates: int
    scored: int
    """Rows whose memorization was measured; of the others none is left out for it."""
    rows: int
    """Rows of the training data."""

    @property
    def words(self) -> str:
        """What was done, in two lines."""
        said = (
            f"wrote {self.n:,} of {self.rows:,} rows to {self.out}: {self.memorized:,} memorized rows and "
            f"{self.duplicates:,} duplicates left out"
        )
        if self.scored == self.rows:
            return said
        return (
            f"{said}\nonly {self.scored:,} of {self.rows:,} rows were measured; to measure all: "
            f"{MEASURE.format('RUN')}"
        )


def clean_training_data(
    run: str | Path, out: str | Path, *, share: float = 0.1, checkpoint: str | None = None
) -> CleanData:
    """Write the run's training data as JSONL, each record as it was, without what to learn no more.

    Args:
        run: an audited run.
        out: the file; written whole or not at all.
        share: of the measured rows to leave out, most memorized first, in [0, 1).
        checkpoint: at which they were memorized; the last by default.

    Raises:
        OvermemError: no audit with training data, data that cannot be read again, or a share out of range.
    """
    if not 0 <= share < 1:
        raise RunError("the share of rows to leave out is out of range", got=share, expected="0 up to 1")
    store = Store.of_run(Path(run))
    manifest = read_manifest(store)
    ranked = rank_training_rows(store, manifest, checkpoint)
    source = manifest.splits["train"].source
    examples = load_examples(source, manifest.config.get("columns")).examples
    listed = set(ranked.highest(share)["example_id"]) if share else set()
    if lost := set(ranked.table["example_id"]) - {example.id for example in examples}:
        raise DataError(
            "the training data are no longer those that were audited",
            got=f"{len(lost)} audited rows are not in {source}",
            next_step="run `overmem audit` again",
        )
    kept = [example for example in examples if example.id not in listed]
    single = without_duplicates(kept)
    if not single:
        raise RunError("no row would be left", got=f"--share {share}", expected="a smaller share")
    records = (json.dumps(_record(example), ensure_ascii=False) for example in single)
    write_text_atomic(Path(out), "".join(f"{line}\n" for line in records))
    return CleanData(
        out=Path(out),
        n=len(single),
        memorized=len(examples) - len(kept),
        duplicates=len(kept) - len(single),
        scored=len(ranked.table),
        rows=len(examples),
    )


def without_duplicates(examples: Iterable[Example]) -> Sequence[Example]:
    """The first of all examples whose prompt and completion are the same, but for white space."""
    first: dict[tuple[str, str], Example] = {}
    for example in examples:
        first.setdefault((_plain(str(example.prompt)), _plain(example.completion)), example)
    return list(first.values())


def _plain(text: str) -> str:
    return " ".join(text.split())


def _record(example: Example) -> Any:
    """The row as the data have it; what was made by rule has none and is written as prompt and completion."""
    if example.row is not None:
        return example.row
    if example.tokens is not None or not isinstance(example.prompt, str):
        raise DataError(
            "rows of this shape cannot be written back",
            got=f"row `{example.id}`",
            expected="rows of texts",
            next_step="leave out the listed rows where the data were made: overmem data memorized RUN --csv",
        )
    answer = {} if example.answer is None else {"answer": example.answer}
    return {"id": example.id, "prompt": example.prompt, "completion": example.completion, **answer}
