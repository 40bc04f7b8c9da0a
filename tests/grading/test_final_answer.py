"""The last answer wins, not the last digits.

Covers: overmem.grading.spans
"""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overmem.grading.final_answer import final_answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("So the answer is $\\frac{2}{3}$.", "\\frac{2}{3}"),
        ("The answer is 42. Let me double-check: 40 + 2, done in 2 steps.", "42"),
        ("The answer is 24, not 42.", "24"),
        ("the answer is 1. Wait, the answer is 42.", "42"),
        ("### Answer\n42", "42"),
        ("**Final Answer**\n\n$42$", "42"),
        ("**Answer**\n\\[\n\\frac{7}{8}\n\\]", "\\frac{7}{8}"),
        ("#### Step 3: Add 5 and 6\nWe get 11.", "11"),
        ("#### Answer\n42", "42"),
        ("Their sum is $3x = 72$. The largest is therefore $x + 1 = 25$.", "25"),
        ("The equation of the line is $2x + 3y = 6$.", "2x + 3y = 6"),
        ("42.\n\nExplanation: 6 rows of 7; with 8 rows there would be 56.", "42."),
        ("After 3 days he has 42 marbles, having lost 5.", "42"),
        ("The speed is **42 km/h**.\n\n*Note: 42 km/h is about 26.1 mph.*", "42 km/h"),
        ("The answer is therefore forty-two.", "forty-two"),
        ("So, the answer is 42! Let me know if you have questions.", "42"),
        ("The number of orders is $5!$.", "5!"),
        ("Die Summe beträgt 12'500 Franken.", "12'500"),
        ("La réponse est donc 0,125.", "0,125"),
        ("The total cost is ₹1,20,000.", "₹1,20,000"),
        ("So the sum is **42**. (The first three terms already give $8+\\frac83$.)", "42"),
        ("The answer is 42.\n\nQ: What is 2 + 3?\nA: The answer is 5.", "42"),
        ("<answer>The answer is 42 apples.</answer>", "42"),
        ("[ANSWER] 42 [/ANSWER]", "42"),
        ("She pays $5 for apples and $7 for pears, so she pays $12.", "$12"),
        ("Then $x = 5$. So there are 12 apples.", "12"),
        ("The fraction is $\\frac{2}{3}$. That took 2 steps.", "\\frac{2}{3}"),
        ("halfway we had \\frac{1}{2}, so the count is 42.", "42"),
        ("Thus x = \\frac{\\sqrt{2}}{2} is the final value.", "\\frac{\\sqrt{2}}{2}"),
        ("The solutions are $x = 1$ and $x = -3$.", "x = 1, x = -3"),
        ("$x=\\boxed{-3}$ or $x=\\boxed{1}$", "-3, 1"),
        ("first \\boxed{1}, final \\boxed{42}", "42"),
        ("The point is (2, 3).", "(2, 3)"),
        ("The length is √2.", "√2"),
        ("In total there are **260 sheep**.", "260"),
        ("答案是 42。", "42"),
        ("There are seven.", "seven"),
        ("Das Ergebnis ist 1.234,5 €", "1.234,5"),
        ("x<2 or x>3", "x<2 or x>3"),
        ("No answer here", None),
        ("", None),
    ],
)
def test_final_answer(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer


@given(st.text(st.sampled_from("$\\[]()*# answeris:.0123,xfrac\n"), max_size=80))
def test_no_text_breaks_it(text: str) -> None:
    final_answer(text)


@pytest.mark.parametrize(
    "text",
    [
        "answer" + " " * 20000,
        "answer" + "\n" * 20000,
        "$" * 20000,
        "\\boxed{" * 8000,
        "#### 1\n" * 8000,
        "the answer is " * 5000,
        "**1** " * 5000,
        "1 " * 20000,
        "( since " * 5000,
        "<answer>" * 5000,
    ],
)
def test_long_runs_cost_little(text: str) -> None:
    started = time.process_time()
    final_answer(text)
    assert time.process_time() - started < 2
