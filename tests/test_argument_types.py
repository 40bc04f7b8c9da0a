"""Arguments of a wrong type, from Python: one message, before anything starts."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pytest

import overmem
from overmem.argument_types import Arguments, accepts, in_words
from overmem.errors import OvermemError, WrongArgumentError

Folder = str | Path
WRONG = (None, 5, 1.5, True, b"run", [], {}, (one for one in "ab"), object())
VERBS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "open_run": ("path", lambda x: overmem.open_run(x)),
    "audit": ("run", lambda x: overmem.audit(x, val="val.jsonl")),
    "plan": ("run", lambda x: overmem.plan(x, val="val.jsonl")),
    "watch": ("run", lambda x: overmem.watch(x, val="val.jsonl")),
    "diagnose": ("audit", lambda x: overmem.diagnose(x)),
    "check": ("run", lambda x: overmem.check(x)),
    "report": ("run", lambda x: overmem.report(x)),
    "repair": ("run", lambda x: overmem.repair(x)),
    "merge": ("out", lambda x: overmem.merge(["a", "b"], x)),
    "sweep": ("output", lambda x: overmem.sweep("sweep-exposure", output=x)),
    "load_examples": ("source", lambda x: overmem.load_examples(x)),
    "load_recipe": ("name", lambda x: overmem.load_recipe(x)),
    "data_check": ("val", lambda x: overmem.data_check(x)),
    "plain_adapter": ("folder", lambda x: overmem.plain_adapter(x, "out")),
    "grade": ("text", lambda x: overmem.grade(x, "5")),
    "train": ("recipe", lambda x: overmem.train(x)),
    "token_weights": ("name", lambda x: overmem.token_weights(x, None)),
    "reweighted_loss": ("name", lambda x: overmem.reweighted_loss(x)),
    "OverMemorizationMonitor": ("limit", lambda x: overmem.OverMemorizationMonitor("val.jsonl", limit=x)),
    "Rule": ("accuracy_margin", lambda x: overmem.Rule(accuracy_margin=x)),
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_names_the_argument_that_is_of_a_wrong_type(verb):
    name, call = VERBS[verb]
    numbers = {"OverMemorizationMonitor": (5,), "Rule": (5, 1.5), "sweep": (None,)}.get(verb, ())
    for wrong in WRONG:
        if any(wrong is number for number in numbers):
            continue
        with pytest.raises(WrongArgumentError) as caught:
            call(wrong)
        said = str(caught.value)
        assert said.startswith(f"overmem.{verb}: `{name}` is of a wrong type\n  got:      ")
        assert f"({type(wrong).__name__})\n  expected: " in said and "\n  next:     " in said


def test_the_message_says_what_to_do():
    with pytest.raises(TypeError) as caught:
        overmem.diagnose("run", rule={"accuracy_margin": 0.1})
    assert isinstance(caught.value, OvermemError)
    assert str(caught.value) == (
        "overmem.diagnose: `rule` is of a wrong type\n  got:      {'accuracy_margin': 0.1} (dict)\n"
        "  expected: Rule\n  next:     overmem.Rule(accuracy_margin=...) makes one"
    )
    with pytest.raises(
        WrongArgumentError, match=r"a sequence of str or None\n  next:     write \['overfit'\]"
    ):
        overmem.check("run", fail_on="overfit")
    with pytest.raises(WrongArgumentError, match="load_recipe"):
        overmem.train("recipe.yaml")
    with pytest.raises(WrongArgumentError, match=r"AuditLike, str or Path"):
        overmem.diagnose(None)
    with pytest.raises(WrongArgumentError, match=r"judge: missing a required argument: 'correct_C_N'"):
        overmem.judge([1, 2])
    with pytest.raises(WrongArgumentError, match="too many positional arguments"):
        overmem.compare("a", "b", "c")


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("a\0b", "NUL"),
        ("\ud800", "half of a character"),
        (Path("a") / ("x" * 256) / "b", "255 bytes between two slashes, not 256"),
        (["a", "b" * 300], "not 300"),
    ],
)
def test_what_no_disk_can_name_is_no_path(path, why):
    def takes(where: Folder | Sequence[Folder]) -> None:
        """Nothing."""

    with pytest.raises(WrongArgumentError, match=f"(?s)`where` cannot be a path.*{why}"):
        Arguments(takes, "takes").check((path,), {})
    Arguments(takes, "takes").check((["a/" + "x" * 255, Path("é" * 127)],), {})


@pytest.mark.parametrize(
    ("value", "kind", "good"),
    [
        (1, float, True),
        (np.float32(1), float, True),
        (np.int64(1), int, True),
        (True, int, False),
        (1.0, int, False),
        ("1", float, False),
        (1, bool, False),
        ("html", Literal["html", "md"], True),  # which one, the function checks
        (2, Literal["html", "md"], False),
        (("a", Path("b")), Sequence[Folder], True),
        (np.array([0.5, 0.5]), Sequence[float], True),
        (["a", None], Sequence[str], False),
        ("ab", Sequence[str], False),
        ({"a": 1}, Sequence[str], False),
        ((x for x in "ab"), Sequence[str], False),
        ({"a": "b"}, Mapping[str, Folder], True),
        ({"a": 1}, Mapping[str, Folder], False),
        ({1: "b"}, Mapping[str, Folder], False),
        (len, Callable[[str], int], True),
        ("len", Callable[[str], int], False),
        (None, str | None, True),
        ("a", Annotated[Folder, "a source"], True),
        (1, Annotated[Folder, "a source"], False),
        ([[1, 0]], npt.ArrayLike, True),  # says too little to tell
        (object(), Any, True),
    ],
)
def test_what_a_type_of_a_signature_takes(value, kind, good):
    assert accepts(value, kind) is good


def test_types_in_words():
    kind = Folder | Sequence[int] | Mapping[str, Any] | Callable[[int], int] | None
    assert in_words(kind) == "str, Path, a sequence of int, a mapping of str, a function or None"
    assert in_words(Literal["a", "b"]) == "'a' or 'b'" and in_words(float) == "float"
    assert in_words(Annotated[Folder, "[TASK:]LOCATION"]) == "str or Path: [TASK:]LOCATION"


def test_a_type_that_only_type_checkers_know_is_not_checked():
    def takes(tensor: "Unheard", limit: int = 3) -> None:  # noqa: F821
        """Nothing."""

    arguments = Arguments(takes, "takes")
    arguments.check((object(),), {"limit": 4})
    with pytest.raises(WrongArgumentError, match="`limit`"):
        arguments.check((object(), "4"), {})
