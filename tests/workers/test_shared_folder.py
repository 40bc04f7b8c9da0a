"""Workers see the driver's files, or say that they do not."""

import pytest

from overmem.errors import RunError
from overmem.workers.shared_folder import SharedFolder, shared_folder


def test_a_worker_knows_the_folder_by_its_mark(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "overmem"
    with shared_folder(root) as place:
        place.join()
        for elsewhere in (tmp_path / "other" / place.mark.name, place.mark):
            # Not there, or another folder of the same name.
            with pytest.raises(RunError, match="shared filesystem"):
                SharedFolder(folder=tmp_path, mark=elsewhere, text="another").join()
    assert not root.exists()
