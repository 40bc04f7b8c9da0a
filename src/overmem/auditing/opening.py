"""Open an audit: from its options to tokenizer, problems and engine, with no model in memory yet."""

from __future__ import annotations

from pathlib import Path

import torch

from overmem.artifacts.store import Store
from overmem.auditing.options import AuditOptions
from overmem.auditing.problems import load_problems, render_first
from overmem.auditing.session import Progress, Session
from overmem.models.engines.address import InProcess, parse_engine
from overmem.models.engines.hf import HfEngine
from overmem.models.engines.openai import OpenAiEngine
from overmem.models.engines.protocol import Engine
from overmem.models.engines.transport import RetryPolicy
from overmem.models.engines.vllm import VllmEngine
from overmem.models.loading import ModelHost, choose_device, choose_dtype
from overmem.records import Run
from overmem.tasks.rendered import preview


def open_session(
    run: Run,
    options: AuditOptions,
    out: Path | None = None,
    progress: Progress | None = None,
    device: torch.device | None = None,
) -> Session:
    """Load tokenizer and problems, and get ready to load the models.

    Args:
        run: the checkpoints.
        options: what to measure and how.
        out: artifact folder; `RUN/overmem` by default.
        progress: told after every batch.
        device: where models are loaded, when it is not for this process to choose.

    Raises:
        OvermemError: bad data, no tokenizer, an unusable device.
    """
    host = _host(run, options, device)
    tokenizer = host.tokenizer()
    return Session(
        run=run,
        host=host,
        tokenizer=tokenizer,
        problems=load_problems(options, tokenizer),
        options=options,
        store=Store.of_run(run.path, out),
        progress=progress or (lambda *_: None),
        engine=make_engine(options, host),
    )


def make_engine(options: AuditOptions, host: ModelHost) -> Engine:
    """The engine that the options name; nothing is contacted or started yet.

    Raises:
        RunError: an unknown engine or a URL that cannot be used.
    """
    address = parse_engine(options.engine)
    if address is None:
        return HfEngine(options.batch_tokens)
    if isinstance(address, InProcess):
        return VllmEngine(host, address.arguments)
    return OpenAiEngine(
        address,
        template=options.engine_model,
        on_demand=options.engine_on_demand,
        concurrency=options.engine_concurrency,
        retry_policy=RetryPolicy(timeout_seconds=options.engine_timeout_seconds),
    )


def show_prompt(run: Run, options: AuditOptions) -> str:
    """The first val example exactly as the model sees it, and what the data were recognised as."""
    found, first = render_first(options, _host(run, options).tokenizer())
    return f"{options.val}: {found.shape}, grader {options.grader or found.grader}\n\n{preview(first)}"


def _host(run: Run, options: AuditOptions, device: torch.device | None = None) -> ModelHost:
    device = device or choose_device(options.device)
    return ModelHost(
        run,
        device=device,
        dtype=choose_dtype(options.dtype, device),
        base_model=options.base_model,
        trust_remote_code=options.trust_remote_code,
        allow_pickle=options.allow_pickle,
    )
