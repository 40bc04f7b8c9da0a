"""Scored ids beside trained ids: our rendering against TRL's own preparation, row by row.

Rival: `trl.SFTTrainer._prepare_dataset`, run as the trainer runs it, without a model.

    make npm-tokenizers DIR=/tmp/tokenizers     # or any folder of tokenizer folders
    python -m benchmarks.tokens /tmp/tokenizers [--only qwen3] [--out tokens.json]

Of every pair of a tokenizer's template and a kind of row it says `same`, or what differs: `warned` where
`--show-prompt` says so, `DIFFERENT` where it does not. Exit code 1 where one is DIFFERENT.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import sys
import tempfile
from collections import Counter
from datetime import datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from datasets import Dataset
from transformers import AutoTokenizer
from transformers.utils import chat_template_utils

from overmem.errors import OvermemError
from overmem.rendering.chat_template import TEMPLATE_DATE
from overmem.rendering.proof import warnings_of
from overmem.rendering.render import render
from overmem.rendering.rendered import Rendered
from overmem.rendering.template import Template
from overmem.tasks.sources import load_examples

TEMPLATES = {
    "deepseek_v3": ("own", "deepseekv3", "deepseek_r1_distill"),
    "gemma": ("gemma",),
    "gemma2": ("gemma",),
    "gemma3": ("own", "gemma3"),
    "gpt4o": ("phi3",),
    "gptoss": ("gptoss",),
    "llama2": ("none",),
    "llama3": ("own", "llama3"),
    "llama3_1": ("llama3_1",),
    "llama3_2": ("own", "llama3_2"),
    "mistral_nemo": ("own",),
    "qwen2_5": ("own", "qwen2_5"),
    "qwen3": ("own", "qwen3", "qwen3_instruct_2507", "qwen3_5_think", "qwen3_5_nothink", "glm4moe"),
    "smollm2": ("own",),
    "yi": ("qwen2_5",),
}
"""Chat templates of each tokenizer: its own, or those that TRL ships under these names."""
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "add",
            "description": "Adds two numbers.",
            "parameters": {
                "type": "object",
                "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
            },
        },
    }
]
CALL = [{"type": "function", "function": {"name": "add", "arguments": {"a": 2, "b": 3}}}]


def user(text: str) -> dict[str, Any]:
    """A user turn."""
    return {"role": "user", "content": text}


def said(text: str, **more: Any) -> dict[str, Any]:
    """An assistant turn."""
    return {"role": "assistant", "content": text, **more}


SYSTEM = {"role": "system", "content": "Be brief."}
TWO_TURNS = [user("What is 2 + 3?"), said("It is 5."), user("And twice that?"), said("Twice that is 10.")]
ROWS: dict[str, dict[str, Any]] = {
    "text pair": {"prompt": "Question: 2 + 3?\nAnswer:", "completion": " 2 + 3 = 5"},
    "pair, space at the end": {"prompt": "Is 7 prime? Answer: ", "completion": "Yes"},
    "pair, newline at the end": {"prompt": "Compute 2 + 3.\n", "completion": "\n5"},
    "pair, word cut in two": {"prompt": "The answer is forty", "completion": "two apples"},
    "pair, number cut in two": {"prompt": "x = 12", "completion": "345"},
    "pair, BOS in the text": {"prompt": "{bos}Question: 2?", "completion": " 2"},
    "pair, EOS in the text": {"prompt": "Question: 2?", "completion": " 2{eos}"},
    "pair, other scripts": {"prompt": "计算 2 加 3 🙂:", "completion": " 等于 5 ✅"},
    "pair, blank after": {"prompt": "Question: 2?", "completion": " 2 \n\n"},
    "chat pair": {"prompt": [user("What is 2 + 3?")], "completion": [said("It is 5.")]},
    "chat pair, system": {"prompt": [SYSTEM, user("What is 2 + 3?")], "completion": [said("It is 5.")]},
    "chat pair, turns before": {"prompt": TWO_TURNS[:3], "completion": [TWO_TURNS[3]]},
    "chat pair, blank first": {"prompt": [user("Hi")], "completion": [said("\nHello.")]},
    "chat pair, think": {
        "prompt": [user("2 + 3?")],
        "completion": [said("<think>\n2 + 3 = 5\n</think>\n\n5")],
    },
    "chat pair, reasoning": {
        "prompt": [user("2 + 3?")],
        "completion": [said("5", reasoning_content="2 and 3 is 5")],
    },
    "chat pair, thinking": {"prompt": [user("2 + 3?")], "completion": [said("5", thinking="2 and 3 is 5")]},
    "chat pair, no thinking": {
        "prompt": [user("2 + 3?")],
        "completion": [said("5")],
        "chat_template_kwargs": {"enable_thinking": False},
    },
    "chat pair, tool turns": {
        "prompt": [user("2 + 3?")],
        "completion": [
            said("", tool_calls=CALL),
            {"role": "tool", "name": "add", "content": "5"},
            said("5."),
        ],
        "tools": TOOLS,
    },
    "messages": {"messages": TWO_TURNS[:2]},
    "messages, system": {"messages": [SYSTEM, *TWO_TURNS[:2]]},
    "messages, two turns": {"messages": TWO_TURNS},
    "messages, same answers": {
        "messages": [user("1?"), said("1"), user("1?"), said("1"), user("1?"), said("1")]
    },
    "messages, reasoning": {
        "messages": [
            user("2 + 3?"),
            said("5", reasoning_content="2 and 3"),
            user("Twice?"),
            said("10", reasoning_content="5 and 5"),
        ]
    },
    "messages, think": {
        "messages": [user("2 + 3?"), said("<think>2</think>5"), user("Twice?"), said("<think>5</think>10")]
    },
    "messages, user last": {"messages": [*TWO_TURNS, user("Thanks")]},
    "messages, tools": {
        "messages": [
            user("2 + 3?"),
            said("", tool_calls=CALL),
            {"role": "tool", "name": "add", "content": "5"},
            said("It is 5."),
        ],
        "tools": json.dumps(TOOLS),
    },
    "messages, content parts": {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "2 + 3?"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "It is 5."}]},
        ]
    },
    "ShareGPT, user and assistant": {
        "conversations": [{"from": "user", "value": "2 + 3?"}, {"from": "assistant", "value": "It is 5."}]
    },
    "ShareGPT, human and gpt": {
        "conversations": [{"from": "human", "value": "2 + 3?"}, {"from": "gpt", "value": "It is 5."}]
    },
    "ShareGPT, system column": {
        "conversations": [{"from": "user", "value": "2 + 3?"}, {"from": "assistant", "value": "It is 5."}],
        "system": "Be brief.",
    },
    "text": {"text": "Question: 2 + 3?\nAnswer: 5"},
}
"""One row of each kind."""
ASSISTANT_ONLY = (
    "messages",
    "messages, system",
    "messages, two turns",
    "messages, same answers",
    "messages, reasoning",
    "messages, tools",
    "chat pair",
    "chat pair, turns before",
)
"""Kinds that are also prepared with `assistant_only_loss`."""


class FixedDay(datetime):
    """The clock of chat templates."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        """The day that our rendering has."""
        return TEMPLATE_DATE


def prepare(tokenizer: Any, row: dict[str, Any], assistant_only: bool) -> tuple[list[int], list[int]]:
    """Input ids and labels of one row, by TRL's own code."""
    from trl import SFTTrainer
    from trl.chat_template_utils import get_training_chat_template, has_generation_markers

    tokenizer = copy.copy(tokenizer)
    template = None
    if assistant_only and not has_generation_markers(tokenizer.chat_template):
        template = get_training_chat_template(tokenizer)
    trainer = SimpleNamespace(
        _tokenizer=tokenizer,
        chat_template=template,
        completion_only_loss="prompt" in row and "completion" in row,
        _skip_prepare_dataset=False,
    )
    # A stream, since `Dataset.map` would hash the whole tokenizer for every row.
    rows = Dataset.from_list([row]).to_iterable_dataset()
    made = SFTTrainer._prepare_dataset(
        trainer, rows, tokenizer, arguments(assistant_only), False, None, "train"
    )
    (found,) = made
    return list(found["input_ids"]), list(found["labels"])


