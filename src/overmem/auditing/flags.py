"""Options of an audit as they are written on the command line: read from there, and written again.

The command line's options, and the command in a report that measures the same again, are both made from the
fields of `AuditOptions`. A field is an option of its name; the few that are written otherwise are below.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union, get_args, get_origin

from overmem.auditing.options import AuditOptions, make_options
from overmem.axes import CORE
from overmem.errors import RunError
from overmem.parsing import parse_json
from overmem.records import Run
from overmem.rendering.template import Template
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


def _rule_flag(name: str, heading: str) -> Flag:
    """The option of one threshold of `overmem.rule.Rule`."""
    default = getattr(Rule, name)
    return Flag(
        parameter=name,
        option=_option(name),
        type=type(default),
        default=default,
        help=RULE[name],
        heading=heading,
    )


def read_flags(run: Run, given: Mapping[str, Any], saved: Mapping[str, Any] | None = None) -> AuditOptions:
    """Options of an audit from the values of its flags, resolved for a run.

    Args:
        run: whose recipe says what is not given.
        given: value of each flag by its `parameter`; those left out have their defaults.
        saved: fields that the run's `overmem.yaml` holds, for what is not given.

    Raises:
        RunError: an option that cannot be read, or no validation data.
    """
    # A report writes flags and reads none, so recipes and perturbations stay unloaded there.
    from overmem.auditing.resolve import resolve_options, resolve_template

    fields = read_fields(given, saved)
    template = resolve_template(run, fields.pop("template", {}))
    return resolve_options(run, make_options(fields | {"template": template}))


def read_fields(given: Mapping[str, Any], saved: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Fields of `AuditOptions` from the values of flags; those of the template are a mapping of its parts.

    Args:
        given: value of each flag by its `parameter`.
        saved: fields that a file holds; what is given wins, a template and a rule part by part.

    Raises:
        RunError: an option that cannot be read.
    """
    plain = {name: given.get(SHORTER.get(name, name)) for name in AuditOptions.model_fields}
    overall, limits = _read_limits(given.get("limit") or [])
    fields = plain | {
        "limit": overall,
        "limits": limits,
        "axes": given.get("axes") and ",".join(given["axes"]),
        "ood": _read_named(given.get("ood") or [], "an OOD set", "svamp=svamp.json"),
        "references": _read_named(
            given.get("references") or [], "a set of references", "human=gsm8k:test.jsonl"
        ),
        "retention": _read_named(given.get("retention") or [], "a set beside the task", "mmlu=lm_eval:mmlu"),
        "variants": _read_variants(given.get("variant") or []),
        "template": _read_template(given),
        "rule": {name: given[name] for name in RULE if given.get(name) is not None},
    }
    said = {name: value for name, value in fields.items() if value is not None and value != {}}
    merged = {**(saved or {}), **said}
    for name in ("template", "rule", "limits"):
        parts = {**(saved or {}).get(name, {}), **said.get(name, {})}
        merged |= {name: parts} if parts else {}
    if "rule" in merged:
        merged["rule"] = Rule(**merged["rule"])
    return merged


def write_flags(options: AuditOptions) -> list[str]:
    """The words of a command line that `read_flags` reads as these options; defaults are left out."""
    words: list[str] = []
    for name, field in AuditOptions.model_fields.items():
        value = getattr(options, name)
        if name in _WRITERS:
            words += _WRITERS[name](options)
        elif name not in NOT_WRITTEN and value != field.get_default(call_default_factory=True):
            parameter = SHORTER.get(name, name)
            if isinstance(value, bool):
                words.append(_option(parameter) if value else _negated(parameter))
            else:
                words += [_option(parameter), str(value)]
    return words


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
        option=_switch(parameter) if default is True else _option(parameter),
        type=_plain(kind),
        default=default,
        help=text if text.endswith(".") else f"{text}.",
        heading=heading,
    )


def _template_flag(part: str, heading: str) -> Flag:
    parameter, text = TEMPLATE[part]
    kind = {"eos": bool, "assistant_only_loss": bool, "max_length": int}.get(part, str)
    option = _switch(parameter) if part == "eos" else _option(parameter)
    return Flag(
        parameter=parameter, option=option, type=kind | None, default=None, help=text, heading=heading
    )


def _option(parameter: str) -> str:
    return f"--{parameter.replace('_', '-')}"


def _negated(parameter: str) -> str:
    return f"--no-{parameter.replace('_', '-')}"


def _switch(parameter: str) -> str:
    return f"{_option(parameter)}/{_negated(parameter)}"


