"""Optional packages: one message where one is missing or of another version."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from overmem import extras
from overmem.cli.app import app
from overmem.errors import MissingExtraError

REPOSITORY = Path(__file__).parents[1]
DECLARED = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
OPTIONAL = {"trl", "vllm", "ray", "lm_eval", "mergekit", "gguf", "bitsandbytes"}
"""Modules that only extras install."""


@pytest.fixture
def installed(monkeypatch):
    """Pretend which requirements overmem has, and which versions are there."""

    def pretend(versions):
        monkeypatch.setattr(
            extras, "requires", lambda _: ["numpy>=1.26", "trl<2,>=1.16; extra == 'train'", "x; extra == 'b'"]
        )

        def version(name):
            if name not in versions:
                raise extras.PackageNotFoundError(name)
            return versions[name]

        monkeypatch.setattr(extras, "version", version)

    return pretend


@pytest.mark.parametrize(
    ("versions", "said"),
    [
        ({}, "trl is not installed"),
        ({"trl": "0.24.0"}, "trl 0.24.0 is installed, and trl<2,>=1.16 is needed"),
        ({"trl": "2.0.0"}, "trl 2.0.0 is installed, and trl<2,>=1.16 is needed"),
        ({"trl": "1.16.0"}, None),
        ({"trl": "1.17.0.dev0"}, None),
    ],
)
def test_an_extra_that_is_not_met_is_said_with_its_versions(installed, versions, said):
    installed(versions)
    assert extras.unmet("train") == ([said] if said else [])
    if said is None:
        extras.check_extra("train", "training")
        return
    with pytest.raises(MissingExtraError) as raised:
        extras.check_extra("train", "training")
    assert str(raised.value) == (
        f"training needs the extra `train` of overmem\n  got:      {said}\n"
        "  next:     pip install 'overmem[train]'"
    )
    assert isinstance(raised.value, ImportError)


def test_an_import_that_fails_says_why(installed):
    installed({"x": "1"})
    with (
        pytest.raises(
            MissingExtraError, match=r"b-work needs the extra `b`[\s\S]*No module named 'none_such'"
        ),
        extras.needs_extra("b", "b-work", otherwise="do without"),
    ):
        import none_such  # noqa: F401
    with (
        pytest.raises(MissingExtraError, match=r"pip install 'overmem\[b\]', or do without"),
        extras.needs_extra("b", "b-work", otherwise="do without"),
    ):
        sys.gone  # noqa: B018
    with extras.needs_extra("b", "b-work"):
        pass


def test_run_without_being_installed_nothing_is_known_and_nothing_refused(monkeypatch):
    def missing(_):
        raise extras.PackageNotFoundError("overmem")

    monkeypatch.setattr(extras, "requires", missing)
    assert extras.unmet("train") == []


def test_every_optional_import_stands_in_a_block_that_names_an_extra():
    named, bare = set(), []
    for path in sorted((REPOSITORY / "src").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        guarded: set[ast.AST] = set()
        for node in ast.walk(tree):
            match node:
                case ast.Call(
                    func=ast.Name(id="needs_extra" | "check_extra"), args=[ast.Constant(value=extra), *_]
                ):
                    named.add(extra)
                case ast.With(items=[ast.withitem(context_expr=ast.Call(func=ast.Name(id="needs_extra")))]):
                    guarded |= {inner for part in node.body for inner in ast.walk(part)}
        for node in ast.walk(tree):
            match node:
                case ast.Import(names=names):
                    roots = {name.name.partition(".")[0] for name in names}
                case ast.ImportFrom(module=str(module), level=0):
                    roots = {module.partition(".")[0]}
                case _:
                    continue
            if roots & OPTIONAL and node not in guarded and "training" not in path.parts:
                bare.append(f"{path.name}:{node.lineno}")
    assert bare == []
    assert named <= DECLARED.keys()
    assert {"train", "vllm", "ray", "lm-eval", "mergekit", "gguf"} <= named


@pytest.mark.parametrize("command", [["demo", "x"], ["train", "demo"], ["sweep", "sweep-organism"]])
def test_a_command_that_trains_names_the_extra_before_torch_is_loaded(installed, monkeypatch, command):
    installed({})
    monkeypatch.setitem(sys.modules, "overmem.training", None)
    monkeypatch.setitem(sys.modules, "overmem.cli.progress", None)
    with pytest.raises(MissingExtraError, match=f"overmem {command[0]} needs the extra `train`"):
        app(command, standalone_mode=False)


def test_without_trl_the_audit_and_the_verdict_import_and_training_names_its_extra():
    """The modules that an audit needs load where TRL is not installed."""
    code = """
import importlib, importlib.metadata, sys
sys.modules["trl"] = None
import overmem.extras as extras
extras.requires = lambda _: ["trl>=1.16; extra == 'train'"]
def version(name):
    raise extras.PackageNotFoundError(name)
extras.version = version
import overmem, overmem.auditing.run, overmem.cli.commands.audit, overmem.monitor.callback
import overmem.repairing.run, overmem.merging, overmem.reporting.run, overmem.cli.progress
overmem.cli.progress.quiet_libraries()
for name in ("train", "sweep", "ReweightedSFTTrainer"):
    try:
        getattr(overmem, name)
    except overmem.OvermemError as error:
        print(name, error)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("pip install 'overmem[train]'") == 3
