"""Run with Axolotl's Python: rows of messages to ids and labels, by the prompt strategy of a configuration.

`python axolotl_worker.py ASKED.json ANSWERED.json`. Imports nothing of overmem.
"""

from __future__ import annotations

import json
import sys
from typing import Any

_MESSAGES = "messages"


def dataset_row(row: dict[str, Any], dataset: dict[str, Any]) -> dict[str, Any]:
    """A row under the names that a data set of an Axolotl configuration asks for.

    Columns of the data's own record go before those made of the messages, which stand in where a problem was
    reworded or comes from data of another shape.

    Args:
        row: `messages`, and where known `tools` and the `record`.
        dataset: one entry of the configuration's `datasets`.
    """
    return {**_made_of_messages(row, dataset), **row.get("record", {})}


def _made_of_messages(row: dict[str, Any], dataset: dict[str, Any]) -> dict[str, Any]:
    kind = dataset.get("type")
    messages = row["messages"]
    if isinstance(kind, str) and kind.split(".")[0] in ("chat_template", "messages"):
        names = {"role": "role", "content": "content", **(dataset.get("message_property_mappings") or {})}
        turns = [
            {**{k: v for k, v in turn.items() if k not in ("role", "content")},
             names["role"]: turn["role"], names["content"]: turn["content"]}
            for turn in messages
        ]  # fmt: skip
        found = {dataset.get("field_messages") or _MESSAGES: turns}
        if row.get("tools"):
            found[dataset.get("field_tools") or "tools"] = row["tools"]
        return found
    asked = next((turn["content"] for turn in reversed(messages) if turn["role"] == "user"), "")
    system = next((turn["content"] for turn in messages if turn["role"] == "system"), "")
    answer = messages[-1]["content"]
    if isinstance(kind, dict):
        return {
            kind.get("field_system") or "system": system,
            kind.get("field_instruction") or "instruction": asked,
            kind.get("field_input") or "input": "",
            kind.get("field_output") or "output": answer,
        }
    return {
        "system": system, "instruction": asked, "input": "", "output": answer, "question": asked,
        "answer": answer, "prompt": asked, "completion": answer, "response": answer, "text": asked + answer,
        "conversations": [{"from": {"user": "human", "assistant": "gpt"}.get(t["role"], t["role"]),
                           "value": t["content"]} for t in messages],
    }  # fmt: skip


def main(asked_path: str, answered_path: str) -> None:
    """Render the rows that a file holds."""
    with open(asked_path, encoding="utf-8") as file:
        asked = json.load(file)
    import yaml
    from axolotl.utils.data.wrappers import get_dataset_wrapper
    from axolotl.utils.dict import DictDefault
    from datasets import Dataset
    from transformers import AutoTokenizer

    with open(asked["name"], encoding="utf-8") as file:
        configuration = DictDefault(yaml.safe_load(file))
    if not configuration.datasets:
        sys.exit(f"{asked['name']} names no datasets")
    configuration.sequence_len = asked["max_length"] or configuration.sequence_len or 1 << 20
    dataset = DictDefault(configuration.datasets[0])
    tokenizer = AutoTokenizer.from_pretrained(asked["tokenizer"], trust_remote_code=False)
    for name, token in (configuration.special_tokens or {}).items():
        tokenizer.add_special_tokens({name: token})
    kind = dataset.type
    base, _, style = kind.partition(":") if isinstance(kind, str) else (None, "", "")
    rows = Dataset.from_list([dataset_row(row, dict(dataset)) for row in asked["rows"]])
    made, _ = get_dataset_wrapper(dataset, tokenizer, configuration, base, rows, style or None)
    found = [{"input_ids": list(row["input_ids"]), "labels": list(row["labels"])} for row in made]
    if len(found) != len(rows):
        sys.exit(f"Axolotl left out {len(rows) - len(found)} of {len(rows)} rows")
    with open(answered_path, "w", encoding="utf-8") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
