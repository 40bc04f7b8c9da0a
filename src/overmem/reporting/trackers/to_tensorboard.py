"""A verdict as an event file of TensorBoard: scalars by step, the table and the words as text."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from overmem.reporting.trackers.published import PREFIX, Published, load

FOLDER = "tensorboard"


def push(published: Published, folder: str | None) -> str:
    """Write one event file.

    Args:
        published: the verdict.
        folder: `RUN/overmem/tensorboard` where none is named; another for each verdict keeps them apart.

    Returns:
        The folder.

    Raises:
        RunError: tensorboard is not installed.
    """
    writer = load("tensorboard.summary.writer.event_file_writer", "tensorboard")
    scalar = load("tensorboard.plugins.scalar.summary_v2", "tensorboard").scalar_pb
    text = load("tensorboard.plugins.text.summary_v2", "tensorboard").text_pb
    event = load("tensorboard.compat.proto.event_pb2", "tensorboard").Event
    out = Path(folder) if folder is not None else published.run / "overmem" / FOLDER
    out.mkdir(parents=True, exist_ok=True)
    events: Any = writer.EventFileWriter(str(out))
    now = time.time()
    try:
        for step, figures in published.figures:
            for name, value in figures.items():
                events.add_event(event(wall_time=now, step=step, summary=scalar(name, value)))
        last = published.figures[-1][0] if published.figures else 0
        report = text(f"{PREFIX}report", published.markdown)
        events.add_event(event(wall_time=now, step=last, summary=report))
    finally:
        events.close()
    return str(out)
