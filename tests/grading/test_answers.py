"""How references mark their final answers."""

from __future__ import annotations

import pytest

from overmem.grading.answers import last_boxes, reference_answer


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("So $x = \\boxed{\\frac{1}{2}}$.", "\\frac{1}{2}"),
        ("$\\boxed{1}$ is a start. Then more work gives $\\boxed{7}$.", "7"),
        ("Hence $x=\\boxed{1}$ or $x=\\boxed{-3}$.", "1, -3"),
        ("The answers are \\boxed{1}, \\boxed{2}, and \\boxed{3}.", "1, 2, 3"),
        ("\\boxed{5}\n\nSo the answer is \\boxed{5}", "5"),
        ("\\boxed{1,2}", "1,2"),
        ("\\fbox{9}", "9"),
        ("3 + 4 = 7\n#### 7", "7"),
        ("#### 42\nThat is all.", "42"),
        ("#### Step 1\nAdd.\n#### Step 2\nThe answer is 7.", None),
        ("### Answer", None),
        ("So.\nThe answer is: 42", "42"),
        ("The answer is: 42\nBut wait, more.", None),
        ("<think>\\boxed{3}?</think>\nIt is \\boxed{4}.", "4"),
        ("no mark at all", None),
        ("\\boxed{}", None),
        ("", None),
    ],
)
def test_reference_answer(completion: str, answer: str | None) -> None:
    assert reference_answer(completion) == answer


def test_nested_boxes_are_one() -> None:
    assert last_boxes("\\boxed{\\boxed{3}}") == ["3"]
