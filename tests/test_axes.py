import pytest

from overmem.axes import CORE, IMPLYING, all_axes, axes_implied_by, choose_axes
from overmem.errors import RunError


def test_what_is_said_without_loading_the_axes_is_what_they_say():
    """They are loaded only where their own names or options are given."""
    assert {axis.implied_by for axis in all_axes().values()} - {None} == IMPLYING
    assert not any(all_axes()[name].sets for name in CORE)
    assert [name for name in all_axes() if name in CORE] == list(CORE)


def test_an_option_implies_its_axis():
    assert axes_implied_by(["val", "references"]) == ("references",)
    assert axes_implied_by(["val", "train", "columns"]) == ()


def test_names_are_chosen_in_the_order_of_the_axes():
    assert choose_axes("accuracy,likelihood") == choose_axes(("accuracy", "likelihood")) == CORE
    assert choose_axes("accuracy") == ("accuracy",)
    assert choose_axes("ood,accuracy") == ("accuracy", "ood")
    assert choose_axes("all") == tuple(all_axes())


@pytest.mark.parametrize("names", ["", ",", "likelihod", "accuracy,likelihod"])
def test_an_unknown_name_and_none_are_refused(names):
    with pytest.raises(RunError, match="likelihood"):
        choose_axes(names)
