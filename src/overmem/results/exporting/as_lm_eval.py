"""Rows as lm-evaluation-harness writes them: a folder a checkpoint, with results and samples of two tasks."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from overmem.artifacts.files import write_text_atomic
from overmem.artifacts.manifest import Manifest
from overmem.boundary import real_path
from overmem.results.exporting.rows import Exported
from overmem.results.lm_eval_task import ANSWERS, REFERENCES, VERSION


def write_lm_eval(found: list[Exported], manifest: Manifest, run: Path, out: Path) -> list[Path]:
    """Write a folder a checkpoint; the files written.

    Args:
        found: rows of each.
        manifest: that describes them.
        run: the run's folder, under which the checkpoints are named.
        out: folder.
    """
    date = manifest.created.replace(":", "-") or "undated"
    written = []
    for item in found:
        folder = out / item.model.name
        rows = item.rows.to_dicts()
        tasks = {
            ANSWERS: [
                _sample(row, at, "correct") for at, row in enumerate(rows) if row["correct"] is not None
            ],
            REFERENCES: [
                _sample(row, at, "nll_nats") for at, row in enumerate(rows) if row["nll_nats"] is not None
            ],
        }
        tasks = {name: samples for name, samples in tasks.items() if samples}
        for name, samples in tasks.items():
            path = folder / f"samples_{name}_{date}.jsonl"
            write_text_atomic(path, "".join(json.dumps(sample) + "\n" for sample in samples))
            written.append(path)
        record = _results(tasks, str(real_path(run / item.model.name)), manifest)
        path = folder / f"results_{date}.json"
        write_text_atomic(path, json.dumps(record, indent=2) + "\n")
        written.append(path)
    return written


def _sample(row: dict[str, Any], at: int, figure: str) -> dict[str, Any]:
    """One document; in the second task the reference is what is scored."""
    doc = {"id": row["example_id"], "prompt": row["prompt"], "completion": row["completion"]}
    doc |= {"answer": row["answer"], "example_sha": row["example_sha"]}
    prompt, completion = row["prompt"] or "", row["completion"] or ""
    response: list[Any]
    if figure == "nll_nats":
        doc["n_tokens"] = row["n_tokens"]
        logprob = str(-row["nll_nats"])
        asked, response, metric, value = (
            [prompt, completion],
            [[logprob, "False"]],
            "loglikelihood",
            -row["nll_nats"],
        )
        target = completion
    else:
        asked, response, metric, value = [prompt], [row["text"] or ""], "correct", row["correct"]
        target = row["answer"] or ""
    return {
        "doc_id": at,
        "doc": doc,
        "target": target,
        "arguments": {"gen_args_0": {f"arg_{i}": text for i, text in enumerate(asked)}},
        "resps": [response],
        "filtered_resps": response,
        "filter": "none",
        "metrics": [metric],
        "doc_hash": _hash(row["example_id"], row["example_sha"]),
        "prompt_hash": _hash(prompt),
        "target_hash": _hash(target),
        metric: value,
    }


def _results(tasks: dict[str, list[dict[str, Any]]], model: str, manifest: Manifest) -> dict[str, Any]:
    kinds = {ANSWERS: "generate_until", REFERENCES: "loglikelihood"}
    results = {}
    for name, samples in tasks.items():
        metric = samples[0]["metrics"][0]
        mean = sum(sample[metric] for sample in samples) / len(samples)
        results[name] = {"alias": name, "sample_len": len(samples), f"{metric},none": mean}
    return {
        "results": results,
        "configs": {name: {"task": name, "output_type": kinds[name]} for name in tasks},
        "versions": dict.fromkeys(tasks, VERSION),
        "n-shot": dict.fromkeys(tasks, 0),
        "n-samples": {
            name: {"original": manifest.val.n, "effective": len(rows)} for name, rows in tasks.items()
        },
        "config": {"model": "overmem", "model_args": {"pretrained": model}},
        "model_name": model,
        "date": manifest.created,
        "overmem_version": manifest.versions.get("overmem", ""),
    }


def _hash(*parts: object) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode(errors="surrogatepass")).hexdigest()
