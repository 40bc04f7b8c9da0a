"""Permission to run code comes from the caller of one command: manifests and recipes give none."""

from pathlib import Path

import pytest
import yaml

from overmem.artifacts.manifest import Manifest
from overmem.artifacts.manifest_parts.measured_sets import MeasuredSet
from overmem.auditing.consent import Consent, options_to_go_on, sets_left_out, without_consent
from overmem.auditing.options import CONSENT, AuditOptions, saved_options
from overmem.auditing.resolve import read_recipe, resolve_options
from overmem.errors import GradeError, RunError
from overmem.recipe.schema import Recipe
from overmem.records import Run
from overmem.rendering.template import Template

OWN = "python:graders/mine.py:judge"
RENDERER = "python:mine.py:render"


def manifest_of(judged: str = "exact", **options) -> Manifest:
    """Of an audit with these options, its sets graded by `judged`."""
    asked = AuditOptions(val="val.jsonl", **options)
    sources = {"val": asked.val}
    sources |= {f"ood/{name}": source for name, source in asked.ood.items()}
    sources |= {f"retention/{name}": source for name, source in asked.retention.items()}
    splits = {
        name: MeasuredSet(
            set=name, variant="clean", source=source, shape="", grader=judged, n=1, fingerprint="",
            example_ids=("a",), example_shas=("b",),
        )
        for name, source in sources.items()
    }  # fmt: skip
    return Manifest(config=asked.to_dict(), axes=asked.axes, splits=splits, checkpoints=())


def go_on(manifest: Manifest, **consent) -> AuditOptions:
    return options_to_go_on(manifest, Consent(**consent), "the audit in RUN/overmem")


@pytest.mark.parametrize("name", CONSENT)
def test_leave_to_run_code_is_the_callers_alone(name):
    manifest = manifest_of(**{name: True})
    assert manifest.config[name] is True  # the record says what was done
    assert getattr(go_on(manifest), name) is False
    assert getattr(go_on(manifest_of(), **{name: True}), name) is True


def test_answers_run_only_where_the_caller_lets_them():
    with pytest.raises(GradeError, match="--allow-code-execution"):
        go_on(manifest_of("code", allow_code_execution=True))


@pytest.mark.parametrize(
    ("saved", "option", "given"),
    [
        ({"grader": OWN}, "grader", OWN),
        ({"grader": OWN}, "grader", "python:/elsewhere/mine.py:judge"),
        ({"template": Template(kind=RENDERER, max_length=9)}, "template", RENDERER),
        ({"template": Template(kind="axolotl:config.yaml", max_length=9)}, "template", "axolotl:mine.yaml"),
    ],
)
def test_code_that_only_a_manifest_names_is_refused_until_it_is_named_again(saved, option, given):
    manifest = manifest_of(**saved)
    with pytest.raises(RunError, match="which no file in a folder can give") as caught:
        go_on(manifest)
    assert f"--{option} {caught.value.got}" in caught.value.next_step
    options = go_on(manifest, **{option: given})
    assert given in (options.grader, options.template.kind)
    assert option == "grader" or options.template.max_length == 9


@pytest.mark.parametrize("given", [{"grader": OWN}, {"grader": "math"}, {"template": RENDERER}])
def test_what_is_compared_is_graded_and_rendered_alike(given):
    with pytest.raises(RunError, match="in the same way"):
        go_on(manifest_of(), **given)


def test_tasks_of_a_folder_are_left_out_and_bundled_ones_are_not():
    named = {"own": "lm_eval:mine@tasks", "known": "lm_eval:arc_easy", "file": "svamp@2.jsonl"}
    manifest = manifest_of(ood=named, retention={"kept": "lm_eval:other@tasks"})
    assert set(sets_left_out(saved_options(manifest))) == {"own", "kept"}
    options = go_on(manifest)
    assert set(options.ood) == {"known", "file"} and options.retention == {}


def recipe_of(**parts) -> Recipe:
    written = {"model": {"name": "m"}, "data": {"train": "t.jsonl", "val": "v.jsonl"}, "output": "out"}
    return Recipe.model_validate(written | parts)


def test_a_recipe_of_a_folder_gives_no_leave():
    recipe = recipe_of(
        model={"name": "m", "trust_remote_code": True, "attn_implementation": "org/kernel"},
        monitor={"allow_code_execution": True},
        training={"trust_remote_code": True, "model_init_kwargs": {"a": 1}, "learning_rate": 1e-4},
    )
    told = without_consent(recipe)
    assert not told.model.trust_remote_code and told.model.attn_implementation is None
    assert not told.monitor.allow_code_execution and told.training == {"learning_rate": 1e-4}
    assert without_consent(recipe_of()) == recipe_of()
    eager = recipe_of(model={"name": "m", "attn_implementation": "eager"})
    assert without_consent(eager) == eager


def test_what_a_recipe_in_a_run_names_is_not_run(tmp_path: Path):
    run = Run(path=tmp_path, checkpoints=())
    data = {"train": "t.jsonl", "val": "v.jsonl", "ood": {"own": "lm_eval:mine@tasks"}}
    parts = {"model": {"name": "m", "trust_remote_code": True}, "data": data}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe_of(**parts).model_dump(mode="json")))
    assert read_recipe(tmp_path).model.trust_remote_code is False
    with pytest.raises(RunError, match=r"--ood own=lm_eval:mine@tasks"):
        resolve_options(run, AuditOptions())
    given = AuditOptions(ood={"own": "lm_eval:mine@tasks"})
    assert resolve_options(run, given).ood == given.ood
    parts = {"template": {"kind": RENDERER}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe_of(**parts).model_dump(mode="json")))
    with pytest.raises(RunError, match=f"--template {RENDERER}"):
        resolve_options(run, AuditOptions())
    assert resolve_options(run, AuditOptions(template=Template(kind=RENDERER))).template.kind == RENDERER
