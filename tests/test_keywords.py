"""Misspelled keywords: one message with the nearest name, at every public verb."""

import inspect

import pytest

import overmem
from overmem.errors import OvermemError, UnknownOptionError
from overmem.keywords import names_its_keywords, refuse_unknown

VERBS = (
    "audit",
    "plan",
    "watch",
    "diagnose",
    "compare",
    "check",
    "data_check",
    "report",
    "repair",
    "merge",
    "judge",
)


def test_the_nearest_name_is_given_or_all():
    with pytest.raises(UnknownOptionError) as near:
        refuse_unknown({"chekpoint": 1}, ("checkpoint", "rule"), "overmem.check")
    assert str(near.value) == (
        "overmem.check has no option 'chekpoint'\n  got:      chekpoint\n"
        "  expected: did you mean 'checkpoint'?"
    )
    with pytest.raises(UnknownOptionError, match="expected: some of checkpoint, rule"):
        refuse_unknown({"zzz": 1}, ("checkpoint", "rule"), "overmem.check")
    with pytest.raises(
        UnknownOptionError, match=r"no option 'chekpoint'\n.*chekpoint, zzz\n.*'checkpoint'\?"
    ):
        refuse_unknown({"zzz": 1, "chekpoint": 2}, ("checkpoint", "rule"), "overmem.check")
    assert issubclass(UnknownOptionError, TypeError) and issubclass(UnknownOptionError, OvermemError)


def test_a_misspelled_threshold_and_a_misspelled_verb_name_the_nearest():
    with pytest.raises(TypeError, match="did you mean 'accuracy_margin'") as caught:
        overmem.Rule(acuracy_margin=0.1)
    assert isinstance(caught.value, OvermemError)
    assert overmem.Rule(accuracy_margin=0.1).accuracy_margin == 0.1
    with pytest.raises(AttributeError, match="no attribute 'diagnos'; did you mean 'diagnose'"):
        overmem.diagnos  # noqa: B018
    assert not hasattr(overmem, "zzz") and not hasattr(overmem, "__zzz__")


def test_what_is_known_goes_through_with_its_signature():
    @names_its_keywords
    def add(a, /, b, *, c=3):
        """Sum."""
        return a + b + c

    assert add(1, 2) == 6 and add(1, b=2, c=0) == 3
    assert str(inspect.signature(add)) == "(a, /, b, *, c=3)" and add.__doc__ == "Sum."
    with pytest.raises(UnknownOptionError):
        add(1, 2, a=3)
    with pytest.raises(TypeError, match=r"overmem\.add: missing a required argument: 'b'"):
        add(1)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_refuses_a_misspelled_option_before_it_starts(verb, tmp_path):
    names = [
        name
        for name, p in inspect.signature(getattr(overmem, verb)).parameters.items()
        if p.kind is p.KEYWORD_ONLY
    ] or list(inspect.signature(getattr(overmem, verb)).parameters)
    longest = max(names, key=len)
    with pytest.raises(UnknownOptionError, match=f"did you mean '{longest}'"):
        getattr(overmem, verb)(tmp_path / "nowhere", **{f"{longest}x": 1})
