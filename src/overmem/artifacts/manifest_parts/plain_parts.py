"""Parts of a manifest that are kept as they stand in the file; what is read of them has its type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from overmem.serialization import check_plain


@dataclass(frozen=True, kw_only=True)
class _Cut:
    """What is read of an axis that the time budget cut."""

    asked: int
    measured: int
    why: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Stopping:
    """What is read of an audit that stops once it is decided."""

    decided: bool
    problems: int
    of: int
    most_chance: float
    looks: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, kw_only=True)
class _VllmEngine:
    """What is read of vLLM in this process."""

    version: str


@dataclass(frozen=True, kw_only=True)
class _ServerEngine:
    """What is read of a server."""

    kind: str
    url: str
    prompts: str
    logprobs: bool


@dataclass(frozen=True, kw_only=True)
class _Config:
    """What is read of the options without `overmem.auditing.options`."""

    limit: int | None = None
    temperature: float = 0.0
    seed: int = 0
    samples: int = 0


def check_plain_parts(
    *,
    cut: Mapping[str, Mapping[str, Any]],
    until_decided: Mapping[str, Any] | None,
    engine: Mapping[str, Any] | None,
    config: Mapping[str, Any],
) -> None:
    """Check what is read of the parts of these names.

    Raises:
        FieldError: a field that is missing or of another type.
    """
    for name, of_axis in cut.items():
        check_plain(_Cut, of_axis, f"cut.{name}")
    if until_decided is not None:
        check_plain(_Stopping, until_decided, "until_decided")
    if engine is not None:
        kind = _VllmEngine if engine.get("kind") == "vllm" else _ServerEngine
        check_plain(kind, engine, "engine")
    check_plain(_Config, config, "config")
