"""Texts in a page: compressed, cut to a budget, without the tokens that end a turn."""

import base64
import gzip
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overmem.reporting.problems.packed import FEWEST, longest_kept, pack, rounded, shortened, without_end


def unpacked(text: str) -> object:
    return json.loads(gzip.decompress(base64.b64decode(text)))


@given(st.lists(st.text(max_size=30), max_size=5))
def test_what_is_packed_reads_back_and_cannot_end_a_script(texts: list[str]) -> None:
    packed = pack({"rows": [*texts, "</script><script>alert(1)</script>"]})
    assert re.fullmatch("[A-Za-z0-9+/=]+", packed)
    assert unpacked(packed) == {"rows": [*texts, "</script><script>alert(1)</script>"]}
    assert pack({"rows": texts}) == pack({"rows": texts})


def test_half_a_character_is_shown_as_unknown_and_nan_is_refused() -> None:
    assert unpacked(pack({"a": "x\ud83d"})) == {"a": "x?"}
    with pytest.raises(ValueError, match="Out of range"):
        pack({"a": float("nan")})


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=40), st.integers(20_000, 100_000))
def test_the_longest_is_the_largest_that_fits(lengths: list[int], budget: int) -> None:
    longest = longest_kept(lengths, budget)
    total = sum(min(length, longest) for length in lengths)
    assert longest >= FEWEST
    assert total <= budget or longest == FEWEST
    if longest < max(lengths):  # one more a text would be too many
        assert sum(min(length, longest + 1) for length in lengths) > budget


def test_a_shortened_text_keeps_both_ends_and_says_how_much_is_gone() -> None:
    text = "a" * 700 + "b" * 1300
    found = shortened(text, 500)
    assert found.startswith("a" * 300 + "\n") and found.endswith("\n" + "b" * 200)
    assert "1,500 characters are not shown" in found
    assert shortened(text, 2000) == text


def test_only_special_tokens_at_the_end_are_taken_off() -> None:
    assert without_end(" 4 <|end|>\n<|end|> ", {"<|end|>"}) == "4"
    assert without_end("<|end|> is a token <b>", {"<|end|>"}) == "<|end|> is a token <b>"
    assert without_end(" 4<|end|>", set()) == "4<|end|>"
    assert without_end("4<e><e>x", {"<e>", "<e>x"}) == "4"


def test_undefined_figures_are_none_and_others_are_rounded() -> None:
    assert rounded([0.12345, None, float("nan"), 2]) == [0.123, None, None, 2]
    assert rounded([0.12345], 1) == [0.1]
