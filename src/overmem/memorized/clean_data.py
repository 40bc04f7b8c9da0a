"""The training data of a run for the next fine-tune: without its most memorized rows, without duplicates."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overmem.artifacts.files import named_output, write_text_atomic
from overmem.artifacts.manifest import read_manifest
from overmem.artifacts.store import Store
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
        OvermemError: no audit with training data, data that cannot be read again or are others now, a
            share out of range, or a file that is there.
    """
    if Path(out).exists():
        raise RunError("the output file exists already", got=out, next_step="name a file that is not there")
    if not 0 <= share < 1:
        raise RunError("the share of rows to leave out is out of range", got=share, expected="0 up to 1")
    store = Store.of_run(Path(run))
    manifest = read_manifest(store)
    ranked = rank_training_rows(store, manifest, checkpoint)
    source = manifest.splits["train"].source
    examples = load_examples(source, manifest.config.get("columns")).examples
    listed = set(ranked.highest(share)["example_id"]) if share else set()
    _check_same(store, examples, set(ranked.table["example_id"]), source)
    gone = {_content(example) for example in examples if example.id in listed}
    kept = [example for example in examples if _content(example) not in gone]
    single = without_duplicates(kept)
    if not single:
        raise RunError("no row would be left", got=f"--share {share}", expected="a smaller share")
    write_text_atomic(named_output(out, ".jsonl"), "".join(f"{_line(example)}\n" for example in single))
    return CleanData(
        out=Path(out),
        n=len(single),
        memorized=len(examples) - len(kept),
        duplicates=len(kept) - len(single),
        scored=len(ranked.table),
        rows=len(examples),
    )


def without_duplicates(examples: Iterable[Example]) -> Sequence[Example]:
    """The first of all examples of one content: the same but for white space within and around lines."""
    first: dict[tuple[str, str, str], Example] = {}
    for example in examples:
        first.setdefault(_content(example), example)
    return list(first.values())


def _content(example: Example) -> tuple[str, str, str]:
    return _plain(str(example.prompt)), _plain(example.completion), str(example.chat)


def _plain(text: str) -> str:
    """A text without what white space does not mean: indentation stays, which code means."""
    lines = (re.sub(r"(?<=\S)\s+", " ", line.rstrip()) for line in text.strip().splitlines())
    return "\n".join(filter(None, lines))


def _check_same(store: Store, examples: Sequence[Example], measured: set[str], source: str) -> None:
    """Refuse data that are not those that were audited: ids of other rows would name the wrong ones.

    Raises:
        DataError: an audited row is not there, or has another completion.
    """
    texts = store.read_texts().filter(set="train")
    audited = dict(zip(texts["example_id"], texts["completion"], strict=True))
    now = {example.id: "".join(example.completion.split()) for example in examples}
    others = [
        name
        for name in measured
        if name not in now or now[name] not in "".join(str(audited.get(name, "")).split())
    ]
    if others:
        raise DataError(
            "the training data are no longer those that were audited",
            got=f"{len(others)} audited rows are not in {source}, or have another text there",
            next_step="run `overmem audit` again",
        )


def _line(example: Example) -> str:
    """A row as a line of JSON.

    Raises:
        DataError: it holds what JSON does not have.
    """
    try:
        return json.dumps(_record(example), ensure_ascii=False)
    except TypeError as error:
        raise DataError(
            "a row cannot be written as JSON",
            got=f"row `{example.id}`: {error}",
            expected="texts, numbers, lists and objects",
            next_step="turn its column into text, or leave out the rows of: overmem data memorized RUN --csv",
        ) from None


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
