"""The program is found however an answer presents it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overmem.grading.find_code import find_code

FUNCTION = "def add(a, b):\n    return a + b\n"


@pytest.mark.parametrize(
    "text",
    [
        f"```python\n{FUNCTION}```\n\nExample usage:\n\n```python\nprint(add(1, 2))  # 3\n```",
        f"```python3.10\n{FUNCTION}```",
        f"```python\n{FUNCTION}```".replace("\n", "\r\n"),
        f"```python\n{FUNCTION}```\nIt prints:\n```text\n3\n```",
    ],
)
def test_an_example_of_use_does_not_take_the_place_of_the_function(text):
    assert find_code(text, {"add"}) == FUNCTION


def test_of_several_definitions_the_last_counts_and_without_one_the_last_block():
    first, second = FUNCTION, FUNCTION.replace("a + b", "b + a")
    both = f"```python\n{first}```\nBetter:\n```python\n{second}```"
    assert find_code(both, {"add"}) == second
    assert find_code(f"```python\n{first}```\n```python\nx = 1\n```", {"other"}) == "x = 1\n"


@pytest.mark.parametrize(
    "text",
    [
        f'```python title="add.py"\n{FUNCTION}```',
        f"```{{.python .numberLines}}\n{FUNCTION}```",
        f"Sure! ```python\n{FUNCTION}```",
        f"1. First:\n   ```python\n   {FUNCTION.replace(chr(10) + '    ', chr(10) + '       ')}   ```",
        f"[BEGIN]\n{FUNCTION}[DONE]",
        f"[PYTHON]\n{FUNCTION}[/PYTHON]",
        f"<answer>\n{FUNCTION}</answer>",
        f"<answer>\n```python\n{FUNCTION}```\n</answer>",
        f"Here is the function you asked for:\n\n{FUNCTION}",
        f"Here it is:\n```\n{FUNCTION}```",
        f"```python\n{FUNCTION}",
        FUNCTION,
        f"{FUNCTION}```",
        f"```bash\npip install x\n```\n```python\n{FUNCTION}```",
    ],
)
def test_code_is_found_in_every_dress(text):
    assert find_code(text, {"add"}).strip() == FUNCTION.strip()


def test_blocks_that_need_each_other_are_joined():
    helper, main = "def double(x):\n    return 2 * x\n", "def add(a, b):\n    return double(a) + b\n"
    use = "Use:\n```python\nprint(add(1, 2))\n```"
    text = f"First a helper:\n```python\n{helper}```\nThen:\n```python\n{main}```\n{use}"
    assert find_code(text, {"add"}) == f"{helper}\n{main}"
    imports = "```python\nfrom math import sqrt\n```\n```python\ndef add(a, b):\n    return sqrt(a) + b\n```"
    assert find_code(imports, {"add"}).startswith("from math import sqrt\n")
    two = "```python\ndef one():\n    return 1\n```\n```python\ndef two():\n    return 2\n```"
    assert "one" in find_code(two, {"one", "two"}) and "two" in find_code(two, {"one", "two"})


def test_a_lambda_defines_a_function():
    text = "```python\nadd = lambda a, b: a + b\n```\n```python\nprint(add(1, 2))\n```"
    assert find_code(text, {"add"}) == "add = lambda a, b: a + b\n"


def test_what_goes_on_with_the_prompt_is_left_as_it_is():
    for body in ("    return a + b\n", "\treturn a + b\n", "    # sum\n    return a + b\n\nprint(add(1, 2))"):
        assert find_code(body, {"add"}) == body


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("    return 1\n", "    return 1\n"),
        ("So:\n```python\na = 1\n```\nThat is it.", "a = 1\n"),
        ("```python\na = 1\n```\nor better\n```python\na = 2\n```", "a = 2\n"),
        ("```python\na = 1\n```\nIt prints\n```\n1\n```", "a = 1\n"),
        ("```\na = 1\n```\n```bash\nrm x\n```", "a = 1\n"),
        ("```py\na = 1\nb = ", "a = 1\nb = "),
        ("~~~python\na = '''```'''\n~~~", "a = '''```'''\n"),
        ("````python\n'''\n```\n'''\n````", "'''\n```\n'''\n"),
        ("```python\n```", ""),
        ("```", ""),
        ("    return 1\n```\n", "    return 1\n"),
        ("    return 1\n```\nIt returns one.", "    return 1\n"),
        ("def f():\n    return 1\n```\nSo `f` is done.", "def f():\n    return 1\n"),
        ("So:\n```\na = 1\nb = ", "a = 1\nb = "),
    ],
)
def test_code_is_found_in_what_surrounds_it(text, code):
    assert find_code(text) == code


@given(st.text(st.sampled_from("`~ \n[BEGIN]</answer>defpython=():x"), max_size=80))
def test_no_text_breaks_it(text):
    assert isinstance(find_code(text, {"f"}), str)


def test_of_several_tagged_programs_the_one_that_is_called_counts():
    other = FUNCTION.replace("add", "sub")
    assert (
        find_code(f"[BEGIN]\n{FUNCTION}[DONE]\nNow:\n[BEGIN]\n{other}[DONE]", {"add"}).strip()
        == FUNCTION.strip()
    )


def test_a_fence_within_a_docstring_closes_nothing():
    example = "        ```\n        add(1, 2)\n        ```\n"
    code = f'def add(a, b):\n    """Add.\n\n{example}    """\n    return a + b\n'
    assert find_code(f"```python\n{code}```", {"add"}) == code


def test_a_session_of_the_interpreter_is_read_without_its_prompts():
    session = ">>> def add(a, b):\n...     return a + b\n...\n>>> add(2, 3)\n5\n"
    assert find_code(f"```python\n{session}```", {"add"}) == "def add(a, b):\n    return a + b\nadd(2, 3)"


def test_code_within_a_sentence_counts_where_there_is_no_other():
    assert find_code("Use `add = lambda a, b: a + b` here.", {"add"}) == "add = lambda a, b: a + b"


def test_a_closing_mark_ends_code_that_the_prompt_opened():
    assert find_code(f"{FUNCTION}[DONE]\nAnother task\n", {"add"}) == FUNCTION
    assert find_code(
        f'<pre><code class="language-python">{FUNCTION}</code></pre>', {"add"}
    ) == FUNCTION.strip("\n")
