"""The words of a command line that measures the same again, as a report gives them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from overmem.auditing.flags.declared import NOT_WRITTEN, RULE, SHORTER, TEMPLATE, negated, option_of
from overmem.auditing.options import AuditOptions
from overmem.axes import CORE
from overmem.rendering.template import Template
from overmem.rule import Rule


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
                words.append(option_of(parameter) if value else negated(parameter))
            else:
                words += [option_of(parameter), str(value)]
    return words


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
                words += [option_of(flag)]
            case "chat_template_kwargs":
                words += [option_of(flag), json.dumps(value)]
            case _:
                words += [option_of(flag), str(value)]
    return words


def _write_rule(options: AuditOptions) -> list[str]:
    values = {name: getattr(options.rule, name) for name in RULE}
    return [
        word
        for name, value in values.items()
        if value != getattr(Rule, name)
        for word in (option_of(name), str(value))
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
