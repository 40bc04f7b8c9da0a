"""Features of a text, by hand."""

from overmem.stats.style.features import (
    EMPTY_LINE,
    END,
    INDENTED,
    JOINED,
    LAST,
    LINE,
    LOWER_CASE,
    ONE_LINE,
    SEVERAL_LINES,
    SPACE,
    TWO_SPACES,
    features_of,
    in_words,
)


def test_all_features_of_a_line_by_hand():
    found, length = features_of("so 3+ 4")
    assert length == 4 and found == {
        ONE_LINE,
        LOWER_CASE,
        *[("so",), ("0",), ("+",), ("so", "0"), ("0", "+"), ("+", "0"), ("so", "0", "+"), ("0", "+", "0")],
        *[(LINE, "so"), (LINE, "so", "0"), (LAST, "so"), ("0", END), ("+", "0", END)],
        *[("so", SPACE, "0"), ("0", JOINED, "+"), ("+", SPACE, "0")],
    }


def test_runs_of_content_and_spaces_between_words_alone_tell_nothing():
    found, _ = features_of("apples are so")
    assert ("are",) in found and ("\u2026",) not in found
    assert not {("are", SPACE, "so"), ("\u2026", SPACE, "are")} & found


def test_layout_is_a_feature():
    found, length = features_of("so.\n\n  - is.  So")
    assert {SEVERAL_LINES, EMPTY_LINE, INDENTED, TWO_SPACES} <= found and ONE_LINE not in found
    assert length == 6
    assert not {EMPTY_LINE, INDENTED, TWO_SPACES} & features_of("so.\n- is. So")[0]
    assert features_of("")[1] == 1


def test_lines_that_start_in_lower_case():
    for text, is_lower in (
        ("So\nso", True),
        ("- so", True),
        ("So so", False),
        ("3 So\n$x$ is", False),
        ("[asy]\nso;\n[/asy]So", False),
    ):
        assert (LOWER_CASE in features_of(text)[0]) is is_lower


def test_features_in_words():
    assert in_words(("0", JOINED, "=")) == "`0=`"
    assert in_words(("0", SPACE, "=")) == "`0 =`, with a space,"
    assert in_words((LINE, "i", "see")) == "`i see` that starts a line"
    assert in_words((LAST, "#")) == "`#` that starts the last line"
    assert in_words((".", END)) == "`.` that ends a line"
    assert in_words(EMPTY_LINE) == "an empty line" and in_words(("(",)) == "`(`"
