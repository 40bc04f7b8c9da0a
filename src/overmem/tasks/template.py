"""From an example to token ids: the one function by which training and auditing see text.

A likelihood measured on other tokens than those trained on means nothing, so trainer and audit both
call `render`, and its result can be shown (`--show-prompt`) and fingerprinted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from overmem.errors import DataError
from overmem.records import Example
from overmem.tasks.rendered import Rendered, Tokenizer

_KINDS = ("auto", "chat", "plain")
TEMPLATE_DATE = datetime(2024, 7, 26)
"""The day that it is for chat templates which print one, so that a problem is the same tokens on every day:
that which Llama 3's template names where it knows none."""
_CODES = "aAbBdHIjmMpSyY"


@dataclass(frozen=True, kw_only=True)
class Template:
    """How an example becomes text."""

    kind: Literal["auto", "chat", "plain"] = "auto"
    """`chat` uses the tokenizer's chat template, `plain` writes prompt then completion; `auto` is chat
    for chat messages and plain for strings."""
    prompt_format: str = "{prompt}"
    """Text around the question: the prompt string, or the last user message."""
    completion_format: str = "{completion}"
    """Text around the reference solution."""
    system: str | None = None
    """A system message to put first (chat only)."""
    eos: bool = True
    """Whether a plain completion ends with the end-of-sequence token; chat templates end turns themselves."""

    def __post_init__(self) -> None:
        """Refuse what could not be rendered.

        Raises:
            DataError: an unknown kind, a format without its field, or a system message in plain text.
        """
        if self.kind not in _KINDS:
            raise DataError("unknown template kind", got=self.kind, expected=", ".join(_KINDS))
        for name, text, field in (
            ("prompt_format", self.prompt_format, "{prompt}"),
            ("completion_format", self.completion_format, "{completion}"),
        ):
            if text.count(field) != 1:
                raise DataError(f"the template's {name} must contain {field} once", got=repr(text))
        if self.system is not None and self.kind == "plain":
            raise _no_system("plain text")


def render(example: Example, tokenizer: Tokenizer, template: Template) -> Rendered:
    """Render one example.

    Tokens are those of the joined text, as TRL's SFTTrainer tokenizes it, when the prompt's tokens
    are a prefix of them. Otherwise a token would straddle the boundary, and the two parts are
    tokenized apart so that generation starts from the very prompt that was trained on.

    Args:
        example: the problem.
        tokenizer: a transformers tokenizer, left unchanged.
        template: how it becomes text.

    Raises:
        DataError: no chat template, a chat template that refuses the messages or renders the prompt
            differently once an answer follows, or a completion without tokens.
    """
    is_chat = template.kind == "chat" or (template.kind == "auto" and not isinstance(example.prompt, str))
    if is_chat:
        prompt_text, completion_text = _chat_texts(example, tokenizer, template)
        special: list[int] = []
    else:
        prompt_text, completion_text = _plain_texts(example, template)
        special = _leading_special_ids(tokenizer, prompt_text)
    prompt_ids = _ids(tokenizer, prompt_text)
    joint_ids = _ids(tokenizer, prompt_text + completion_text)
    clean = joint_ids[: len(prompt_ids)] == prompt_ids
    completion_ids = joint_ids[len(prompt_ids) :] if clean else _ids(tokenizer, completion_text)
    if not is_chat and template.eos:
        completion_ids, completion_text = _with_eos(tokenizer, completion_ids, completion_text)
    if not completion_ids:
        raise DataError(
            f"example `{example.id}`: the completion has no tokens", got=repr(completion_text[:100])
        )
    return Rendered(
        example_id=example.id,
        prompt_ids=tuple(special + prompt_ids),
        completion_ids=tuple(completion_ids),
        prompt_text=_decode(tokenizer, special) + prompt_text,
        completion_text=completion_text,
        clean_boundary=clean,
    )


def _plain_texts(example: Example, template: Template) -> tuple[str, str]:
    if template.system is not None:
        raise _no_system(f"plain text (example `{example.id}`)")
    prompt = example.prompt
    if not isinstance(prompt, str):
        if len(prompt) != 1:
            raise DataError(
                f"example `{example.id}` has {len(prompt)} chat messages, which have no plain form",
                expected="one message, or the template kind `chat`",
            )
        prompt = prompt[0]["content"]
    return _filled(template.prompt_format, "{prompt}", prompt), _filled_completion(example, template)


