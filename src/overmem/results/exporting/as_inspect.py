"""Answers as a log of inspect_ai, a JSON file a checkpoint that `inspect view` opens.

NLL has no place of its own there: it is a second score, `nll_nats`, summed over the reference.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from overmem.artifacts.files import write_text_atomic
from overmem.artifacts.manifest import Manifest
from overmem.boundary import real_path
from overmem.errors import ArtifactError
from overmem.results.exporting.rows import Exported

SCORER = "correct"
TASK = "overmem_answers"
_UNKNOWN_TIME = "1970-01-01T00:00:00"


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
        path = out / f"{_time_of(manifest)}_{TASK}_{item.model.name}.json"
        record = _log(rows, str(real_path(run / item.model.name)), manifest)
        write_text_atomic(path, json.dumps(record, indent=1) + "\n")
        written.append(path)
    if not written:
        raise ArtifactError(
            "a log of inspect_ai holds answers, and none were measured",
            next_step="audit with the accuracy axis, or export csv",
        )
    return written


def _time_of(manifest: Manifest) -> str:
    """When the audit was made: `inspect view` lists a JSON file only where its name begins with a time."""
    return (manifest.created or _UNKNOWN_TIME)[: len(_UNKNOWN_TIME)].replace(":", "-")


def _log(rows: list[dict[str, Any]], model: str, manifest: Manifest) -> dict[str, Any]:
    accuracy = sum(row["correct"] for row in rows) / len(rows)
    ids = [row["example_id"] for row in rows]
    metrics = {"accuracy": {"name": "accuracy", "value": accuracy}}
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "created": manifest.created,
            "task": TASK,
            "task_version": 1,
            "dataset": {"name": manifest.val.source, "samples": len(rows), "sample_ids": ids},
            "model": f"overmem/{Path(model).name}",
            "model_args": {"model_path": model},
            "config": {},
            "packages": {"overmem": manifest.versions.get("overmem", "")},
        },
        "plan": {"name": "plan", "steps": [], "config": {}},
        "results": {
            "total_samples": len(rows),
            "completed_samples": len(rows),
            "scores": [{"name": SCORER, "scorer": SCORER, "metrics": metrics}],
        },
        "stats": {"started_at": manifest.created, "completed_at": manifest.created},
        "samples": [_sample(row, model) for row in rows],
    }


def _sample(row: dict[str, Any], model: str) -> dict[str, Any]:
    scores: dict[str, Any] = {SCORER: {"value": row["correct"], "answer": row["text"]}}
    if row["nll_nats"] is not None:
        scores["nll_nats"] = {"value": row["nll_nats"], "metadata": {"n_tokens": row["n_tokens"]}}
    question = {"role": "user", "content": row["prompt"] or ""}
    answer = {"role": "assistant", "content": row["text"] or ""}
    return {
        "id": row["example_id"],
        "epoch": 1,
        "input": row["prompt"] or "",
        "target": row["answer"] or "",
        "messages": [question, answer],
        "output": {"model": model, "choices": [{"message": answer, "stop_reason": "stop"}]},
        "scores": scores,
        "metadata": {"example_sha": row["example_sha"]},
    }
