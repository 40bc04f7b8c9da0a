"""Run with LLaMA-Factory's Python: rows of messages to ids and labels, by its own template and processor.

`python llamafactory_worker.py ASKED.json ANSWERED.json`. Imports nothing of overmem.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def aligned(messages: list[dict[str, Any]], tools: Any) -> dict[str, Any]:
    """A conversation as LLaMA-Factory keeps it after reading: prompt, response, system and tools.

    Args:
        messages: with `role` and `content`, the answer last.
        tools: descriptions of tools, or None.
    """
    turns = [turn for turn in messages if turn["role"] != "system"]
    system = "\n".join(turn["content"] for turn in messages if turn["role"] == "system")
    spoken = [_turn(turn) for turn in turns]
    last = max(at for at, turn in enumerate(spoken) if turn["role"] in ("assistant", "function"))
    return {
        "prompt": spoken[:last],
        "response": spoken[last : last + 1],
        "system": system,
        "tools": json.dumps(tools, ensure_ascii=False) if tools else "",
    }


def _turn(turn: dict[str, Any]) -> dict[str, str]:
    if calls := turn.get("tool_calls"):
        said = [call.get("function", call) for call in calls]
        return {
            "role": "function",
            "content": json.dumps(said[0] if len(said) == 1 else said, ensure_ascii=False),
        }
    roles = {"tool": "observation", "developer": "user"}
    return {"role": roles.get(turn["role"], turn["role"]), "content": turn["content"]}


def main(asked_path: str, answered_path: str) -> None:
    """Render the rows that a file holds."""
    with open(asked_path, encoding="utf-8") as file:
        asked = json.load(file)
    from llamafactory.data.processor.supervised import SupervisedDatasetProcessor
    from llamafactory.data.template import get_template_and_fix_tokenizer
    from llamafactory.hparams import DataArguments
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(asked["tokenizer"], trust_remote_code=False)
    arguments = DataArguments(
        template=asked["name"],
        cutoff_len=asked["max_length"] or 1 << 20,
        default_system=asked["system"],
        mask_history=not asked["every_turn"],
    )
    template = get_template_and_fix_tokenizer(tokenizer, arguments)
    processor = SupervisedDatasetProcessor(template, tokenizer, None, arguments)
    found = []
    for row in asked["rows"]:
        parts = aligned(row["messages"], row.get("tools"))
        ids, labels = processor._encode_data_example(**parts, images=[], videos=[], audios=[])
        found.append({"input_ids": list(ids), "labels": list(labels)})
    with open(answered_path, "w", encoding="utf-8") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
