"""What every tracker is given of a verdict: figures by step, a table, a summary and the report."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from overmem.errors import RunError
from overmem.formatting import visible
from overmem.records import CheckpointSummary, Estimate, Verdict
from overmem.reporting.markdown import markdown_report
from overmem.reporting.run import read_saved, render
from overmem.verdict.words.headline import Headline, headline

PREFIX = "overmem/"
"""Before each figure's name, so that those of training stand apart."""
COLUMNS = (
    "checkpoint", "step", "epoch", "stage", "leaning", "confidence", "accuracy", "accuracy_low",
    "accuracy_high", "nll_nats", "perplexity", "perplexity_low", "perplexity_high", "ship",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Published:
    """A verdict as trackers have it; an undefined figure is None, or is not there."""

    run: Path
    """The run's folder."""
    title: str
    verdict: Verdict
    figures: tuple[tuple[int, Mapping[str, float]], ...]
    """By step, in order, the figures of each checkpoint."""
    table: tuple[tuple[Any, ...], ...]
    """A row a checkpoint, of `COLUMNS`."""
    summary: Mapping[str, str | float]
    """Stage, what to ship, what it rests on."""
    answer: str
    """Stage and what to ship in two lines, for the note that a tracker shows before any figure."""
    markdown: str
    html: Callable[[], str]
    """The page, of a megabyte or more; made when it is asked for."""


def read_published(run: str | Path) -> Published:
    """What is said of a run, diagnosed first where it was not.

    Args:
        run: its folder, or its artifacts.

    Raises:
        OvermemError: no such folder, or artifacts that are missing or damaged.
    """
    saved = read_saved(run, with_exhibits=False)
    verdict = saved.verdict
    first = headline(verdict)
    text = markdown_report(verdict, saved.manifest, saved.repair, title=saved.title, run=saved.run)
    return Published(
        run=Path(saved.run),
        title=visible(saved.title),
        verdict=verdict,
        figures=tuple((summary.step, _figures(summary)) for summary in verdict.checkpoints),
        table=tuple(_row(verdict, summary) for summary in verdict.checkpoints),
        summary=_summary(verdict, first),
        answer=visible(f"Stage: {first.line}") + "\n" + visible(f"Ship: {first.shipped}"),
        markdown=text,
        html=lambda: render(run, format="html"),
    )


def _figures(summary: CheckpointSummary) -> dict[str, float]:
    estimates = {
        "accuracy": summary.accuracy,
        "nll_nats": summary.nll_nats,
        "perplexity": summary.perplexity,
        **({"train_nll_nats": summary.train_nll_nats} if summary.train_nll_nats else {}),
    }
    found: dict[str, float] = {}
    for name, estimate in estimates.items():
        ends = {"": estimate.value, "_low": estimate.low, "_high": estimate.high}
        found |= {f"{PREFIX}{name}{end}": value for end, value in ends.items() if math.isfinite(value)}
    if math.isfinite(summary.confidence):
        found[f"{PREFIX}confidence"] = summary.confidence
    found |= {f"{PREFIX}probability/{stage}": share for stage, share in summary.stage_probabilities.items()}
    return found


def _row(verdict: Verdict, summary: CheckpointSummary) -> tuple[Any, ...]:
    chosen = verdict.recommended is not None and verdict.recommended.name == summary.name
    return (
        visible(summary.name), summary.step, summary.epoch, summary.stage, summary.leaning,
        _known(summary.confidence), *_parts(summary.accuracy), _known(summary.nll_nats.value),
        *_parts(summary.perplexity), chosen,
    )  # fmt: skip


def _parts(estimate: Estimate) -> tuple[float | None, ...]:
    return tuple(_known(value) for value in (estimate.value, estimate.low, estimate.high))


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _summary(verdict: Verdict, first: Headline) -> dict[str, str | float]:
    found: dict[str, str | float] = {
        "stage": first.stage,
        "stage_confidence": first.confidence,
        "ship": visible(first.shipped),
        "evidence": verdict.evidence,
        "words": visible("\n".join(verdict.words)),
    }
    if verdict.onset.step is not None:
        found["onset_step"] = float(verdict.onset.step)
    return {f"{PREFIX}{name}": value for name, value in found.items()}


def load(package: str, extra: str) -> Any:
    """An optional package.

    Args:
        package: to import.
        extra: of overmem that brings it.

    Raises:
        RunError: it cannot be imported; names the extra.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise RunError(
            f"{package.partition('.')[0]} cannot be imported",
            got=str(error),
            next_step=f"pip install 'overmem[{extra}]'",
        ) from None
