"""The text of each token of a completion."""

import pytest

from overmem.reporting.exhibits.split import completion_tokens
from tests.helpers.synthetic import END, byte_tokenizer


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
