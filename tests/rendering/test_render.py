"""Rendering: the tokens are those that transformers (and so TRL) sees for the same text.

Covers: overmem.rendering.rendered, overmem.rendering.template
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overmem.errors import DataError
from overmem.records import Example
from overmem.tasks import (
    Rendered,
    Template,
    check_fits,
    check_vocab,
    data_fingerprint,
    fingerprint,
    render,
)
from tests.helpers.tokenizers import (
    CHATML,
    NO_SYSTEM,
    make_tokenizer,
    prepared_by_trl,
)

pytest.importorskip("tokenizers")


def plain(prompt: str = "Question: 2 + 3?\nAnswer:", completion: str = " 2 + 3 = 5\n#### 5") -> Example:
    return Example("e1", prompt, completion, "5")


def chat(*roles_and_texts: tuple[str, str], completion: str = "5") -> Example:
    return Example("c1", tuple({"role": role, "content": text} for role, text in roles_and_texts), completion)


@pytest.mark.parametrize("kind", ["bytes", "metaspace", "words"])
@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("completion", [" 2 + 3 = 5\n#### 5", "12 apples #### 5"])
def test_plain_tokens_are_those_of_the_joined_text(kind: str, bos: bool, completion: str) -> None:
    """TRL's path: tokenize prompt + completion + EOS text with the tokenizer's own special tokens.

    Metaspace is the case where tokenizing the completion alone would add a space to it.
    """
    tokenizer, example = make_tokenizer(kind, bos=bos), plain(completion=completion)
    rendered = render(example, tokenizer, Template())
    assert isinstance(example.prompt, str)
    assert list(rendered.input_ids) == tokenizer(example.prompt + example.completion + "</s>")["input_ids"]
    assert list(rendered.prompt_ids) == tokenizer(example.prompt)["input_ids"]
    assert rendered.clean_boundary
    assert rendered.completion_text.endswith("#### 5</s>")
    assert rendered.prompt_text == ("<s>" if bos else "") + example.prompt


ROWS = [
    ("Question: 2?", " 5"),
    ("12 app", "les"),
    ("<s>Question: 2?", " 5</s>"),
    ("Answer: ", "12"),
    ("Answer:\n", "\n5"),
    ("Qé", "é 5 "),
]


@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("eos", [False, True])
@pytest.mark.parametrize(("prompt", "completion"), ROWS)
def test_scored_ids_are_those_of_trl(bos: bool, eos: bool, prompt: str, completion: str) -> None:
    """Straddling tokens and doubled special tokens too: what training had is what is scored."""
    tokenizer = make_tokenizer(bos=bos, eos=eos)
    rendered = render(plain(prompt, completion), tokenizer, Template())
    ids, labels = prepared_by_trl(tokenizer, {"prompt": prompt, "completion": completion})
    assert list(rendered.input_ids) == ids
    ours = [-100] * len(rendered.prompt_ids) + list(rendered.completion_ids)
    assert ours[1:] == labels[1:]  # nothing predicts the first token


def test_a_straddling_token_is_the_completions_and_is_asked_for_from_the_prompt_alone() -> None:
    """`apples` is one token, `app` + `les` is not."""
    tokenizer = make_tokenizer()
    rendered = render(plain("12 app", "les"), tokenizer, Template(eos=False))
    assert tokenizer.decode(rendered.completion_ids) == " apples"
    assert list(rendered.input_ids) == tokenizer("12 apples")["input_ids"]
    assert list(rendered.question_ids) == tokenizer("12 app")["input_ids"]
    assert not rendered.clean_boundary


def test_no_end_of_sequence_where_the_template_has_none() -> None:
    rendered = render(plain(), make_tokenizer(bos=True, eos=True), Template(eos=False))
    assert 2 not in rendered.input_ids and 2 not in rendered.question_ids


TEXTS = st.text(st.sampled_from("aples 12+=\n#Qé{}"), min_size=1, max_size=25)


@settings(max_examples=200, deadline=None)
@given(prompt=TEXTS, completion=TEXTS)
def test_tokens_are_those_of_the_joined_text(prompt: str, completion: str) -> None:
    rendered = render(plain(prompt, completion), BYTES_BOS, Template())
    joint = BYTES_BOS(prompt + completion + "</s>")["input_ids"]
    assert list(rendered.input_ids) == joint
    assert list(rendered.question_ids) == BYTES_BOS(prompt)["input_ids"]
    assert rendered.clean_boundary == (rendered.question_ids == rendered.prompt_ids)
    assert BYTES_BOS.decode(rendered.completion_ids).endswith(rendered.completion_text)


BYTES_BOS = make_tokenizer(bos=True)


@pytest.mark.parametrize("max_length", [3, 8, 9, 1000])
def test_what_training_cut_is_not_scored(max_length: int) -> None:
    tokenizer = make_tokenizer()
    whole = render(plain(), tokenizer, Template())
    cut = render(plain(), tokenizer, Template(max_length=max_length))
    assert cut.input_ids == whole.input_ids[:max_length]
    n_left = max(min(len(whole), max_length) - len(whole.prompt_ids), 0)
    assert cut.completion_ids == whole.completion_ids[:n_left]
    assert cut.question_ids == whole.question_ids


@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize(
    "example",
    [
        chat(("user", "2 + 3?")),
        chat(("system", "Be brief."), ("user", "2 + 3?")),
        chat(("user", "2 + 3?"), ("assistant", "5"), ("user", "And 1?"), completion="6"),
    ],
)
def test_chat_tokens_are_those_of_the_chat_template(bos: bool, example: Example) -> None:
    tokenizer = make_tokenizer(bos=bos, template=CHATML)
    rendered = render(example, tokenizer, Template())
    messages = [dict(turn) for turn in example.prompt if not isinstance(turn, str)]
    prompt_ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)[
        "input_ids"
    ]
    turn = {"role": "assistant", "content": example.completion}
    full_ids = tokenizer.apply_chat_template([*messages, turn], return_dict=True)["input_ids"]
    assert list(rendered.prompt_ids) == prompt_ids
    assert list(rendered.input_ids) == full_ids
    assert rendered.completion_text == example.completion + "<|im_end|>\n"
    assert tokenizer.convert_tokens_to_ids("<|im_end|>") in rendered.completion_ids
    assert tokenizer.eos_token_id not in rendered.completion_ids


def test_kind_decides_for_plain_prompts() -> None:
    tokenizer = make_tokenizer(template=CHATML)
    assert render(plain("a"), tokenizer, Template()).prompt_text == "a"
    forced = render(plain("a"), tokenizer, Template(kind="chat", system="S"))
    assert (
        forced.prompt_text
        == "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n"
    )
    assert render(chat(("user", "a")), tokenizer, Template(kind="plain", eos=False)).prompt_text == "a"


def test_formats_are_literal_text() -> None:
    tokenizer = make_tokenizer(template=CHATML)
    template = Template(prompt_format="Q: {prompt} {x}\nA:", completion_format=" {completion}.")
    rendered = render(plain("{a}{prompt}", "{b}"), tokenizer, template)
    assert (rendered.prompt_text, rendered.completion_text) == ("Q: {a}{prompt} {x}\nA:", " {b}.</s>")
    rendered = render(
        chat(("user", "a"), ("assistant", "b"), ("user", "c"), completion="d"), tokenizer, template
    )
    assert "user\na<|im_end|>" in rendered.prompt_text
    assert "user\nQ: c {x}\nA:<|im_end|>" in rendered.prompt_text
    assert rendered.completion_text == " d.<|im_end|>\n"


@pytest.mark.parametrize(
    ("template_text", "example", "template", "parts"),
    [
        (None, chat(("user", "a")), Template(), ["c1", "has none", "--template plain"]),
        (None, plain(), Template(kind="chat"), ["e1", "has none"]),
        (
            CHATML,
            chat(("user", "a"), ("assistant", "b"), ("user", "c")),
            Template(kind="plain"),
            ["3 chat messages"],
        ),
        (CHATML, plain(), Template(system="S"), ["system", "e1"]),
        (
            CHATML,
            chat(("system", "T"), ("user", "a")),
            Template(system="S"),
            ["c1", "system message of its own"],
        ),
        (NO_SYSTEM, chat(("system", "T"), ("user", "a")), Template(), ["no system role", "system, user"]),
    ],
)
def test_what_cannot_be_rendered(
    template_text: str | None, example: Example, template: Template, parts: list[str]
) -> None:
    with pytest.raises(DataError) as caught:
        render(example, make_tokenizer(template=template_text), template)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"kind": "jinja"},
        {"prompt_format": "no field"},
        {"prompt_format": "{prompt}{prompt}"},
        {"completion_format": ""},
        {"kind": "plain", "system": "S"},
        {"kind": "llamafactory:"},
        {"score": "first"},
        {"max_length": 1},
        {"chat_template_kwargs": [1]},
    ],
)
def test_templates_are_validated(arguments: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        Template(**arguments)


def test_no_eos_token_and_no_tokens() -> None:
    tokenizer = make_tokenizer("words")
    with pytest.raises(DataError, match="no tokens"):
        render(plain("apples", "\u00a0 "), tokenizer, Template(eos=False))
    tokenizer.eos_token = None
    with pytest.raises(DataError, match="eos to false"):
        render(plain(), tokenizer, Template())
    assert render(plain(), tokenizer, Template(eos=False)).completion_ids


def test_rendering_leaves_the_tokenizer_unchanged() -> None:
    tokenizer = make_tokenizer(bos=True, template=CHATML)
    before = (
        tokenizer.padding_side,
        tokenizer.truncation_side,
        tokenizer("a b")["input_ids"],
        len(tokenizer),
    )
    first = render(plain(), tokenizer, Template())
    assert render(plain(), tokenizer, Template()) == first
    render(chat(("user", "a")), tokenizer, Template())
    assert (
        tokenizer.padding_side,
        tokenizer.truncation_side,
        tokenizer("a b")["input_ids"],
        len(tokenizer),
    ) == before


def fake(example_id: str, prompt_ids: tuple[int, ...], completion_ids: tuple[int, ...]) -> Rendered:
    return Rendered(
        example_id=example_id,
        prompt_ids=prompt_ids,
        completion_ids=completion_ids,
        prompt_text="Q:\n",
        completion_text=" 5",
    )


def test_check_fits_is_exact() -> None:
    rendered = fake("long-one", (1, 2, 3), (4, 5))
    check_fits(rendered, 5)
    with pytest.raises(DataError) as caught:
        check_fits(rendered, 4)
    for part in ("long-one", "5 tokens", "3 of them prompt", "at most 4"):
        assert part in str(caught.value)


def test_check_vocab_is_exact_and_counts_only_ids_that_occur() -> None:
    items = [fake("a", (1, 2), (3,)), fake("b", (7,), (4,))]
    check_vocab(items, 8)
    with pytest.raises(DataError, match="token id 7"):
        check_vocab(items, 7)


def test_fingerprints_tell_apart_what_differs() -> None:
    base = fake("a", (1, 2), (3,))
    assert fingerprint(base) == fingerprint(fake("b", (1, 2), (3,)))
    others = [
        fake("a", (1,), (2, 3)),
        fake("a", (1, 2), (4,)),
        fake("a", (12,), (3,)),
        fake("a", (1, 2), (3, 3)),
    ]
    assert len({fingerprint(item) for item in [base, *others]}) == 5
    x, y = fake("a", (1,), (2,)), fake("b", (3,), (4,))
    sets = [[x, y], [y, x], [x], [], [fake("c", (1,), (2,)), y]]
    assert len({data_fingerprint(items) for items in sets}) == len(sets)
    assert data_fingerprint(iter([x, y])) == data_fingerprint([x, y])


def test_fingerprints_are_stable_across_versions() -> None:
    """Written artifacts are keyed by them; the value is `printf 2:1,2,3 | sha256sum`."""
    expected = "7be6d2f744be092fbd34ff41a3f7baf5086622bed00aff784ba6eda864362c0e"
    assert fingerprint(fake("a", (1, 2), (3,))) == expected