@cache
def arguments(assistant_only: bool) -> Any:
    """What a trainer is told."""
    from trl import SFTConfig

    return SFTConfig(
        output_dir="unused",
        max_length=None,
        assistant_only_loss=assistant_only,
        use_cpu=True,
        bf16=False,
        report_to=[],
    )


def compare(tokenizer: Any, name: str, row: dict[str, Any], assistant_only: bool) -> tuple[str, str]:
    """The outcome for one row, and what there is to say about it."""
    row = json.loads(
        json.dumps(row)
        .replace("{bos}", tokenizer.bos_token or "")
        .replace("{eos}", tokenizer.eos_token or "")
    )
    template = Template(assistant_only_loss=assistant_only)
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", delete=False) as file:
        file.write(json.dumps(row) + "\n")
    try:
        example = load_examples(file.name).examples[0]
    except OvermemError as error:
        return "refused", str(error)
    finally:
        Path(file.name).unlink()
    try:
        theirs, labels = prepare(tokenizer, row, assistant_only)
    except Exception as error:
        try:
            rendered = render(example, tokenizer, template)
        except OvermemError:
            return "both refuse", str(error)
        warned = warnings_of(example, rendered, tokenizer, template)
        return ("warned" if warned else "only TRL refuses"), f"{error} {warned}"
    try:
        rendered = render(example, tokenizer, template)
        warned = warnings_of(example, rendered, tokenizer, template)
    except OvermemError as error:
        return "refused", str(error)
    text = difference(rendered, theirs, labels, tokenizer, row)
    if text is None:
        return "same", ""
    return ("warned" if warned else "DIFFERENT"), f"{text} {warned}"


