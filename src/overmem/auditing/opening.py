"""Open an audit: from its options to tokenizer, problems and engine, with no model in memory yet."""

from __future__ import annotations

from pathlib import Path

import torch

from overmem.artifacts.store import Store
from overmem.auditing import problems as data
from overmem.auditing.options import AuditConfig
from overmem.auditing.session import Progress, Session
from overmem.models.engines.address import InProcess, parse_engine
from overmem.models.engines.hf import HfEngine
from overmem.models.engines.openai import OpenAiEngine
from overmem.models.engines.protocol import Engine
from overmem.models.engines.transport import RetryPolicy
from overmem.models.engines.vllm import VllmEngine
from overmem.models.loading import ModelHost, choose_device, choose_dtype
from overmem.records import Run
from overmem.tasks.template import preview


def open_session(
    run: Run,
    config: AuditConfig,
    out: Path | None = None,
    progress: Progress | None = None,
    device: torch.device | None = None,
) -> Session:
    """Load tokenizer and problems, and get ready to load the models.

    Args:
        run: the checkpoints.
        config: what to measure and how.
        out: artifact folder; `RUN/overmem` by default.
        progress: told after every batch.
        device: where models are loaded, when it is not for this process to choose.

    Raises:
        OvermemError: bad data, no tokenizer, an unusable device.
    """
    host = _host(run, config, device)
    tokenizer = host.tokenizer()
    return Session(
        run=run,
        host=host,
        tokenizer=tokenizer,
        problems=data.load_problems(config, tokenizer),
        config=config,
        store=Store.of_run(run.path, out),
        progress=progress or (lambda *_: None),
        engine=make_engine(config, host),
    )


def make_engine(config: AuditConfig, host: ModelHost) -> Engine:
    """The engine that the options name; nothing is contacted or started yet.

    Raises:
        RunError: an unknown engine or a URL that cannot be used.
    """
    address = parse_engine(config.engine)
    if address is None:
        return HfEngine(config.batch_tokens)
    if isinstance(address, InProcess):
        return VllmEngine(host, address.arguments)
    return OpenAiEngine(
        address,
        template=config.engine_model,
        on_demand=config.engine_on_demand,
        concurrency=config.engine_concurrency,
        retry_policy=RetryPolicy(timeout_seconds=config.engine_timeout_seconds),
    )


def show_prompt(run: Run, config: AuditConfig) -> str:
    """The first val example exactly as the model sees it, and what the data were recognised as."""
    found, first = data.render_first(config, _host(run, config).tokenizer())
    return f"{config.val}: {found.shape}, grader {config.grader or found.grader}\n\n{preview(first)}"


def _host(run: Run, config: AuditConfig, device: torch.device | None = None) -> ModelHost:
    device = device or choose_device(config.device)
    return ModelHost(
        run,
        device=device,
        dtype=choose_dtype(config.dtype, device),
        base_model=config.base_model,
        trust_remote_code=config.trust_remote_code,
        allow_pickle=config.allow_pickle,
    )
