"""Every option of an audit survives the way from the command line to a manifest and back to a command.

Covers: overmem.auditing.flags.declared, overmem.auditing.flags.reading, overmem.auditing.flags.writing,
overmem.auditing.options, overmem.auditing.resolve
"""

import dataclasses
import shlex
from pathlib import Path

import pytest
import typer.main
import typer.testing
import yaml

from overmem.artifacts.manifest import Manifest
from overmem.artifacts.manifest_parts.measured_sets import MeasuredSet
from overmem.auditing.flags.declared import audit_flags
from overmem.auditing.flags.reading import read_flags
from overmem.auditing.flags.writing import write_flags
from overmem.auditing.options import CONSENT, AuditOptions, saved_options
from overmem.auditing.resolve import resolve_options
from overmem.axes import CORE, all_axes
from overmem.cli.app import COMMANDS, app
from overmem.cli.options import takes_audit_flags
from overmem.errors import RunError
from overmem.recipe.schema import TemplateRecipe
from overmem.records import Run
from overmem.rendering.template import Template
from overmem.reporting.provenance import audit_command
from overmem.rule import Rule

RUN = Run(path=Path("nowhere"), checkpoints=())
OTHER = {
    "val": ("other.jsonl", "other.jsonl"),
    "train": ("train file.jsonl", "train file.jsonl"),
    "all_train": (True, True),
    "canaries": ("my canaries", "my canaries"),
    "ood": (["svamp=a b.json", "hard=c.json"], {"svamp": "a b.json", "hard": "c.json"}),
    "references": (["human=h.jsonl"], {"human": "h.jsonl"}),
    "retention": (["chat=c.jsonl"], {"chat": "c.jsonl"}),
    "variant": (["typo", "mine=m.jsonl"], {"typo": None, "mine": "m.jsonl"}),
    "axes": (["privacy", "recall"], (*CORE, "privacy", "recall")),
    "checkpoints": ("all", "all"),
    "checkpoints_glob": ("my step*/actor", "my step*/actor"),
    "limit": (["50"], 50),
    "samples": (4, 4),
    "temperature": (0.5, 0.5),
    "budget": (7.5, 7.5),
    "until_decided": (True, True),
    "seed": (3, 3),
    "grader": ("regex:(\\d+)", "regex:(\\d+)"),
    "template": ("chat", "chat"),
    "prompt_format": ("Q: {prompt}\n", "Q: {prompt}\n"),
    "completion_format": (" {completion} ", " {completion} "),
    "system": ("You are 'brief'.", "You are 'brief'."),
    "eos": (False, False),
    "score": ("last", "last"),
    "chat_template": ("my template.jinja", "my template.jinja"),
    "chat_template_kwargs": ('{"enable_thinking": false}', {"enable_thinking": False}),
    "assistant_only_loss": (True, True),
    "max_length": (512, 512),
    "group": ("source text", "source text"),
    "columns": ("prompt=q,answer=a b", "prompt=q,answer=a b"),
    "max_new_tokens": (77, 77),
    "base_model": ("org/base", "org/base"),
    "strict_overlap": (True, True),
    "allow_overlap": (True, True),
    "base_row": (False, False),
    "device": ("cpu", "cpu"),
    "device_map": ("auto", "auto"),
    "dtype": ("bfloat16", "bfloat16"),
    "quantize": ("4bit", "4bit"),
    "batch_tokens": (512, 512),
    "engine": ("openai:http://localhost:1", "openai:http://localhost:1"),
    "engine_scores": (True, True),
    "engine_model": ("{name}", "{name}"),
    "engine_on_demand": (True, True),
    "engine_concurrency": (2, 2),
    "engine_timeout": (5.0, 5.0),
    "allow_pickle": (True, True),
    "trust_remote_code": (True, True),
    "allow_code_execution": (True, True),
    "accuracy_margin": (0.05, 0.05),
    "perplexity_ratio": (1.3, 1.3),
}
"""Of each flag: a value other than its default, as typed and as it is kept."""
FIELDS = {"budget": "budget_minutes", "engine_timeout": "engine_timeout_seconds", "variant": "variants"}
NEEDS = {
    name: {"engine": OTHER["engine"][0]} for name in ("engine_scores", "engine_model", "engine_on_demand")
}


def kept(options, parameter):
    """What the options hold of one flag."""
    if parameter in ("accuracy_margin", "perplexity_ratio"):
        return getattr(options.rule, parameter)
    field = {"template": "kind"}.get(parameter, parameter)
    if field in {item.name for item in dataclasses.fields(Template)}:
        return getattr(options.template, field)
    return getattr(options, FIELDS.get(parameter, parameter))


def typed(words):
    """The flags' values that words of a command line give, read by the command itself."""
    seen = {}

    def audit(run: str, flags: dict):
        seen.update(flags)

    locked = typer.Typer()
    locked.command()(takes_audit_flags(audit_flags())(audit))
    done = typer.testing.CliRunner().invoke(locked, ["run", *words])
    assert done.exit_code == 0, done.output
    return seen


