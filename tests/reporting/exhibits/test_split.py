"""The text of each token of a completion."""

import pytest

from overmem.records import Example
from overmem.rendering.render import render
from overmem.rendering.template import Template
from overmem.reporting.exhibits.split import completion_tokens
from tests.helpers.synthetic import END, byte_tokenizer
from tests.helpers.tokenizers import make_tokenizer


@pytest.mark.parametrize(
    ("prompt", "completion"),
    [
        ("Q: 1 + 1?\n", " 2, since 1 + 1 = 2.\n#### 2" + END),
        ("שלום", " مرحبا 🎉👩‍👩‍👧 é" + END),
        ("", "x"),
        ("a b", "c" + END),
    ],
)
def test_tokens_give_the_completion_back_whatever_it_holds(prompt: str, completion: str) -> None:
    tokenizer = byte_tokenizer()
    n = len(tokenizer.encode(completion).ids)
    texts = completion_tokens(tokenizer, prompt, completion, n)
    assert texts is not None
    assert len(texts) == n and "".join(texts) == completion
    assert completion_tokens(tokenizer, prompt, completion, n + 1) is None


def test_a_token_across_the_boundary_shows_the_end_of_the_prompt_in_it() -> None:
    tokenizer = make_tokenizer()
    rendered = render(Example("e", "12 app", "les 5"), tokenizer, Template())
    core = tokenizer.backend_tokenizer
    texts = completion_tokens(
        core, rendered.prompt_text, rendered.completion_text, len(rendered.completion_ids)
    )
    assert texts is not None and texts[0] == " apples" and "".join(texts) == " apples 5</s>"
