"""Verdicts of a run that may only be read: judged, compared, checked and reported, and nothing is written.

Covers: overmem.cli.commands.report
"""

import errno
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

import overmem
from overmem.cli.app import app
from overmem.errors import ArtifactError, OvermemError


@pytest.fixture
def shared(pico_run, val_file, monkeypatch):
    """An audited run in a folder that fails like a read-only file system, for root too."""
    overmem.audit(pico_run, val=str(val_file), max_new_tokens=4, limit=6)

    def refuses(owner, name, position=0):
        original = getattr(owner, name)

        def call(*given, **settings):
            if Path(given[position]).absolute().is_relative_to(pico_run):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(given[position]))
            return original(*given, **settings)

        monkeypatch.setattr(owner, name, call)

    for owner, name in ((Path, "write_text"), (Path, "write_bytes"), (Path, "touch"), (os, "replace")):
        refuses(owner, name)
    return pico_run


def content(run):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in run.rglob("*")}


def call(*arguments):
    done = CliRunner().invoke(app, list(map(str, arguments)))
    if isinstance(done.exception, OvermemError):
        return 2, str(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_a_run_that_may_only_be_read_is_judged_and_reported(shared, tmp_path):
    before = content(shared)
    code, output = call("diagnose", shared)
    assert code == 0 and "checkpoint-100" in output
    said = " ".join(output.split())
    assert f"not saved: {shared}/overmem cannot be written to (Read-only file system)" in said
    assert f"overmem report {shared} --out report.html" in said
    code, output = call("diagnose", shared, "--json")
    assert code == 0 and '"stage"' in output and "not saved" not in output
    assert call("check", shared, "--fail-on", "undetermined")[0] in (0, 1)
    assert call("compare", shared, shared)[0] == 0
    assert call("report", shared, "--out", tmp_path / "r.html")[0] == 0
    assert (tmp_path / "r.html").stat().st_size > 10_000
    assert call("report", shared, "--format", "md", "--out", "-")[0] == 0
    code, output = call("report", shared)
    assert code == 2 and "the report cannot be written" in output and "--out report.html" in output
    assert content(shared) == before
    with pytest.raises(ArtifactError, match=r"verdict cannot be saved[\s\S]*Read-only[\s\S]*save=False"):
        overmem.diagnose(shared)


def test_json_is_printed_and_saves_nothing_where_it_could(pico_run, val_file):
    overmem.audit(pico_run, val=str(val_file), max_new_tokens=4, limit=6)
    before = content(pico_run)
    assert call("diagnose", pico_run, "--json")[0] == 0
    assert content(pico_run) == before
    assert "next: overmem report" in call("diagnose", pico_run)[1]
    assert (pico_run / "overmem" / "verdict.json").is_file()


def test_a_disk_that_is_full_is_no_folder_that_may_only_be_read(pico_run, val_file, monkeypatch):
    overmem.audit(pico_run, val=str(val_file), max_new_tokens=4, limit=6)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        overmem.diagnose(pico_run)
