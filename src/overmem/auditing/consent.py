"""Permission to run code: given for one command by whoever calls it, never by a file in a folder.

A run may come from anybody, with its manifest and its recipe. What they say of how it was trained and
measured is taken over; permission to run code is taken off, and what can only go on by code that they name (a
grader, a template's renderer) is refused until the command names it itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from overmem.artifacts.manifest import Manifest
from overmem.auditing.options import CONSENT, AuditOptions, saved_options
from overmem.errors import RunError
from overmem.grading.code import check_allowed
from overmem.models.lm_eval.names import runs_code_of_a_folder
from overmem.own_functions import is_own_function
from overmem.recipe.schema import Recipe
from overmem.rendering.template import Template

CODE_IN_TRAINING = ("trust_remote_code", "model_init_kwargs", "use_kernels")
"""Fields of TRL's `SFTConfig` that let a model's own code run, or fetch some."""
EXPECTED = "consent given for this command, which no file in a folder can give"


@dataclass(frozen=True, kw_only=True)
class Consent:
    """What the caller of one command lets run."""

    trust_remote_code: bool = False
    """Model code that a checkpoint or its base model brings along."""
    allow_pickle: bool = False
    """Weights in pickles."""
    allow_code_execution: bool = False
    """Answers, by the grader `code`, in the sandbox."""
    grader: str | None = None
    """`python:...`, where the audit graded by such a function."""
    template: str | None = None
    """`python:...`, `llamafactory:...` or `axolotl:...`, where the audit rendered by such code."""


def options_to_go_on(manifest: Manifest, consent: Consent, where: str) -> AuditOptions:
    """The options that a manifest describes, with permission to run code from the caller alone.

    Sets whose tasks run code of a folder that only the manifest names are left out; see `sets_left_out`.

    Args:
        manifest: of a finished audit.
        consent: of the caller.
        where: whose options these are, in errors.

    Raises:
        RunError: code that only the manifest names would have to run; names the option that consents.
        GradeError: answers would have to run.
        ArtifactError: options of the wrong kind.
    """
    saved = saved_options(manifest)
    grader, template = _grader(saved, consent, where), _template(saved, consent, where)
    if any(split.grader == "code" for split in manifest.splits.values()):
        check_allowed(consent.allow_code_execution)
    left_out = sets_left_out(saved)
    return saved.replace(
        trust_remote_code=consent.trust_remote_code,
        allow_pickle=consent.allow_pickle,
        allow_code_execution=consent.allow_code_execution,
        grader=grader,
        template=template,
        ood={name: source for name, source in saved.ood.items() if name not in left_out},
        retention={name: source for name, source in saved.retention.items() if name not in left_out},
    )


def sets_left_out(saved: AuditOptions) -> tuple[str, ...]:
    """Names of the OOD and retention sets whose tasks would run code of a folder that a file names."""
    named = {**saved.ood, **saved.retention}
    return tuple(name for name, source in named.items() if runs_code_of_a_folder(source))


def refuse_renderer_of_a_folder(template: Template, where: str) -> None:
    """Refuse a template that renders by other code where only a file in a run folder names it.

    Raises:
        RunError: says how to consent.
    """
    if template.renderer is not None:
        raise _refused(f"{where} renders by other code", template.kind, f"--template {template.kind}")


def refuse_tasks_of_a_folder(ood: Mapping[str, str], where: str) -> None:
    """Refuse OOD sets whose tasks can run code where only a file in a run folder names them.

    Raises:
        RunError: says how to consent.
    """
    for name, source in ood.items():
        if runs_code_of_a_folder(source):
            raise _refused(
                f"{where} names a task whose folder can run code", source, f"--ood {name}={source}"
            )


def refuse_consent_of_a_file(fields: Mapping[str, Any], said: Collection[str], where: str) -> None:
    """Refuse what a file in a run folder may not decide, unless the command says the same field itself.

    That is permission to run code; a grader, a template or a task that runs some; and who gets the data: an
    engine other than `hf` and a plain `vllm`.

    Args:
        fields: of `AuditOptions`, as the file holds them.
        said: fields that the command line gives, `template` where it gives the kind.
        where: the file, in errors.

    Raises:
        RunError: names the field and the option to repeat.
    """
    rest = {name: value for name, value in fields.items() if name not in said}
    for name in CONSENT:
        if rest.get(name):
            raise _not_by_a_file(where, f"{name}: {rest[name]}", f"--{name.replace('_', '-')}")
    grader, engine, kind = rest.get("grader"), rest.get("engine"), rest.get("template", {}).get("kind")
    if is_own_function(grader):
        raise _not_by_a_file(where, f"grader: {grader}", f"--grader {grader}")
    if engine not in (None, "hf", "vllm"):
        raise _not_by_a_file(where, f"engine: {engine}", f"--engine {engine}")
    if kind is not None and Template(kind=kind).renderer is not None:
        raise _not_by_a_file(where, f"template.kind: {kind}", f"--template {kind}")
    for field in ("ood", "references", "retention"):
        for name, source in rest.get(field, {}).items():
            if runs_code_of_a_folder(source):
                option = f"--{field} {name}={source}"
                raise _not_by_a_file(where, f"{field}.{name}: {source}", option)


def _not_by_a_file(where: str, got: str, option: str) -> RunError:
    return RunError(
        f"{where} asks for something that only the command line may ask for: to run code, or to send data to "
        "a server",
        got=got,
        expected=EXPECTED,
        next_step=f"take it out of the file; if you trust it, add to the command: {option}",
    )


def without_consent(recipe: Recipe) -> Recipe:
    """A recipe as a folder may tell it: without permission to run code, and without a kernel to fetch."""
    attention = recipe.model.attn_implementation
    model = recipe.model.model_copy(
        update={
            "trust_remote_code": False,
            "attn_implementation": None if attention and "/" in attention else attention,
        }
    )
    monitor = recipe.monitor.model_copy(update={"allow_code_execution": False})
    training = {key: value for key, value in recipe.training.items() if key not in CODE_IN_TRAINING}
    return recipe.model_copy(update={"model": model, "monitor": monitor, "training": training})


def _grader(saved: AuditOptions, consent: Consent, where: str) -> str | None:
    """The grader to go on with.

    Raises:
        RunError: it is a function that the caller did not name, or the caller names another kind of grader.
    """
    if is_own_function(saved.grader):
        if not is_own_function(consent.grader):
            raise _refused(f"{where} grades by a function", saved.grader, f"--grader {saved.grader}")
        return consent.grader
    if consent.grader not in (None, saved.grader):
        raise RunError(
            f"{where} has another grader, and what is compared must be graded in the same way",
            got=f"--grader {consent.grader}",
            expected=f"no --grader: it graded by {saved.grader or 'what its data ask for'}",
            next_step="audit with the other grader first",
        )
    return saved.grader


def _template(saved: AuditOptions, consent: Consent, where: str) -> Template:
    """The template to go on with.

    Raises:
        RunError: its code was not named by the caller, or the caller names some for a template without.
    """
    kind = saved.template.kind
    if saved.template.renderer is None:
        if consent.template not in (None, kind):
            raise RunError(
                f"{where} has another template, and what is compared must be rendered in the same way",
                got=f"--template {consent.template}",
                expected=f"no --template: it rendered by {kind}",
                next_step="audit with the other template first",
            )
        return saved.template
    if consent.template is None or Template(kind=consent.template).renderer is None:
        raise _refused(f"{where} renders by other code", kind, f"--template {kind}")
    return replace(saved.template, kind=consent.template)


def _refused(what: str, got: str | None, option: str) -> RunError:
    return RunError(
        f"{what}, which runs only if you allow it yourself",
        got=got,
        expected=EXPECTED,
        next_step=f"if you trust it, name it: {option}",
    )
