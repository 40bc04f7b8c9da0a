"""From an audit's options to its engine."""

from __future__ import annotations

from overmem.auditing.config import AuditConfig
from overmem.auditing.engines.address import InProcess, parse_engine
from overmem.auditing.engines.hf import HfEngine
from overmem.auditing.engines.openai import OpenAiEngine
from overmem.auditing.engines.protocol import Engine
from overmem.auditing.engines.transport import Patience
from overmem.auditing.engines.vllm import VllmEngine
from overmem.auditing.models import ModelHost


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
        patience=Patience(timeout_seconds=config.engine_timeout_seconds),
    )
