"""One run made of numbers for all tests of reports that only read it."""

from pathlib import Path

import pytest

from tests.helpers.synthetic import write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("formats") / "my run")
