"""Conversations to token ids, as TRL's SFTTrainer has them: one text, split where prompt and whole part.

Which tokens are scored is a mask: the completion, or every assistant turn that was trained.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from overmem.errors import DataError
from overmem.records import Example, Message
from overmem.tasks.rendered import Rendered, Tokenizer, common_prefix_length, from_mask, text_ids
from overmem.tasks.template import Template

TEMPLATE_DATE = datetime(2024, 7, 26)
"""The day that it is for chat templates which print one, so that a problem is the same tokens on every day:
that which Llama 3's template names where it knows none."""
_CODES = "aAbBdHIjmMpSyY"
_MARKS = ("Q7x", "z9K")
"""Two texts that differ in their first and last characters, to find where a turn's content stands."""


def render_chat(example: Example, tokenizer: Tokenizer, template: Template) -> Rendered:
    """Render one conversation.

    Args:
        example: the problem; a plain prompt is one user message.
        tokenizer: a transformers tokenizer, left unchanged.
        template: how it becomes text, and which turns are scored.

    Raises:
        DataError: no chat template, one that refuses the messages, or a turn that cannot be found in it.
    """
    written = Written(example, tokenizer, template)
    full, ids = written.full, written.ids
    asked_ids = text_ids(tokenizer, written.asked_text)
    start = common_prefix_length(asked_ids, ids)
    trained = [at >= start for at in range(len(ids))]
    if written.n_after:
        trained = [on and at < written.token_at(written.end_of_turn(written.last)) for at, on in enumerate(trained)]
    every_turn = example.chat.trains_every_turn and template.score == "trained"
    if template.assistant_only_loss:
        trained = [on and (every_turn or at >= start) for at, on in enumerate(written.assistant_mask)]
    elif every_turn:
        for turn in written.earlier_turns:
            span = range(written.token_at(written.start_of_turn(turn)), written.token_at(written.end_of_turn(turn)))
            trained = [on or at in span for at, on in enumerate(trained)]
    same = os.path.commonprefix([written.asked_text, full])
    return from_mask(
        example.id,
        ids,
        trained,
        asked_ids=asked_ids,
        last_turn=start,
        max_length=template.max_length,
        prompt_text=written.asked_text,
        completion_text=full[len(same) :],
    )


@dataclass(frozen=True)
class Written:
    """One conversation as its chat template writes it."""

    example: Example
    tokenizer: Tokenizer
    template: Template

    @cached_property
    def asked(self) -> list[Message]:
        """Messages of the prompt."""
        return _asked_messages(self.example, self.template)

    @cached_property
    def messages(self) -> list[Message]:
        """Prompt and reply."""
        return [*self.asked, *_reply(self.example, self.template)]

    @property
    def last(self) -> int:
        """Position of the last assistant turn."""
        return max(at for at, turn in enumerate(self.messages) if turn["role"] == "assistant")

    @property
    def n_after(self) -> int:
        """Messages after the last assistant turn."""
        return len(self.messages) - 1 - self.last

    @property
    def earlier_turns(self) -> list[int]:
        """Positions of the prompt's assistant turns."""
        return [at for at, turn in enumerate(self.asked) if turn["role"] == "assistant"]

    @cached_property
    def asked_text(self) -> str:
        """The prompt, with the generation prompt."""
        return self._write(self.asked, add_generation_prompt=True)

    @cached_property
    def full(self) -> str:
        """All of it."""
        return self._write(self.messages)

    @cached_property
    def ids(self) -> list[int]:
        """Tokens of all of it."""
        return text_ids(self.tokenizer, self.full)

    @cached_property
    def assistant_mask(self) -> list[bool]:
        """What the template itself marks as the assistant's (`{% generation %}`).

        Raises:
            DataError: it marks nothing.
        """
        read = self.tokenizer.apply_chat_template(
            self.messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True, **self._variables
        )
        mask = [bool(on) for on in read["assistant_masks"]]
        if list(read["input_ids"]) != self.ids or not any(mask):
            raise DataError(
                f"example `{self.example.id}`: the chat template marks no token as the assistant's",
                expected="{% generation %} around what the assistant says",
                next_step="leave out --assistant-only-loss, as training must have done",
            )
        return mask

    def token_at(self, char: int) -> int:
        """How many tokens lie before a character of `full`; a token across it is not before it."""
        return common_prefix_length(text_ids(self.tokenizer, self.full[:char]), self.ids)

    def start_of_turn(self, turn: int) -> int:
        """Character of `full` at which an assistant turn begins, its header left out."""
        before = self._write(self.messages[:turn], add_generation_prompt=True)
        if self.full.startswith(before):
            return len(before)
        # The template writes the past differently once more follows (it drops old reasoning, say).
        header = before.removeprefix(self._write(self.messages[:turn]))
        content = self._content(turn)[0]
        at = self.full.rfind(header, 0, content) if header != before else -1
        if at < 0:
            raise self._lost(turn)
        return at + len(header)

    def end_of_turn(self, turn: int) -> int:
        """Character of `full` at which an assistant turn ends, what closes it included."""
        upto = self._write(self.messages[: turn + 1])
        if self.full.startswith(upto):
            return len(upto)
        end = self._content(turn)[1]
        marked = self._write([*self.messages[:turn], {**self.messages[turn], "content": _MARKS[0]}])
        closing = marked[marked.rfind(_MARKS[0]) + len(_MARKS[0]) :]
        return end + len(os.path.commonprefix([closing, self.full[end:]]))

    def _content(self, turn: int) -> tuple[int, int]:
        """First and last character of a turn's content in `full`."""
        one, other = (
            self._write([*self.messages[:turn], {**self.messages[turn], "content": mark}, *self.messages[turn + 1 :]])
            for mark in _MARKS
        )
        start = len(os.path.commonprefix([one, other]))
        after = len(os.path.commonprefix([one[::-1], other[::-1]]))
        if not (self.full[:start] == one[:start] and self.full.endswith(one[len(one) - after :])):
            raise self._lost(turn)
        return start, len(self.full) - after

    def _lost(self, turn: int) -> DataError:
        return DataError(
            f"example `{self.example.id}`: cannot find turn {turn + 1} in what the chat template writes",
            expected="a template that writes the assistant's turns one after the other",
            next_step="score the last turn alone (--score last), or give the tokens themselves",
        )

    @cached_property
    def _variables(self) -> dict[str, Any]:
        text = chat_template_text(self.tokenizer, self.template)
        if not text:
            raise DataError(
                f"example `{self.example.id}` needs a chat template, and the tokenizer has none",
                next_step="use the tokenizer saved with the checkpoint, --chat-template FILE, or --template plain",
            )
        chat = self.example.chat
        tools = {"tools": [dict(tool) for tool in chat.tools]} if chat.tools else {}
        return {"chat_template": text, **tools, **self.template.chat_template_kwargs, **chat.template_kwargs}

    def _write(self, messages: Sequence[Message], **more: bool) -> str:
        return write_messages(self.tokenizer, messages, self.example.id, {**self._variables, **more})


