"""The options of an audit on the command line, made from the fields of `AuditOptions`.

A field is an option of its name; the few that are written otherwise are below.
"""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import Any, Union, get_args, get_origin

from overmem.auditing.options import AuditOptions
from overmem.rule import Rule


@dataclass(frozen=True, kw_only=True)
class Flag:
    """One option of the command line."""

    parameter: str
    """Name of the value that is read: `engine_timeout`."""
    option: str
    """As it is written: `--engine-timeout`; a switch with a counterpart has both, `--eos/--no-eos`."""
    type: Any
    """What it is read as; a list is repeatable, a bool is a switch."""
    default: Any
    help: str
    heading: str
    """Of the group that it stands in."""


SHORTER = {"budget_minutes": "budget", "engine_timeout_seconds": "engine_timeout", "variants": "variant"}
"""Fields whose option has a shorter name."""
NOT_WRITTEN = ("half", "groups", "limits")
"""Fields that no option of their own sets: `half` and `groups` are the repair's, `limits` are written with
`limit`."""
HEADINGS = {
    "val": "Data",
    "axes": "What is measured",
    "grader": "Text and grading",
    "base_model": "Base model and overlap",
    "device": "Device and precision",
    "engine": "Engine",
    "allow_pickle": "Permission to run code (never read from a file)",
    "rule": "Verdict",
}
"""Headings by the first field under each; the fields after it stand there too."""
TEMPLATE = {
    "kind": (
        "template",
        "Text of rows: auto, chat, plain, llamafactory:NAME, axolotl:CONFIG or python:FILE.py:function.",
    ),
    "prompt_format": ("prompt_format", "Text around the question, which stands at {prompt}."),
    "completion_format": ("completion_format", "Text around the reference, which stands at {completion}."),
    "system": ("system", "System message to put first (chat only)."),
    "eos": ("eos", "Whether plain texts in training ended with an end-of-text token."),
    "score": ("score", "Scored turns of messages: trained (all that training scored) or last."),
    "chat_template": (
        "chat_template",
        "Jinja file of the chat template that training used, if not the tokenizer's.",
    ),
    "chat_template_kwargs": (
        "chat_template_kwargs",
        "Variables of the chat template as JSON: '{\"enable_thinking\": false}'.",
    ),
    "assistant_only_loss": ("assistant_only_loss", "Training used TRL's option of this name."),
    "max_length": ("max_length", "Number of tokens at which training cut its rows; the rest is not scored."),
}
"""Fields of a template: option and help."""
RULE = {
    "accuracy_margin": "Loss of accuracy against the best that counts as equal.",
    "perplexity_ratio": "Perplexity, divided by the lowest, from which it is inflated.",
}
"""Thresholds that decide which checkpoints are key, and their help."""


def audit_flags() -> tuple[Flag, ...]:
    """The options of an audit, in the order of the fields of `AuditOptions`."""
    found: list[Flag] = []
    heading = ""
    for name, field in AuditOptions.model_fields.items():
        heading = HEADINGS.get(name, heading)
        if name == "template":
            found += [_template_flag(part, heading) for part in TEMPLATE]
        elif name == "rule":
            found += [_rule_flag(part, heading) for part in RULE]
        elif name not in NOT_WRITTEN:
            default = field.get_default(call_default_factory=True)
            found.append(_flag(name, field.annotation, default, field.description or "", heading))
    return tuple(found)


def _flag(name: str, kind: Any, default: Any, description: str, heading: str) -> Flag:
    repeatable = name == "limit" or get_origin(kind) in (tuple, dict) or name == "variants"
    if repeatable:
        kind, default = list[str] | None, None
    elif name == "val":
        kind, default = str | None, None
    parameter = SHORTER.get(name, name)
    text = description.replace("\n", " ").partition(". ")[0]
    return Flag(
        parameter=parameter,
        option=_switch(parameter) if default is True else option_of(parameter),
        type=_plain(kind),
        default=default,
        help=text if text.endswith(".") else f"{text}.",
        heading=heading,
    )


def _template_flag(part: str, heading: str) -> Flag:
    parameter, text = TEMPLATE[part]
    kind = {"eos": bool, "assistant_only_loss": bool, "max_length": int}.get(part, str)
    option = _switch(parameter) if part == "eos" else option_of(parameter)
    return Flag(
        parameter=parameter, option=option, type=kind | None, default=None, help=text, heading=heading
    )


def _rule_flag(name: str, heading: str) -> Flag:
    """The option of one threshold of `overmem.rule.Rule`."""
    default = getattr(Rule, name)
    return Flag(
        parameter=name,
        option=option_of(name),
        type=type(default),
        default=default,
        help=RULE[name],
        heading=heading,
    )


def option_of(parameter: str) -> str:
    """How the option of a value is written."""
    return f"--{parameter.replace('_', '-')}"


def negated(parameter: str) -> str:
    """How a switch is turned off."""
    return f"--no-{parameter.replace('_', '-')}"


def _switch(parameter: str) -> str:
    return f"{option_of(parameter)}/{negated(parameter)}"


def _plain(kind: Any) -> Any:
    """A type without the annotations that pydantic reads."""
    if get_origin(kind) in (Union, types.UnionType):
        return Union[tuple(_plain(part) for part in get_args(kind))]  # noqa: UP007
    return getattr(kind, "__origin__", kind) if hasattr(kind, "__metadata__") else kind