def difference(
    rendered: Rendered, theirs: list[int], labels: list[int], tokenizer: Any, row: dict[str, Any]
) -> str | None:
    """What differs between ids and masks; None where nothing does."""
    ours = list(rendered.input_ids)
    if theirs[: len(ours)] != ours:
        return f"ids: {tokenizer.decode(ours)!r} against {tokenizer.decode(theirs)!r}"
    mask = [False] * len(rendered.prompt_ids) + list(rendered.scored_mask)
    mask += [False] * (len(theirs) - len(mask))
    trained = [label != -100 for label in labels]
    trained[0] = False  # nothing predicts the first token
    if all(trained[1:]) and not ("prompt" in row or "text" in row):  # TRL trained on prompts too
        return turn_difference(mask, theirs, tokenizer, row)
    if mask != trained:
        mine = tokenizer.decode([i for i, on in zip(theirs, mask, strict=True) if on])
        return f"scored: {mine!r} against {tokenizer.decode([i for i in labels if i != -100])!r}"
    return None


def turn_difference(mask: list[bool], ids: list[int], tokenizer: Any, row: dict[str, Any]) -> str | None:
    """Whether the scored runs are the assistant's turns: what it said, and nothing that others said."""
    turns = row.get("messages") or row["conversations"]
    runs, before = [], False
    for token, on in zip(ids, mask, strict=True):
        if on and not before:
            runs.append([])
        if on:
            runs[-1].append(token)
        before = on
    contents = [turn.get("content") or turn.get("value") or "" for turn in turns]
    contents = ["".join(p["text"] for p in c) if isinstance(c, list) else c for c in contents]
    answers = [
        c
        for c, t in zip(contents, turns, strict=True)
        if (t.get("role") or t["from"]) in ("assistant", "gpt")
    ]
    others = [
        c
        for c, t in zip(contents, turns, strict=True)
        if (t.get("role") or t["from"]) not in ("assistant", "gpt")
    ]
    texts = [tokenizer.decode(run) for run in runs]
    if len(texts) != len(answers):
        return f"{len(texts)} scored runs, {len(answers)} assistant turns: {texts}"
    for text, answer in zip(texts, answers, strict=True):
        if answer.split("</think>")[-1].strip() not in text or any(len(o) > 3 and o in text for o in others):
            return f"the run {text!r} is not the turn {answer!r}"
        if any(name in text for name in ("user", "<start_of_turn>", "<|im_start|>", "[INST]")):
            return f"the run {text!r} holds the start of another turn"
    return None


def main() -> int:
    """Compare every pair and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a folder with a folder of each tokenizer")
    parser.add_argument("--only", help="one tokenizer")
    parser.add_argument("--out", type=Path, help="all outcomes, as JSON")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    chat_template_utils.datetime = FixedDay  # templates that write the date: training's day is ours here
    trl = Path(find_spec("trl").submodule_search_locations[0]) / "chat_templates"
    found, details = Counter(), []
    for name, templates in TEMPLATES.items():
        if options.only not in (None, name) or not (options.folder / name).is_dir():
            continue
        for template in templates:
            tokenizer = AutoTokenizer.from_pretrained(options.folder / name)
            if template not in ("own", "none"):
                tokenizer.chat_template = (trl / f"{template}.jinja").read_text()
            here = Counter()
            for kind, row in ROWS.items():
                is_chat = not ("text" in row or isinstance(row.get("prompt"), str))
                if template == "none" and is_chat:
                    continue
                for assistant_only in (False, True) if kind in ASSISTANT_ONLY and is_chat else (False,):
                    outcome, text = compare(tokenizer, kind, row, assistant_only)
                    here[outcome] += 1
                    details.append(
                        {
                            "tokenizer": name,
                            "template": template,
                            "row": kind,
                            "assistant_only_loss": assistant_only,
                            "outcome": outcome,
                            "detail": text,
                        }
                    )
            found += here
            print(
                f"{name:14} {template:22} " + ", ".join(f"{k} {v}" for k, v in sorted(here.items())),
                flush=True,
            )
    print("all: " + ", ".join(f"{k} {v}" for k, v in sorted(found.items())))
    for item in details:
        if item["outcome"] in ("DIFFERENT", "refused", "only TRL refuses"):
            only = " (assistant only)" if item["assistant_only_loss"] else ""
            where = f"{item['tokenizer']}/{item['template']}, {item['row']}{only}"
            print(f"{item['outcome']}: {where}: {item['detail'][:300]}")
    if options.out:
        options.out.write_text(json.dumps(details, indent=1, ensure_ascii=False))
    return int(found["DIFFERENT"] > 0)


if __name__ == "__main__":
    sys.exit(main())
