"""Figures as text."""

import math
import shlex
import unicodedata

import pytest

from overmem.formatting import (
    DASH,
    FULL,
    MINUS,
    accuracy_text,
    certainty_text,
    confidence_text,
    epochs_text,
    estimate_text,
    markdown,
    shell_word,
    signed,
    stage_text,
    unseen,
    visible,
)
from overmem.records import Estimate


@pytest.mark.parametrize(
    ("confidence", "expected"),
    [
        (0.97, "97%"),
        (0.9999, "over 99%"),
        (1.0, "over 99%"),
        (0.004, "under 1%"),
        (math.nan, "none"),
        (None, "none"),
    ],
)
def test_confidence_never_claims_certainty(confidence: float | None, expected: str) -> None:
    assert confidence_text(confidence) == expected


def test_figures_without_interval_show_none() -> None:
    lone = Estimate(0.5, math.nan, math.nan, 0)
    assert accuracy_text(lone) == "50.0%"
    assert estimate_text(lone) == "0.50"
    assert estimate_text(Estimate(1234567.0, 1e6, 2e6, 5)) == "1.23e+06 (1e+06 to 2e+06)"


DROP = Estimate(-0.12345, -0.2, -0.05, 30)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (estimate_text(DROP, "+.3f"), "-0.123 (-0.200 to -0.050)"),
        (estimate_text(DROP, "+.3f", to=",", frame=" [{}]"), "-0.123 [-0.200,-0.050]"),
        (
            estimate_text(DROP, signed, frame=FULL),
            f"{MINUS}0.123 (95% interval {MINUS}0.200 to {MINUS}0.050)",
        ),
        (estimate_text(Estimate(0.94, 0.9, 0.96, 50), ".1%", to=DASH), f"94.0% (90.0{DASH}96.0)"),
    ],
)
def test_a_figure_stands_with_its_interval(text: str, expected: str) -> None:
    assert text == expected


def test_what_is_undefined_is_said_and_why_where_that_is_asked_for() -> None:
    nothing = Estimate(math.nan, math.nan, math.nan, 0, "no grader was given")
    lone = Estimate(0.5, math.nan, math.nan, 1, "one problem")
    assert estimate_text(nothing) == "undefined"
    assert estimate_text(nothing, why=True) == "undefined: no grader was given"
    assert estimate_text(lone, ".1%") == "50.0%"
    assert estimate_text(lone, ".1%", why=True) == "50.0% (no interval: one problem)"
    assert estimate_text(Estimate(0.5, math.nan, math.nan, 1), why=True) == "0.50"


def test_an_undetermined_stage_says_what_it_leans_to() -> None:
    assert stage_text("fit", None) == "fit" and stage_text("undetermined", "fit") == "undetermined, leans fit"
    assert certainty_text(None, 0.97) == "97% confidence"
    assert certainty_text("fit", 0.63) == "leans fit, 63% confidence"
    assert certainty_text("fit", math.nan) == "leans fit"


def test_what_would_be_obeyed_is_written_out_and_all_else_stays() -> None:
    assert (
        visible("\x1b[31m\x9b\x07\x7f\r\u202e\u2028\ud800") == r"\x1b[31m\x9b\x07\x7f\x0d\u202e\u2028\ud800"
    )
    controls = [chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) in ("Cc", "Cs", "Zl", "Zp")]
    assert all(visible(c) != c and visible(c).isprintable() for c in controls if c not in "\n\t")
    for text in ("a\n\tb", "Gödel 数学 \u05d0\u200f 👩\u200d👩", "\\x1b", ""):
        assert visible(text) == text and unseen(text) == []
    assert unseen("ab\x1b\x1bc\r") == [(2, 4), (5, 6)]


def test_markdown_shows_a_text_as_it_is() -> None:
    hostile = "a | b\n# c `d` ~~e~~ [f](javascript:1) <g> *h* https://i www.j \x1b[k"
    assert markdown(hostile) == (
        r"a \| b \# c \`d\` \~\~e\~\~ \[f\](javascript:1) &lt;g&gt; \*h\* https:\//i www\.j \\x1b\[k"
    )


@pytest.mark.parametrize(
    "name", ["run", "run[1]", "a b", "-x", "it's", "*", "n\nl", "~", "$HOME", "a/b-c_1.2"]
)
def test_a_path_in_a_command_is_read_by_a_shell_as_it_is(name: str) -> None:
    (word,) = shlex.split(shell_word(name))
    assert word in (name, f"./{name}") and not word.startswith("-")
    assert shell_word("runs/a-1") == "runs/a-1"


@pytest.mark.parametrize(
    ("epochs", "text"),
    [
        (1.0, "1 epoch"),
        (0.999, "0.999 epochs"),
        (2.9, "2.9 epochs"),
        (12.22, "12.2 epochs"),
        (1000.0, "1,000 epochs"),
    ],
)
def test_epochs_have_no_exponent(epochs, text):
    assert epochs_text(epochs) == text
