"""Conversations to token ids, as TRL's SFTTrainer has them: one text, split where prompt and whole part.

Which tokens are scored is a mask: the completion, or every assistant turn that was trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from overmem.errors import DataError
from overmem.records import Example, Message
from overmem.rendering.chat_template import chat_template_text, write_messages
from overmem.rendering.rendered import Rendered, Tokenizer, common_prefix_length, from_mask, text_ids
from overmem.rendering.template import Template

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
    if not example.chat.trains_every_turn:  # the completion, as TRL splits it
        spans = [range(common_prefix_length(asked_ids, ids), len(ids))]
    elif template.assistant_only_loss:
        spans = runs_of(written.assistant_mask)
    elif template.score == "last":
        spans = [written.span(written.last)]
    else:
        spans = [written.span(turn) for turn in (*written.earlier_turns, written.last)]
    scored = spans if template.score == "trained" else spans[-1:]
    trained = [any(at in span for span in scored) for at in range(len(ids))]
    if template.assistant_only_loss:
        trained = [on and marked for on, marked in zip(trained, written.assistant_mask, strict=True)]
    same = common_prefix_length(written.asked_text, full)
    return from_mask(
        example.id,
        ids,
        trained,
        asked_ids=asked_ids,
        last_turn=spans[-1].start,
        max_length=template.max_length,
        prompt_text=written.asked_text,
        completion_text=full[same:],
    )


def runs_of(mask: Sequence[bool]) -> list[range]:
    """The runs of True in a mask, in their order."""
    edges = [at for at in range(len(mask) + 1) if (at > 0 and mask[at - 1]) != (at < len(mask) and mask[at])]
    return [range(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


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
            self.messages,
            tokenize=True,
            return_dict=True,
            return_assistant_tokens_mask=True,
            **self._variables,
        )
        mask = [bool(on) for on in read["assistant_masks"]]
        if list(read["input_ids"]) != self.ids or not any(mask):
            raise DataError(
                f"example `{self.example.id}`: the chat template marks no token as the assistant's",
                expected="{% generation %} around what the assistant says",
                next_step="leave out --assistant-only-loss, as training must have done",
            )
        return mask

    def span(self, turn: int) -> range:
        """The tokens of an assistant turn; a token across its edge is the turn's."""
        after = text_ids(self.tokenizer, self.full[self._end_of(turn) :])
        before = text_ids(self.tokenizer, self.full[: self._start_of(turn)])
        stop = len(self.ids) - common_prefix_length(after[::-1], self.ids[::-1])
        return range(min(common_prefix_length(before, self.ids), stop), stop)

    def _start_of(self, turn: int) -> int:
        """Character of `full` at which an assistant turn begins, its header left out."""
        if turn:
            before = self._write(self.messages[:turn], add_generation_prompt=True)
            if self.full.startswith(before):
                return len(before)
        # The template writes what precedes otherwise once more follows: it drops old reasoning, say. The
        # header then stands between what was said before and the turn itself.
        stop = self._mark(turn)[0]
        if turn:
            start = self._mark(turn - 1)[1]
            header = self._after_mark(turn - 1, add_generation_prompt=True)
        else:
            header = self._write(self.messages, add_generation_prompt=True).removeprefix(self.full)
            start = self.full.find(header, 0, stop)
        if not 0 <= start <= stop:
            raise self._lost(turn)
        return start + common_prefix_length(header, self.full[start:stop])

    def _end_of(self, turn: int) -> int:
        """Character of `full` at which an assistant turn ends, what closes it included."""
        upto = self._write(self.messages[: turn + 1])
        if self.full.startswith(upto):
            return len(upto)
        end = self._mark(turn)[1]
        closing = self._after_mark(turn)
        return end + common_prefix_length(closing, self.full[end:])

    def _mark(self, turn: int) -> tuple[int, int]:
        """First and last character in `full` of what a turn says: its content, or its last call's name."""
        for one, other in zip(*(self._changed_texts(turn, mark) for mark in _MARKS), strict=True):
            if one is None or other is None or one == other:
                continue
            start = common_prefix_length(one, other)
            after = common_prefix_length(one[::-1], other[::-1])
            if self.full[:start] == one[:start] and self.full.endswith(one[len(one) - after :]):
                return start, len(self.full) - after
        raise self._lost(turn)

    def _after_mark(self, turn: int, **more: bool) -> str:
        """What the template writes after a turn's content where the conversation ends with that turn."""
        for text in self._changed_texts(turn, _MARKS[0], upto=turn + 1, **more):
            if text is not None and _MARKS[0] in text:
                return text[text.rfind(_MARKS[0]) + len(_MARKS[0]) :]
        raise self._lost(turn)

    def _changed_texts(self, turn: int, mark: str, upto: int | None = None, **more: bool) -> list[str | None]:
        """The conversation with a mark in a turn, in each way to put it there; None where that is refused."""
        said = self.messages[turn]
        changes = (_with_call, _with_content) if said.get("tool_calls") else (_with_content,)
        texts: list[str | None] = []
        for change in changes:
            messages = [*self.messages[:turn], change(said, mark), *self.messages[turn + 1 :]]
            try:
                texts.append(self._write(messages[:upto], **more))
            except DataError:  # content beside thinking, in some templates
                texts.append(None)
        return texts

    def _lost(self, turn: int) -> DataError:
        return DataError(
            f"example `{self.example.id}`: cannot find turn {turn + 1} in what the chat template writes",
            expected="a template that writes the assistant's turns one after the other",
            next_step="score the last turn alone (--score last), or give the tokens themselves",
        )

    @cached_property
    def _variables(self) -> dict[str, Any]:
        tools = self.example.chat.tools
        text = chat_template_text(self.tokenizer, self.template, with_tools=bool(tools))
        if not text:
            raise DataError(
                f"example `{self.example.id}` needs a chat template, and the tokenizer has none",
                next_step="use the tokenizer saved with the run, --chat-template FILE, or --template plain",
            )
        chat = self.example.chat
        given = {} if tools is None else {"tools": [dict(tool) for tool in tools]}
        return {"chat_template": text, **given, **self.template.chat_template_kwargs, **chat.template_kwargs}

    def _write(self, messages: Sequence[Message], **more: bool) -> str:
        variables = {**self._variables, **more}
        return write_messages(self.tokenizer, messages, self.example.id, variables)


def _with_content(turn: Message, text: str) -> Message:
    """A turn that says something else; what it thought before stays."""
    thought, closed, _ = str(turn.get("content") or "").rpartition("</think>")
    return {**turn, "content": thought + closed + text}


def _with_call(turn: Message, name: str) -> Message:
    """A turn whose last call goes to another tool."""
    *others, call = turn["tool_calls"]
    inner = {**call.get("function", call), "name": name}
    return {**turn, "tool_calls": [*others, {**call, "function": inner} if "function" in call else inner]}


def whole_conversation(example: Example) -> list[Message]:
    """All messages of an example: what was asked, and the reply."""
    prompt = example.prompt
    asked: list[Message] = (
        [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(map(dict, prompt))
    )
    reply = [dict(turn) for turn in example.chat.reply]
    return [*asked, *(reply or [{"role": "assistant", "content": example.completion}])]


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
