import errno

import pytest

from overmem.artifacts.run_records import RunRecords, is_unaudited
from overmem.errors import RunError


def test_a_run_is_unaudited_until_it_has_a_manifest_of_ours(tmp_path):
    (tmp_path / "a.log").touch()
    (tmp_path / "manifest.json").write_text('{"schema": "somebody else"}')
    assert is_unaudited(tmp_path) and is_unaudited(tmp_path / "a.log")
    RunRecords.of_run(tmp_path).write_record("manifest", {"schema": "overmem.manifest/1"})
    assert not is_unaudited(tmp_path) and not is_unaudited(tmp_path / "overmem")
    with pytest.raises(RunError, match="does not exist"):
        is_unaudited(tmp_path / "gone")


def test_a_folder_that_may_only_be_read_is_said_and_a_full_disk_is_raised(tmp_path, monkeypatch):
    def refuse(code):
        def write(*_):
            raise OSError(code, "no")

        monkeypatch.setattr("overmem.artifacts.run_records.write_text_atomic", write)
        return RunRecords(tmp_path).save_record("verdict", {})

    assert refuse(errno.EROFS) == f"{tmp_path} cannot be written to (no)"
    with pytest.raises(OSError):
        refuse(errno.EIO)
