"""What an audit will cost before it starts: tokens, seconds and memory, on this device or on others.

Times come from a batch or two of each kind of work here, or, where the model cannot be run here, from the
peaks of the device it will run on; the latter are floors.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from overmem.artifacts.jobs import ANSWERS_SCORES, VAL_SCORES, Job, base_answers_job
from overmem.auditing.planning.cost import (
    Memory,
    Peaks,
    Shape,
    Tokens,
    least_seconds,
    makespan,
    memory_of,
    tokens_of,
)
from overmem.auditing.planning.largest_batch import largest_batch
from overmem.auditing.planning.pending_references import (
    PendingReferences,
    answer_ratio,
    base_answer_tokens,
    find_pending_references,
)
from overmem.auditing.planning.plan import Plan, estimate, share_out
from overmem.auditing.planning.timing import Timing, same_rate, score_rate, time_work, units
from overmem.auditing.session import Session
from overmem.boundary import library_call
from overmem.checkpoints import weight_files
from overmem.formatting import time_text
from overmem.models.decoding.kv_cache import pair_scores
from overmem.models.likelihood.divergence import COMPARED_TOKENS
from overmem.models.likelihood.scored_logits import may_read_in_pieces
from overmem.models.memory import cache_size
from overmem.models.pretrained import empty_model
from overmem.models.quantization import weight_bytes
from overmem.records import Checkpoint


@dataclass(frozen=True, kw_only=True, repr=False)
class Forecast:
    """What is still to be done, and what it takes."""

    plan: Plan
    """With the seconds of each axis, on one device."""
    tokens: Mapping[str, Tokens]
    """Of each axis; work that several axes need is shared out as the seconds are."""
    load_seconds: float
    """Of all checkpoints that something is missing at; 0 where nothing was timed."""
    core_seconds: tuple[float, ...]
    """Of each checkpoint, loading included; the other axes start when these are done."""
    rest_seconds: tuple[float, ...]
    memory: Memory
    measured_bytes: int | None
    """Peak of this process over what it held before the first batch; None where nothing was run."""
    floor: bool
    """Whether the seconds are the least that a device's peaks allow, not measured."""
    dtype: str
    pending: PendingReferences | None = None
    """Right answers that are scored once they are there; None where that is not asked for."""
    shared_out: bool = False
    """Whether a checkpoint's model is shared out over the devices of this machine (`--device-map`)."""
    disk_bytes: int = 0
    """Most that what the base model predicts takes on disk while checkpoints are compared with it."""

    def __repr__(self) -> str:
        """A line; what an axis takes is in `to_dict(1)` and in `overmem plan`."""
        axes = ", ".join(
            f"{item.axis} {item.n} problems at {item.checkpoints} checkpoints"
            for item in self.plan.axes
            if item.why_not is None
        )
        about = "at least" if self.floor else "about"
        return f"Forecast: {about} {time_text(self.seconds)} {self.place}; {axes}"

    @property
    def place(self) -> str:
        """Where the seconds are spent, for a sentence."""
        return "on this machine, its devices sharing each model" if self.shared_out else "on one device"

    @property
    def seconds(self) -> float:
        """On one device."""
        return self.seconds_on(1)

    def seconds_on(self, devices: int) -> float:
        """On so many devices, each of which takes whole checkpoints."""
        return makespan(self.core_seconds, devices) + makespan(self.rest_seconds, devices)

    def to_dict(self, devices: int) -> dict[str, Any]:
        """JSON form."""
        return {
            "axes": [
                {
                    "axis": item.axis,
                    "problems": item.n,
                    "checkpoints": item.checkpoints,
                    "read_tokens": round(self.tokens[item.axis].read),
                    "written_tokens": round(self.tokens[item.axis].written),
                    "seconds": round(item.seconds, 3),
                    "why_not": item.why_not,
                }
                for item in self.plan.axes
            ],
            "load_seconds": round(self.load_seconds, 3),
            "seconds": round(self.seconds, 3),
            "devices": devices,
            "seconds_on_devices": round(self.seconds_on(devices), 3),
            "seconds_are": "the least that the peaks allow"
            if self.floor
            else "from a batch or two of each kind",
            "dtype": self.dtype,
            "right_share": None if self.pending is None else self.pending.share,
            "memory_bytes": {**self.memory.__dict__, "total": self.memory.total},
            "measured_bytes": self.measured_bytes,
            "disk_bytes": self.disk_bytes,
        }