def _chat_texts(example: Example, tokenizer: Tokenizer, template: Template) -> tuple[str, str]:
    """Prompt with the generation prompt, and what the template appends once the answer follows."""
    if not getattr(tokenizer, "chat_template", None):
        raise DataError(
            f"example `{example.id}` needs a chat template, and the tokenizer has none",
            next_step="use the tokenizer saved with the checkpoint, or the template kind `plain`",
        )
    messages = _chat_messages(example, template)
    turn = {"role": "assistant", "content": _filled_completion(example, template)}
    try:
        day = _fixed_date_template(tokenizer)
        prompt: str = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, **day
        )
        full: str = tokenizer.apply_chat_template([*messages, turn], tokenize=False, **day)
    except Exception as error:  # Jinja errors, and raise_exception() inside templates
        raise DataError(
            f"the tokenizer's chat template refuses example `{example.id}`",
            got=f"{type(error).__name__}: {error}",
            expected=f"messages with roles it knows, found {', '.join(m['role'] for m in messages)}",
        ) from error
    if not full.startswith(prompt):
        at = next((i for i, char in enumerate(prompt) if not full.startswith(char, i)), len(prompt))
        raise DataError(
            f"the chat template renders example `{example.id}`'s prompt differently once an answer follows",
            got=f"...{full[max(at - 20, 0) : at + 40]!r}, with the answer (they part at character {at})",
            expected=f"...{prompt[max(at - 20, 0) : at + 40]!r}, the prompt alone",
            next_step="use a chat template that keeps the prompt as it is, or give plain text",
        )
    return prompt, full[len(prompt) :]


def _fixed_date_template(tokenizer: Tokenizer) -> dict[str, str]:
    """The chat template with a clock that stands still, where it asks for the time."""
    text = tokenizer.get_chat_template()
    if "strftime_now" not in text:
        return {}
    # Functions given as arguments do not reach the template (transformers makes text of them); macros do.
    filled = "".join(f"|replace('%{code}', '{TEMPLATE_DATE.strftime('%' + code)}')" for code in _CODES)
    return {
        "chat_template": "{% macro strftime_now(format) %}{{ format" + filled + " }}{% endmacro %}" + text
    }


def _chat_messages(example: Example, template: Template) -> list[dict[str, str]]:
    given = example.prompt
    turns = ({"role": "user", "content": given},) if isinstance(given, str) else given
    messages = [dict(turn) for turn in turns]
    if asked := [turn for turn in messages if turn["role"] == "user"]:
        asked[-1]["content"] = _filled(template.prompt_format, "{prompt}", asked[-1]["content"])
    if template.system is None:
        return messages
    if any(turn["role"] == "system" for turn in messages):
        raise DataError(
            f"example `{example.id}` has a system message of its own, and the template sets another",
            next_step="drop one of the two",
        )
    return [{"role": "system", "content": template.system}, *messages]


def _filled(text: str, field: str, value: str) -> str:
    return text.replace(field, value)  # not str.format: the user's text may hold braces


def _filled_completion(example: Example, template: Template) -> str:
    return _filled(template.completion_format, "{completion}", example.completion)


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _leading_special_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """What the tokenizer puts before a text (BOS), unless the text already starts with it.

    What it would put after a text is left out: the completion's end is the template's business.
    """
    bare, full = _ids(tokenizer, text), list(tokenizer(text)["input_ids"])
    extra = len(full) - len(bare)
    start = next((k for k in range(extra + 1) if full[k : k + len(bare)] == bare), 0)
    leading = full[:start]
    return [] if bare[: len(leading)] == leading else leading


def _with_eos(tokenizer: Tokenizer, ids: list[int], text: str) -> tuple[list[int], str]:
    eos = tokenizer.eos_token_id
    if eos is None:
        raise DataError(
            "the template ends completions with the end-of-sequence token, and the tokenizer has none",
            next_step="set the template's eos to false",
        )
    return (ids, text) if ids and ids[-1] == eos else ([*ids, eos], text + str(tokenizer.eos_token))


def _decode(tokenizer: Tokenizer, ids: list[int]) -> str:
    return "".join(tokenizer.convert_ids_to_tokens(ids)) if ids else ""


def _no_system(where: str) -> DataError:
    return DataError(
        f"the template sets a system message, which has no place in {where}",
        next_step="use the template kind `chat`, or write it into prompt_format",
    )
