"""What is left of a text without its content."""

import pytest

from overmem.stats.style.masked import BOXED, CODE, FORMULA, HEAD, TAIL, content_words, masked_lines


def test_content_is_masked_and_the_way_of_writing_is_not():
    she = masked_lines("Natalia sold 48/2 = $24 clips.\nSo she has 24 of them.")
    assert she == [
        ["\u2026", " 0", "+", "0", " =", " 0", "."],
        ["so", " he", " has", " 0", " of", " he", "."],
    ]
    assert masked_lines("Tom Lee earned 7*6 = 42 pale shells.\nSo he has 42 of it.") == she


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("3 + 4", "3+4"),
        ("1.5", "1,5"),
        ("1.200,5", "1,200.5"),
        ("2 plus 3", "2 + 3"),
        ("so\nso", "so so"),
        ("it is. So", "it is.  So"),
        ("it's not 3", "it isn't 3"),
        ("so $x$ is", "so \\(x\\) is"),
        ("so $x$ is", "so x is"),
        ("so $x$", "so $\\boxed{x}$"),
        ("We see", "They see"),
    ],
)
def test_layout_spaces_forms_of_numbers_and_of_formulas_are_kept(one, two):
    assert masked_lines(one) != masked_lines(two)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("so 3 apples are", "so $7 are"),
        ("so 20% of it", "so 3 of it"),
        ("so 2 - 1", "so 2 * 1"),
        ("2 times 3", "2 minus 3"),
        ("so $x^2 + 1$ is", "so \\[\\frac{1}{2}\\] is"),
        ("so $y$ is", "so \\begin{align*}\nx &= 1 \\\\\n y &= 2\n\\end{align*} is"),
        ("so 1,200 is", "so .5 is"),
        ("so 1,200.5 is", "so 3.25 is"),
        ("so\n\n\\[x\\]\n\nis", "so $x$ is"),
        ("[asy]\ndraw((0,0)--(1,1));\n[/asy]so", "so"),
        ("so ```python\nx = 1\n``` is", "so ```y``` is"),
    ],
)
def test_what_depends_on_the_problem_is_not(one, two):
    assert masked_lines(one) == masked_lines(two)


def test_marks_of_formulas_and_sums_of_money():
    assert masked_lines("is $x$ so") == [["is", f" {FORMULA}", " so"]]
    assert masked_lines("is \\[\\boxed{3}\\]") == [["is", f" {FORMULA}", BOXED]]
    assert masked_lines("```\na = 1") == [[CODE]]
    assert masked_lines("from $12 to $15, so") == [["from", " 0", " to", " 0", ",", " so"]]
    assert masked_lines("$12/$3 so") == [["0", "+", "0", " so"]]


def test_of_long_texts_the_start_and_the_end_are_looked_at():
    pieces = [piece for line in masked_lines(f"so {'. ' * 9000}therefore") for piece in line]
    assert pieces[0] == "so" and pieces[-1].strip() == "therefore" and len(pieces) < HEAD + TAIL


def test_content_words_are_what_a_text_is_about():
    assert content_words("The apples of Tom: 12 apples, so it is 3. We see them.") == {"apples", "tom"}
