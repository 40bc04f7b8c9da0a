"""Everything a manifest records, as rows of one short table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from overmem.artifacts.manifest import Manifest
from overmem.formatting import spaced

Record = Mapping[str, Any]

_FACTS_SHOWN = 80
_FACT_LENGTH = 160
_LIST_SHOWN = 12
_FINGERPRINT = re.compile(r"(sha256:)?[0-9a-f]{40,}")


def manifest_facts(manifest: Manifest | None) -> list[tuple[str, str]]:
    """What the manifest records as (name, value) rows, without the checkpoints, which have their table."""
    if manifest is None:
        return []
    plain = manifest.to_dict()
    facts = list(_fact_rows({key: value for key, value in plain.items() if key != "checkpoints"}))
    facts.append(("checkpoints", f"{len(manifest.checkpoints)} in the manifest"))
    left_out = len(facts) - _FACTS_SHOWN
    return facts[:_FACTS_SHOWN] + ([("and", f"{left_out} more in manifest.json")] if left_out > 0 else [])


def _fact_rows(value: Record, path: str = "") -> Iterator[tuple[str, str]]:
    """One row for each group of plain values, so that a page of settings stays a short table."""
    plain = {key: item for key, item in value.items() if not isinstance(item, Mapping)}
    if path and plain:
        yield path, "; ".join(f"{spaced(key)} {_fact(item)}" for key, item in plain.items())
    elif plain:
        yield from ((spaced(key), _fact(item)) for key, item in plain.items())
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield from _fact_rows(item, f"{path} / {spaced(key)}" if path else spaced(key))


def _fact(value: Any) -> str:
    if isinstance(value, str) and _FINGERPRINT.fullmatch(value):
        return f"{value[:16]}…"
    if isinstance(value, list | tuple) and len(value) > _LIST_SHOWN:
        return f"{len(value)} listed"
    if isinstance(value, list | tuple) and all(isinstance(item, str | int | float) for item in value):
        value = ", ".join(str(item) for item in value)
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _FACT_LENGTH else f"{text[:_FACT_LENGTH]}…"