def write_messages(
    tokenizer: Tokenizer, messages: Sequence[Message], example_id: str, variables: Mapping[str, Any]
) -> str:
    """Messages as the chat template writes them.

    Raises:
        DataError: the template refuses them.
    """
    try:
        text: str = tokenizer.apply_chat_template(list(map(dict, messages)), tokenize=False, **variables)
    except Exception as error:  # Jinja errors, and raise_exception() inside templates
        raise DataError(
            f"the chat template refuses example `{example_id}`",
            got=f"{type(error).__name__}: {error}",
            expected=f"messages with roles it knows, found {', '.join(str(m.get('role')) for m in messages)}",
        ) from error
    return text


def chat_template_text(tokenizer: Tokenizer, template: Template) -> str | None:
    """The chat template in use, with a clock that stands still where it asks for the time.

    With `assistant_only_loss`, TRL's training template stands in for one without generation markers, as in
    its trainer.

    Raises:
        DataError: a file that cannot be read, or a template for which TRL has no training template.
    """
    text = tokenizer.chat_template
    if template.chat_template is not None:
        text = _read_chat_template(template.chat_template)
    elif isinstance(text, dict):
        text = text.get("default")
    if text and template.assistant_only_loss and "generation" not in text:
        text = _training_template(tokenizer, text)
    if not text or "strftime_now" not in text:
        return text
    # Functions given as arguments do not reach the template (transformers makes text of them); macros do.
    filled = "".join(f"|replace('%{code}', '{TEMPLATE_DATE.strftime('%' + code)}')" for code in _CODES)
    return "{% macro strftime_now(format) %}{{ format" + filled + " }}{% endmacro %}" + text


def _training_template(tokenizer: Tokenizer, text: str) -> str:
    from trl.chat_template_utils import get_training_chat_template

    asked = copy.copy(tokenizer)
    asked.chat_template = text
    try:
        found: str | None = get_training_chat_template(asked)
    except ValueError as error:
        raise DataError(
            "TRL has no training template for this tokenizer's chat template",
            got="a chat template without {% generation %}",
            expected="one that TRL knows, as training with assistant_only_loss must have had",
            next_step="give the template that training had with --chat-template, or leave out --assistant-only-loss",
        ) from error
    return found or text


def _read_chat_template(path: str) -> str:
    """A Jinja file, or the template in a tokenizer's folder.

    Raises:
        DataError: there is none.
    """
    place = Path(path)
    file = place / "chat_template.jinja" if place.is_dir() else place
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot read the chat template {file}",
            got=str(error),
            expected="a Jinja file, or a folder with chat_template.jinja",
        ) from error


def _asked_messages(example: Example, template: Template) -> list[Message]:
    given = example.prompt
    turns: Sequence[Message] = ({"role": "user", "content": given},) if isinstance(given, str) else given
    messages = [dict(turn) for turn in turns]
    if asked := [turn for turn in messages if turn["role"] == "user"]:
        asked[-1]["content"] = template.prompt_format.replace("{prompt}", asked[-1]["content"])
    if template.system is None:
        return list(messages)
    if any(turn["role"] == "system" for turn in messages):
        raise DataError(
            f"example `{example.id}` has a system message of its own, and the template sets another",
            next_step="drop one of the two",
        )
    return [{"role": "system", "content": template.system}, *messages]


def _reply(example: Example, template: Template) -> list[Message]:
    """The answer's messages; the last assistant turn among them says the completion."""
    turns = list(example.chat.reply) or [{"role": "assistant", "content": example.completion}]
    last = max(at for at, turn in enumerate(turns) if turn["role"] == "assistant")
    content = template.completion_format.replace("{completion}", example.completion)
    if example.completion or "content" not in turns[last]:
        turns[last] = {**turns[last], "content": content}
    return turns
