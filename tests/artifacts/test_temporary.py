"""What a killed process left is cleared by the next that writes the same; what a living one makes is not."""

import os
import signal
import subprocess
import sys

import pytest
from filelock import FileLock

from overmem.artifacts.files import write_text_atomic
from overmem.artifacts.temporary import LOCK_NAME, clear_leftovers, held, temporary_beside

DEAD = 2**22 + 1
"""Above the largest process id that Linux gives."""


def test_files_and_folders_of_dead_processes_are_cleared_and_nothing_else(tmp_path):
    target = tmp_path / "model[1]"
    folder, file = (tmp_path / f".{target.name}.{DEAD + i}.tmp" for i in range(2))
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"x")
    file.write_text("half")
    others = [tmp_path / name for name in (f".model1.{DEAD}.tmp", ".model[1].x.tmp", f"model[1].{DEAD}.tmp")]
    others.append(tmp_path / f".{target.name}.{os.getppid()}.tmp")  # lives
    for other in others:
        other.write_text("x")
    outside = tmp_path / "outside"
    outside.mkdir()
    link = tmp_path / f".{target.name}.{DEAD + 2}.tmp"
    link.symlink_to(outside)
    clear_leftovers(target)
    assert not folder.exists() and not file.exists()
    assert all(other.exists() for other in others) and link.is_symlink() and outside.is_dir()
    clear_leftovers(tmp_path / "no folder" / "x")


def test_the_lock_of_a_folder_says_whether_its_process_lives_wherever_that_is(tmp_path):
    # In another container: a number that nobody has here, and the lock is held.
    folder = tmp_path / f".out.{DEAD}.tmp"
    folder.mkdir()
    with FileLock(folder / LOCK_NAME):
        clear_leftovers(tmp_path / "out")
        assert folder.is_dir()
    (folder / LOCK_NAME).touch()
    clear_leftovers(tmp_path / "out")
    assert not folder.exists()
    # A number that somebody has again, and a lock that nobody holds.
    folder = tmp_path / f".out.{os.getppid()}.tmp"
    folder.mkdir()
    (folder / LOCK_NAME).touch()
    clear_leftovers(tmp_path / "out")
    assert not folder.exists()


def test_a_lock_ends_with_its_block_and_leaves_no_file(tmp_path):
    with held(tmp_path):
        assert (tmp_path / LOCK_NAME).is_file()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_a_killed_writer_leaves_nothing_to_the_next(tmp_path):
    script = (
        "import pathlib, sys, time\n"
        "from overmem.artifacts.temporary import held, temporary_beside\n"
        "folder = temporary_beside(pathlib.Path(sys.argv[1]))\n"
        "folder.mkdir()\n"
        "with held(folder):\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
    )
    target = tmp_path / "out"
    process = subprocess.Popen([sys.executable, "-c", script, target], stdout=subprocess.PIPE)
    process.stdout.readline()
    temporary_beside(target)
    assert len(list(tmp_path.iterdir())) == 1, "it lives"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    write_text_atomic(target, "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
