"""Tokens from other code: a function of the user's, or a framework that runs in an environment of its own.

A framework's renderer is its own, called as its trainer calls it, in a process of its own: it changes
tokenizers and needs its own versions of Transformers. What comes back are token ids and labels.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from overmem.errors import DataError
from overmem.own_functions import FAULTS, find_own_function, said_by
from overmem.records import Example
from overmem.rendering.chat import whole_conversation
from overmem.rendering.rendered import Tokenizer
from overmem.rendering.template import Template
from overmem.rendering.trained_tokens import trained_tokens

TITLES = {"llamafactory": "LLaMA-Factory", "axolotl": "Axolotl"}


def render_elsewhere(
    examples: Sequence[Example], tokenizer: Tokenizer, template: Template
) -> tuple[Example, ...]:
    """The examples with the tokens that other code makes of them.

    Args:
        examples: the problems; those that are already tokenized stay as they are.
        tokenizer: of the run.
        template: whose kind names the code.

    Raises:
        DataError: the code is missing, fails, or gives what are no tokens and labels.
    """
    name, _, detail = template.kind.partition(":")
    _refuse_ignored(name, template)
    asked = [example for example in examples if example.tokens is None]
    if not asked:
        return tuple(examples)
    if name == "python":
        function = find_own_function(template.kind, "renderer", DataError)
        rows = [_call(function, example, tokenizer, template.kind) for example in asked]
    else:
        rows = _run_framework(name, detail, asked, tokenizer, template)
    found = {
        id(example): _with_tokens(example, row, template.kind)
        for example, row in zip(asked, rows, strict=True)
    }
    return tuple(found.get(id(example), example) for example in examples)


def _refuse_ignored(name: str, template: Template) -> None:
    """Refuse options that the other code would not read.

    Raises:
        DataError: names them.
    """
    read = {"kind", "score", "max_length", *(["system"] if name == "llamafactory" else [])}
    plain = Template()
    ignored = [
        field.name
        for field in fields(template)
        if field.name not in read and getattr(template, field.name) != getattr(plain, field.name)
    ]
    if ignored:
        raise DataError(
            f"the renderer `{template.kind}` does not read {', '.join(ignored)}",
            next_step="leave them out, or set them in the other code's own configuration",
        )


def canonical_row(example: Example) -> dict[str, Any]:
    """What an example asks and answers, for a framework to render: messages, tools and the data's record."""
    row: dict[str, Any] = {"id": example.id, "messages": whole_conversation(example)}
    if example.chat.tools:
        row["tools"] = [dict(tool) for tool in example.chat.tools]
    return row if example.row is None else {**row, "record": dict(example.row)}


def _with_tokens(example: Example, row: Any, kind: str) -> Example:
    if not isinstance(row, Mapping) or row.get("input_ids") is None:
        raise DataError(
            f"the renderer `{kind}` gave no tokens for example `{example.id}`",
            got=repr(row)[:200],
            expected='{"input_ids": [...], "labels": [...]}',
        )
    row = {name: value.tolist() if hasattr(value, "tolist") else value for name, value in row.items()}
    tokens = trained_tokens(row, f"`{kind}`, example `{example.id}`")
    if not any(tokens.trained[1:]):
        raise DataError(
            f"the renderer `{kind}` trains on no token of example `{example.id}`",
            got=f"{len(tokens.input_ids)} tokens, every label -100",
            next_step="look at the row: are its roles and columns those that the framework was told of?",
        )
    return replace(example, tokens=tokens)


def _call(function: Callable[..., Any], example: Example, tokenizer: Tokenizer, kind: str) -> Any:
    try:
        return function(example, tokenizer)
    except FAULTS as error:
        raise DataError(
            f"the renderer `{kind}` failed on example `{example.id}`", got=said_by(error)
        ) from error


def _run_framework(
    name: str, detail: str, examples: Sequence[Example], tokenizer: Tokenizer, template: Template
) -> list[Any]:
    """Rows of ids and labels, from the framework's own code in a process of its own."""
    python = _interpreter(name)
    worker = Path(__file__).with_name(f"{name}_worker.py")
    with tempfile.TemporaryDirectory(prefix="overmem-render-") as folder:
        asked, answered = Path(folder, "asked.json"), Path(folder, "answered.json")
        tokenizer.save_pretrained(folder)
        rows = [canonical_row(example) for example in examples]
        asked.write_text(
            json.dumps(
                {
                    "name": detail,
                    "rows": rows,
                    "tokenizer": folder,
                    "max_length": template.max_length,
                    "system": template.system,
                    "every_turn": template.score == "trained",
                }
            ),
            encoding="utf-8",
        )
        done = subprocess.run(
            [python, str(worker), str(asked), str(answered)],
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "DISABLE_VERSION_CHECK": "1", "PYTHONPATH": ""},
        )
        if done.returncode or not answered.is_file():
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise DataError(
                f"{TITLES[name]} could not render the data",
                got=" ".join(said[-2:]) or f"exit code {done.returncode}",
                expected=f"{TITLES[name]} to render as `{detail}` says",
                next_step=f"check the name after `{name}:`, and that {python} can train with it",
            )
        found: list[Any] = json.loads(answered.read_text(encoding="utf-8"))
    return found


def _interpreter(name: str) -> str:
    """The Python that has the framework: this one, or that which a variable of the environment names.

    Raises:
        DataError: neither has it.
    """
    variable = f"OVERMEM_{name.upper()}_PYTHON"
    if told := os.environ.get(variable):
        if not Path(told).is_file():
            raise DataError(f"{variable} names no Python", got=told, expected="such as /envs/lf/bin/python")
        return told
    if find_spec(name) is None:
        raise DataError(
            f"--template {name}:... needs {TITLES[name]}, which is not installed here",
            expected=f"{name} in this environment, or {variable}=/its/environment/bin/python",
            next_step=f"install it, set {variable}, or give the data it has tokenized (input_ids and labels)",
        )
    return sys.executable
