"""The options of an audit as typed keywords, so that editors complete and type checkers check them.

Each is a field of `overmem.auditing.options.AuditOptions`, where its meaning stands; a test compares
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from overmem.auditing.options import DeviceMap, Half
    from overmem.models.quantization import Quantize
    from overmem.rendering.template import Template
    from overmem.rule import Rule


class AuditKeywords(TypedDict, total=False):
    """What `overmem.audit`, `plan` and `watch` take beside their own; all may be left out."""

    val: str | Path
    columns: str | None
    group: str | None
    groups: dict[str, str] | None
    train: str | Path | None
    all_train: bool
    canaries: str | Path | None
    ood: dict[str, str | Path]
    references: dict[str, str | Path]
    retention: dict[str, str | Path]
    variants: dict[str, str | Path | None] | None
    axes: str | Sequence[str]
    checkpoints: str | Sequence[str]
    checkpoints_glob: str | None
    limit: int | None
    limits: dict[str, int]
    samples: int
    temperature: float
    budget_minutes: float | None
    until_decided: bool
    seed: int
    half: Half | None
    grader: str | None
    template: Template
    max_new_tokens: int | None
    base_model: str | None
    base_row: bool
    strict_overlap: bool
    allow_overlap: bool
    device: str
    device_map: DeviceMap | None
    dtype: str
    quantize: Quantize | None
    batch_tokens: int | None
    engine: str
    engine_scores: bool
    engine_model: str | None
    engine_on_demand: bool
    engine_concurrency: int
    engine_timeout_seconds: float
    allow_pickle: bool
    trust_remote_code: bool
    allow_code_execution: bool
    rule: Rule
