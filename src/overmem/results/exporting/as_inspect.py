"""Answers as a log of inspect_ai, a JSON file a checkpoint that `inspect view` opens.

NLL has no place of its own there: it is a second score, `nll_nats`, summed over the reference.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from overmem.artifacts.files import write_text_atomic
from overmem.artifacts.manifest import Manifest
from overmem.errors import ArtifactError
from overmem.results.exporting.rows import Exported

SCORER = "correct"


def write_inspect(found: list[Exported], manifest: Manifest, run: Path, out: Path) -> list[Path]:
    """Write a log a checkpoint; the files written.

    Args:
        found: rows of each.
        manifest: that describes them.
        run: the run's folder, under which the checkpoints are named.
        out: folder.

    Raises:
        ArtifactError: no answers were measured.
    """
    written = []
    for item in found:
        rows = [row for row in item.rows.to_dicts() if row["correct"] is not None]
        if not rows:
            continue
        path = out / f"{item.model.name}.json"
        record = _log(rows, str((run / item.model.name).resolve()), manifest)
        write_text_atomic(path, json.dumps(record, indent=1) + "\n")
        written.append(path)
    if not written:
        raise ArtifactError(
            "a log of inspect_ai holds answers, and none were measured",
            next_step="audit with the accuracy axis, or export csv",
        )
    return written


def _log(rows: list[dict[str, Any]], model: str, manifest: Manifest) -> dict[str, Any]:
    accuracy = sum(row["correct"] for row in rows) / len(rows)
    ids = [row["example_id"] for row in rows]
    metrics = {"accuracy": {"name": "accuracy", "value": accuracy}}
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "created": manifest.created,
            "task": "overmem_answers",
            "task_version": 1,
            "dataset": {"name": manifest.val.source, "samples": len(rows), "sample_ids": ids},
            "model": "overmem/audit",
            "model_args": {"model_path": model},
            "config": {},
            "packages": {"overmem": manifest.versions.get("overmem", "")},
        },
        "results": {
            "total_samples": len(rows),
            "completed_samples": len(rows),
            "scores": [{"name": SCORER, "scorer": SCORER, "metrics": metrics}],
        },
        "samples": [_sample(row, model) for row in rows],
    }


def _sample(row: dict[str, Any], model: str) -> dict[str, Any]:
    scores: dict[str, Any] = {SCORER: {"value": row["correct"]}}
    if row["nll_nats"] is not None:
        scores["nll_nats"] = {"value": row["nll_nats"], "metadata": {"n_tokens": row["n_tokens"]}}
    message = {"role": "assistant", "content": row["text"] or ""}
    return {
        "id": row["example_id"],
        "epoch": 1,
        "input": row["prompt"] or "",
        "target": row["answer"] or "",
        "output": {"model": model, "choices": [{"message": message, "stop_reason": "stop"}]},
        "scores": scores,
        "metadata": {"example_sha": row["example_sha"]},
    }
