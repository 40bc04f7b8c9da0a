"""Options of an audit from the values of its flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from overmem.auditing.flags.declared import RULE, SHORTER, TEMPLATE
from overmem.auditing.options import AuditOptions, make_options
from overmem.errors import RunError
from overmem.parsing import parse_json
from overmem.records import Run
from overmem.rule import Rule


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
    if not given:
        return None
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
    return found


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