def manifest_of(options):
    """A manifest as an audit with these options writes it, read back."""

    def measured(name, source, variant="clean"):
        return MeasuredSet(
            set=name, variant=variant, source=source, shape="", grader="exact", n=1, fingerprint="",
            example_ids=("a",), example_shas=("b",),
        )  # fmt: skip

    splits = {"val": measured("val", options.val)}
    if options.train:
        splits["train"] = measured("train", options.train)
    splits |= {f"ood/{name}": measured(f"ood/{name}", source) for name, source in options.ood.items()}
    splits |= {
        f"references/{name}": measured(f"references/{name}", source)
        for name, source in options.references.items()
    }
    splits |= {
        f"retention/{name}": measured(f"retention/{name}", source)
        for name, source in options.retention.items()
    }
    made = Manifest(config=options.to_dict(), axes=options.axes, splits=splits, checkpoints=())
    return Manifest.from_dict(made.to_dict())


def test_the_table_has_every_flag():
    assert set(OTHER) == {flag.parameter for flag in audit_flags()}


@pytest.mark.parametrize("parameter", OTHER)
def test_each_option_that_differs_from_its_default_is_in_the_command_that_runs_it_again(parameter):
    given, expected = OTHER[parameter]
    flags = {"val": "val.jsonl", **NEEDS.get(parameter, {}), parameter: given}
    options = read_flags(RUN, flags)
    assert kept(options, parameter) == expected
    manifest = manifest_of(options)
    program, command, run, *words = shlex.split(audit_command(manifest, "runs/a b"))
    assert (program, command, run) == ("overmem", "audit", "runs/a b")
    # Permission to run code is given anew each time: a report may be of a run that somebody else shared.
    consents = {parameter: False} if parameter in CONSENT else {}
    assert read_flags(RUN, typed(words)) == options.replace(**consents)


def test_all_options_together_survive_too():
    together = {
        name: given for name, (given, _) in OTHER.items() if name != "engine_scores"
    }  # not with quantize
    options = read_flags(RUN, together)
    assert read_flags(RUN, typed(write_flags(options))) == options
    assert saved_options(manifest_of(options)) == options.replace(**dict.fromkeys(CONSENT, False))


def test_defaults_need_no_words():
    assert write_flags(AuditOptions()) == []


def test_a_rule_that_differs_is_kept_with_the_audit_and_a_usual_one_is_not_named():
    plain = resolve_options(RUN, AuditOptions(val="v"))
    assert "rule" not in plain.to_dict() and saved_options(manifest_of(plain)).rule == Rule()
    other = plain.replace(rule=Rule(perplexity_ratio=1.3, accuracy_margin=0.01))
    assert saved_options(manifest_of(other)).rule == other.rule


def test_a_set_of_references_or_beside_the_task_asks_for_the_axis_that_reads_it():
    implied = {axis.implied_by: name for name, axis in all_axes().items() if axis.implied_by}
    assert set(implied) == {"references", "retention"}
    for option, name in implied.items():
        assert name in read_flags(RUN, {"val": "v", option: ["a=b"]}).axes
    assert not set(implied.values()) & set(read_flags(RUN, {"val": "v"}).axes)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"limit": ["many"]}, "a limit is a whole number"),
        ({"ood": ["svamp.json"]}, "needs a name"),
        ({"ood": ["a=x", "a=y"]}, "named twice"),
        ({"variant": ["mirror"]}, "unknown variant"),
        ({"accuracy_margin": 2.0}, "accuracy_margin is out of range"),
        ({"quantize": "4bit", "engine": "vllm"}, "quantize changes the model in memory"),
        (
            {"quantize": "4bit", "engine": "openai:http://127.0.0.1:1", "engine_scores": True},
            "quantize changes the model in memory",
        ),
    ],
)
def test_what_cannot_be_read_is_one_message(given, message):
    with pytest.raises((RunError, ValueError), match=message):
        read_flags(RUN, {"val": "v", **given})


def test_a_template_of_the_recipe_is_changed_in_the_part_that_was_given(tmp_path):
    recipe = {"model": {"name": "organism"}, "data": {"train": "t", "val": "v"}, "output": "o"}
    recipe["template"] = {"kind": "plain", "prompt_format": "Q {prompt}"}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    run = Run(path=tmp_path, checkpoints=())
    assert read_flags(run, {"eos": False}).template == Template(
        kind="plain", prompt_format="Q {prompt}", eos=False
    )


def test_every_command_says_in_the_list_what_it_says_itself():
    group = typer.main.get_command(app)
    for name, (_, text) in COMMANDS.items():
        command = group.get_command(None, name)
        assert command.help.partition("\n\n")[0].replace("\n", " ") == text


def test_a_recipes_template_has_the_fields_and_defaults_of_the_template():
    assert TemplateRecipe().model_dump() == dataclasses.asdict(Template())
