"""What sympy is given is short and cannot explode."""

from __future__ import annotations

import pytest

from overmem.grading.mathematics.safe_powers import is_safe


@pytest.mark.parametrize(
    "text", ["x^2-y^2", "(x^2-1)^2", "((x-1)^2+1)^2", "2^{2005}", "2004!", "9(x^2-2)^{5/3}"]
)
def test_safe(text: str) -> None:
    assert is_safe(text)


@pytest.mark.parametrize(
    "text", ["", "9^9^9", "9^{9^9}", "10^{99999}", "99999!", "(9!)!", "{", "}{", "x" * 300, "((9^{999})^9)^9"]
)
def test_refused(text: str) -> None:
    assert not is_safe(text)
