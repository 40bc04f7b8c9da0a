"""A checkpoint is found among a server's models by its name, by its path, and as the user says."""

import pytest

from overmem.models.engines.served_models import SHOWN, ServedModels
from overmem.records import Checkpoint


def served(*names, template=None, on_demand=False):
    return ServedModels(names=names, template=template, on_demand=on_demand)


@pytest.fixture
def checkpoint(tmp_path):
    return Checkpoint(name="checkpoint-20", step=20, path=tmp_path / "checkpoint-20", kind="full")


def test_a_path_says_more_than_a_name_but_for_adapters(checkpoint):
    path = str(checkpoint.path)
    both = served("checkpoint-20", path)
    assert both.name_of(checkpoint) == path
    assert served("checkpoint-20").name_of(checkpoint) == "checkpoint-20"
    adapter = Checkpoint(name="checkpoint-20", step=20, path=checkpoint.path, kind="adapter")
    assert both.name_of(adapter) == "checkpoint-20"
    assert served("other").name_of(checkpoint) is None


def test_another_way_to_the_same_folder_is_asked_for_as_it_was_typed(checkpoint):
    typed = str(checkpoint.path.parent / "elsewhere" / ".." / "checkpoint-20")
    assert served(typed).name_of(checkpoint) == typed


def test_a_template_is_the_only_name(checkpoint):
    mine = served("mine-20", "checkpoint-20", template="mine-{step}")
    assert mine.name_of(checkpoint) == "mine-20"
    other = served("checkpoint-20", template="{name}@{path}")
    assert other.name_of(checkpoint) is None
    assert other.possible_names(checkpoint) == [f"checkpoint-20@{checkpoint.path}"]


def test_a_server_that_loads_on_demand_lists_nothing(checkpoint):
    assert served(on_demand=True).name_of(checkpoint) == str(checkpoint.path)


def test_a_message_shows_the_first_names_as_they_may_be_shown():
    many = served(*(f"m{i}" for i in range(SHOWN + 2)))
    assert many.said(str.upper) == ", ".join(f"M{i}" for i in range(SHOWN)) + " and 2 more"
    assert served().said(str) == "no model"