def _plain(kind: Any) -> Any:
    """A type without the annotations that pydantic reads."""
    if get_origin(kind) in (Union, types.UnionType):
        return Union[tuple(_plain(part) for part in get_args(kind))]  # noqa: UP007
    return getattr(kind, "__origin__", kind) if hasattr(kind, "__metadata__") else kind


def _write_axes(options: AuditOptions) -> list[str]:
    return [] if options.axes == CORE else ["--axes", ",".join(options.axes)]


def _write_named(option: str, named: Mapping[str, str | None]) -> list[str]:
    return [
        word
        for name, source in named.items()
        for word in (option, name if source is None else f"{name}={source}")
    ]


def _write_limits(options: AuditOptions) -> list[str]:
    words = [] if options.limit is None else ["--limit", str(options.limit)]
    return words + [word for axis, n in options.limits.items() for word in ("--limit", f"{axis}={n}")]


def _write_template(options: AuditOptions) -> list[str]:
    words: list[str] = []
    for part, (flag, _) in TEMPLATE.items():
        value = getattr(options.template, part)
        if value == getattr(Template(), part):
            continue
        match part:
            case "eos":
                words += ["--no-eos"]
            case "assistant_only_loss":
                words += [_option(flag)]
            case "chat_template_kwargs":
                words += [_option(flag), json.dumps(value)]
            case _:
                words += [_option(flag), str(value)]
    return words


def _write_rule(options: AuditOptions) -> list[str]:
    values = {name: getattr(options.rule, name) for name in RULE}
    return [
        word
        for name, value in values.items()
        if value != getattr(Rule, name)
        for word in (_option(name), str(value))
    ]


_WRITERS: dict[str, Callable[[AuditOptions], list[str]]] = {
    "axes": _write_axes,
    "ood": lambda options: _write_named("--ood", options.ood),
    "references": lambda options: _write_named("--references", options.references),
    "retention": lambda options: _write_named("--retention", options.retention),
    "variants": lambda options: _write_named("--variant", options.variants or {}),
    "limit": _write_limits,
    "template": _write_template,
    "rule": _write_rule,
}


def _read_template(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a template from the values of their flags; those that are not given are left out.

    Raises:
        RunError: variables of the chat template that are no JSON record.
    """
    said = {part: given.get(flag) for part, (flag, _) in TEMPLATE.items()}
    fields = {part: value for part, value in said.items() if value is not None}
    text = fields.get("chat_template_kwargs")
    if isinstance(text, str):
        try:
            fields["chat_template_kwargs"] = parse_json(text)
        except ValueError:
            raise RunError(
                "--chat-template-kwargs is not JSON", got=text, expected='such as {"enable_thinking": false}'
            ) from None
    return fields


def _read_named(given: Sequence[str], what: str, such_as: str) -> dict[str, str]:
    """`NAME=SOURCE` pairs.

    Raises:
        RunError: a pair without a name, or a name given twice.
    """
    found: dict[str, str] = {}
    for text in given:
        name, mark, source = text.partition("=")
        if not mark or not name or not source:
            raise RunError(f"{what} needs a name", got=text, expected=f"NAME=SOURCE, as in {such_as}")
        if name in found:
            raise RunError(f"{what} is named twice", got=name)
        found[name] = source
    return found


def _read_variants(given: Sequence[str]) -> dict[str, str | None] | None:
    """`NAME` for a built-in perturbation, `NAME=FILE` for one's own; None when none is given.

    Raises:
        RunError: a name without a file that is not built in.
    """
    from overmem.perturbations import VARIANTS

    found: dict[str, str | None] = {}
    for text in given:
        name, mark, source = text.partition("=")
        if not mark and name not in VARIANTS:
            raise RunError(
                "unknown variant", got=name, expected=f"{', '.join(VARIANTS)}, or NAME=FILE for your own"
            )
        if name == "clean" or not name:
            raise RunError("a variant of your own needs another name", got=text)
        found[name] = source if mark else None
    return found or None


def _read_limits(given: Sequence[str]) -> tuple[int | None, dict[str, int]]:
    """`N` for every set, `AXIS=N` for one axis.

    Raises:
        RunError: something that is not a whole number.
    """
    overall, limits = None, {}
    for text in given:
        axis, mark, number = text.rpartition("=")
        try:
            value = int(number)
        except ValueError:
            raise RunError("a limit is a whole number", got=text, expected="N or AXIS=N") from None
        if mark:
            limits[axis] = value
        else:
            overall = value
    return overall, limits
