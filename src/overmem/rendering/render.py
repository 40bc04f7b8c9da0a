"""From an example to token ids: the one function by which training and auditing see text.

A likelihood measured on other tokens than those trained on means nothing, so trainer and audit both
call `render`, and its result can be shown (`--show-prompt`) and fingerprinted.
"""

from __future__ import annotations

from collections.abc import Sequence

from overmem.errors import DataError
from overmem.records import Example
from overmem.rendering.chat import render_chat
from overmem.rendering.elsewhere import render_elsewhere
from overmem.rendering.rendered import Rendered, Tokenizer, common_prefix_length, from_mask, text_ids
from overmem.rendering.template import Template, no_system


def render(example: Example, tokenizer: Tokenizer, template: Template) -> Rendered:
    """Render one example.

    Tokens are those of the joined text, and the completion starts where they part from those of the prompt
    alone, as in TRL's SFTTrainer: a token across the boundary is the completion's. Answers are written after
    the prompt's own tokens, as they are when it is served.

    Args:
        example: the problem; one that is already tokenized is taken as it is.
        tokenizer: a transformers tokenizer, left unchanged.
        template: how it becomes text.

    Raises:
        DataError: no chat template, or one that refuses the messages, or a completion without tokens.
    """
    if example.tokens is not None:
        found = _render_tokens(example, tokenizer, template)
    elif template.kind == "chat" or (template.kind == "auto" and not isinstance(example.prompt, str)):
        found = render_chat(example, tokenizer, template)
    else:
        found = _render_plain(example, tokenizer, template)
    if not found.completion_ids and template.max_length is None:
        raise DataError(
            f"example `{example.id}`: the completion has no tokens",
            got=repr(found.completion_text[:100]),
            expected="at least one token that training took its loss on",
        )
    return found


def render_all(examples: Sequence[Example], tokenizer: Tokenizer, template: Template) -> tuple[Rendered, ...]:
    """Render examples, by another framework's code where the template says so.

    Args:
        examples: the problems.
        tokenizer: a transformers tokenizer, left unchanged.
        template: how they become text.

    Raises:
        DataError: as `render`, or a framework that is missing or fails.
    """
    if template.renderer is not None:
        examples = render_elsewhere(examples, tokenizer, template)
    return tuple(render(example, tokenizer, template) for example in examples)


def _render_tokens(example: Example, tokenizer: Tokenizer, template: Template) -> Rendered:
    assert example.tokens is not None
    ids, trained = example.tokens.input_ids, example.tokens.trained
    start = example.tokens.answer_start
    if template.score == "last":
        trained = tuple(on and at >= start for at, on in enumerate(trained))
    return from_mask(
        example.id,
        ids,
        trained,
        asked_ids=ids[:start],
        last_turn=start,
        max_length=template.max_length,
        prompt_text=tokenizer.decode(ids[:start]),
        completion_text=tokenizer.decode(ids[start:]),
    )


def _render_plain(example: Example, tokenizer: Tokenizer, template: Template) -> Rendered:
    prompt, completion = _plain_texts(example, template)
    if template.eos:
        if tokenizer.eos_token is None:
            raise DataError(
                "the template ends completions with the end-of-sequence token, and the tokenizer has none",
                next_step="set the template's eos to false",
            )
        if not completion.endswith(tokenizer.eos_token):
            completion += tokenizer.eos_token
    before, after = _added_around(tokenizer)
    ids = list(tokenizer(prompt + completion)["input_ids"])
    asked_ids = list(tokenizer(prompt)["input_ids"])
    if after:
        asked_ids = asked_ids[: -len(after)]
        ids = ids if template.eos else ids[: -len(after)]
    start = common_prefix_length(asked_ids, ids)
    return from_mask(
        example.id,
        ids,
        [at >= start for at in range(len(ids))],
        asked_ids=asked_ids,
        last_turn=start,
        max_length=template.max_length,
        prompt_text="".join(tokenizer.convert_ids_to_tokens(before)) + prompt,
        completion_text=completion,
    )


def _plain_texts(example: Example, template: Template) -> tuple[str, str]:
    if template.system is not None:
        raise no_system(f"plain text (example `{example.id}`)")
    prompt = example.prompt
    if not isinstance(prompt, str):
        if len(prompt) != 1 or example.chat.reply:
            raise DataError(
                f"example `{example.id}` has {len(prompt)} chat messages, which have no plain form",
                expected="one message of text, or the template kind `chat`",
            )
        prompt = prompt[0]["content"]
    return (
        template.prompt_format.replace("{prompt}", prompt),  # not str.format: the text may hold braces
        template.completion_format.replace("{completion}", example.completion),
    )


def _added_around(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """What the tokenizer puts before a text of itself (BOS), and after one (EOS)."""
    bare, full = text_ids(tokenizer, "a"), list(tokenizer("a")["input_ids"])
    start = next((at for at in range(len(full)) if full[at : at + len(bare)] == bare), 0)
    return full[:start], full[start + len(bare) :]
