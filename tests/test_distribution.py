"""What is published: the wheel holds what a run needs and nothing else, the source what its tests need."""

import re
import tarfile
import tomllib
import zipfile
from email.parser import Parser

import pytest
import yaml
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement

import overmem
from tests.helpers.paths import ROOT, SRC

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(
        next(WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"]))
    ) as file:
        yield file


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel):
    ours = {
        path.relative_to(SRC).as_posix()
        for path in (SRC / "overmem").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == ours
    for needed in (
        "overmem/organism/base/model.safetensors",
        "overmem/recipe/bundled/demo.yaml",
        "overmem/reporting/page.html",
        "overmem/reporting/vendor/plotly-basic.min.js",
        "overmem/py.typed",
    ):
        assert needed in held


def test_its_metadata_say_what_is_installed_with_and_without_extras(wheel):
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    about = Parser().parsestr(wheel.read(name).decode())
    assert (about["Name"], about["Version"]) == ("overmem", overmem.__version__)
    assert about["Requires-Python"] == ">=3.11"
    needed = [Requirement(text) for text in about.get_all("Requires-Dist")]
    plain = {item.name for item in needed if item.marker is None}
    assert "transformers" in plain and "trl" not in plain
    assert {
        item.name for item in needed if item.marker and item.marker.evaluate({"extra": "train"})
    } - plain == {"trl"}
    scripts = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "overmem = overmem.cli:main" in wheel.read(scripts).decode()


def test_the_source_holds_what_building_and_testing_need(tmp_path):
    built = next(SdistBuilder(str(ROOT)).build(directory=str(tmp_path)))
    with tarfile.open(built) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    for needed in (
        "pyproject.toml",
        "Makefile",
        "LICENSE",
        "CITATION.cff",
        "mkdocs.yml",
        "tests/conftest.py",
    ):
        assert needed in names
    assert {
        "docs/README.md",
        "benchmarks/bakeoff.py",
        "src/overmem/organism/base/model.safetensors",
    } <= names
    assert not [name for name in names if re.match(r"(shared|\.venv|demo|site)/", name)]


def test_one_version_everywhere():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(cited["version"]) == overmem.__version__
    assert cited["license"] == PROJECT["license"]
    assert f"## {overmem.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_publishing_needs_the_check_and_no_secret():
    text = (ROOT / ".github" / "workflows" / "publish.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    assert jobs["publish"]["needs"] == "check" and jobs["check"]["needs"] == "build"
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert "secrets." not in text