def forecast(session: Session, skipped: dict[str, str], peaks: Peaks | None = None) -> Forecast:
    """What the audit will cost, of what is not measured yet.

    Args:
        session: the audit.
        skipped: gains the checkpoints that cannot be loaded.
        peaks: of a device on which it will run; no model is then run here.

    Raises:
        RunError: no checkpoint can be loaded.
    """
    before = held_bytes(session.host.devices)
    timing = time_work(session, skipped, lambda _: peaks is None)
    most = peak_bytes(session.host.devices)
    plan, last = timing.plan, timing.readable[-1]
    shape = shape_of(session, last)
    batches = {job: largest_batch(session, shape, job, plan.limits[job]) for job in plan.limits}
    works = {
        job: [
            _work(session, timing, job, positions, ratio=answer_ratio(session, job, last))
            for positions in timing.left[job]
        ]
        for job in plan.limits
    }
    of_base = {job: written for written in plan.limits if (job := base_answers_job(written)) in plan.later}
    plan, pending = plan.with_later, None
    later: dict[Job, Sequence[float]] = {
        job: base_answer_tokens(session, plan, timing.readable, written) for job, written in of_base.items()
    }
    if ANSWERS_SCORES in plan.limits:
        pending = find_pending_references(session, plan, timing.readable)
        later[ANSWERS_SCORES] = pending.tokens
    n_compared = sum(
        len(session.problems[written.data].chosen(plan.limits[written], session.options.seed))
        for job, written in of_base.items()
        if any(later[job])
    )
    rate = score_rate(session, timing) if peaks is None and any(map(any, later.values())) else 0.0
    for job, tokens in later.items():
        works[job] = [(Tokens(n), rate * n) for n in tokens]
        batches[job] = batches[VAL_SCORES]

    def seconds_of(job: Job, work: tuple[Tokens, float]) -> float:
        tokens, seconds = work
        if peaks is None:
            return seconds
        batch = batches[job]
        return least_seconds(tokens, shape, peaks, batch.rows, batch.tokens / max(1, batch.rows))

    seconds = {job: [seconds_of(job, work) for work in works[job]] for job in works}
    plan = estimate(plan, lambda job, _: sum(seconds[job]))
    read, written = (
        share_out(plan, {job: sum(getattr(tokens, part) for tokens, _ in works[job]) for job in works})
        for part in ("read", "written")
    )
    core = _by_place([seconds[job] for job in plan.core], timing.load_seconds)
    rest = _by_place([seconds[job] for job in plan.rest], timing.load_seconds)
    return Forecast(
        plan=plan,
        tokens={axis: Tokens(read[axis], written[axis]) for axis in read},
        load_seconds=timing.load_seconds * sum(item > 0 for item in (*core, *rest)),
        core_seconds=core,
        rest_seconds=rest,
        memory=memory_of(shape, batches.values()),
        measured_bytes=None if not timing.rates or before is None or most is None else most - before,
        floor=peaks is not None,
        dtype=str(session.host.dtype).removeprefix("torch."),
        pending=pending,
        shared_out=session.host.device_map is not None,
        disk_bytes=n_compared * COMPARED_TOKENS * shape.vocabulary * shape.dtype_bytes,
    )


def shape_of(session: Session, checkpoint: Checkpoint) -> Shape:
    """Sizes of a checkpoint's model, from its configuration and the headers of its files alone."""
    whole = session.host.read_configs(checkpoint).config
    allowed = session.options.trust_remote_code
    model = empty_model(whole, trust_remote_code=allowed, dtype=session.host.dtype)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if checkpoint.kind == "adapter":
        parameters += _parameters_on_disk(checkpoint.path)
    vocabulary, hidden = model.get_input_embeddings().weight.shape
    linear = [module.weight.shape for module in model.modules() if isinstance(module, torch.nn.Linear)]
    size = cache_size(model)
    return Shape(
        parameters=parameters,
        weight_bytes=weight_bytes(
            model, parameters, session.host.quantization(checkpoint), session.host.dtype
        ),
        cache_token_bytes=size.token_bytes,
        cache_row_bytes=size.row_bytes,
        hidden=hidden,
        intermediate=max((rows for rows, _ in linear if rows != vocabulary), default=4 * hidden),
        vocabulary=vocabulary,
        dtype_bytes=session.host.dtype.itemsize,
        reads_in_pieces=may_read_in_pieces(model),
        pair_scores=pair_scores(whole),
    )


def _parameters_on_disk(folder: Path) -> int:
    from safetensors import safe_open

    total = 0
    for file in weight_files(folder):
        if file.suffix == ".safetensors":
            with library_call(f"{file} cannot be read"), safe_open(file, framework="pt") as tensors:
                shapes = [tensors.get_slice(name).get_shape() for name in tensors.keys()]  # noqa: SIM118
            total += sum(int(torch.Size(shape).numel()) for shape in shapes)
    return total


def _work(
    session: Session, timing: Timing, job: Job, positions: Sequence[int], *, ratio: float
) -> tuple[Tokens, float]:
    """Tokens and seconds of some problems at one place."""
    problems = session.problems[job.data]
    seconds = timing.rates.get(same_rate(job), 0.0) * units(session, job, positions)
    if problems.task is not None:
        return Tokens(), seconds
    tokens = sum(
        (
            tokens_of(
                job.kind,
                len(problems.rendered[i].question_ids),
                len(problems.rendered[i].answer_ids),
                samples=session.options.samples,
                ratio=ratio,
            )
            for i in positions
        ),
        Tokens(),
    )
    return tokens, seconds


def _by_place(jobs: Sequence[Sequence[float]], load_seconds: float) -> tuple[float, ...]:
    """Seconds of each checkpoint, with its loading where there is anything to do."""
    most = max(map(len, jobs), default=0)
    sums = [sum(seconds[i] for seconds in jobs if i < len(seconds)) for i in range(most)]
    return tuple(seconds + load_seconds if seconds > 0 else 0.0 for seconds in sums)


def held_bytes(devices: Sequence[torch.device]) -> int | None:
    """What this process holds now: on the devices if they count that, as GPUs do, else in all."""
    module = torch.get_device_module(devices[0])
    if hasattr(module, "memory_allocated"):
        return sum(int(module.memory_allocated(device)) for device in devices)
    pages = Path("/proc/self/statm")
    return int(pages.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") if pages.is_file() else None


def peak_bytes(devices: Sequence[torch.device]) -> int | None:
    """The most that it has held, of each device whenever that was."""
    module = torch.get_device_module(devices[0])
    if hasattr(module, "max_memory_allocated"):
        return sum(int(module.max_memory_allocated(device)) for device in devices)
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text("utf-8")) if status.is_file() else None
    return 1024 * int(found[1]) if found else None
