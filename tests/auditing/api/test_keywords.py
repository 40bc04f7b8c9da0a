"""The typed keywords of an audit and its options are the same, name by name and type by type."""

import inspect
import subprocess
import sys
import textwrap

import pytest

import overmem
from overmem.auditing.api.keywords import AuditKeywords
from overmem.auditing.options import AuditOptions

OTHERWISE = dict.fromkeys(("axes", "checkpoints"), "str | Sequence[str]")
"""Keywords that take more than the field holds: names joined by commas, too."""


def test_every_option_is_a_keyword_of_its_type():
    written = {name: kind.__forward_arg__ for name, kind in AuditKeywords.__annotations__.items()}
    fields = {name: AuditOptions.__annotations__[name] for name in AuditOptions.model_fields}
    assert (
        written == {name: kind.replace("Source", "str | Path") for name, kind in fields.items()} | OTHERWISE
    )
    assert not AuditKeywords.__required_keys__


@pytest.mark.parametrize("verb", ["audit", "plan", "watch"])
def test_a_console_completes_them_too(verb):
    shown = inspect.signature(getattr(overmem, verb)).parameters
    assert shown.keys() >= AuditOptions.model_fields.keys()
    assert shown["samples"].default == 8
    assert "Sampled answers to each problem" in getattr(overmem, verb).__doc__


@pytest.mark.exhaustive
def test_a_type_checker_knows_the_public_names_and_finds_wrong_options(tmp_path):
    script = tmp_path / "user.py"
    script.write_text(
        textwrap.dedent("""
            import overmem
            overmem.audit("run", val="val.jsonl", samples=4, ood={"far": "far.jsonl"})
            overmem.audit("run", sampels=4)
            overmem.audit("run", samples="four")
            overmem.compare("a", "b").better.upper()
        """)
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path), "--follow-imports=silent", str(script)],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if "error" in line and "user.py" in line]
    assert [int(line.split(":")[1]) for line in lines] == [4, 5, 6], done.stdout
    assert "sampels" in lines[0]
