"""One diagnosed run made of numbers, and its exhibits."""

from pathlib import Path

import pytest

import overmem
from overmem.reporting.exhibits.build import Exhibits
from overmem.reporting.run import read_saved
from tests.helpers.synthetic import write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_run(tmp_path_factory.mktemp("full") / "run")
    overmem.diagnose(folder)
    return folder


@pytest.fixture(scope="module")
def exhibits(run: Path) -> Exhibits:
    found = read_saved(run).exhibits
    assert found is not None
    return found
