"""How an example becomes text: the template's options, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from overmem.errors import DataError

KINDS = ("auto", "chat", "plain")
RENDERERS = ("llamafactory", "axolotl", "python")
"""Whose code may render in our place: the word before the colon of a kind."""


@dataclass(frozen=True, kw_only=True)
class Template:
    """How an example becomes text, and which of its tokens are scored."""

    kind: str = "auto"
    """`chat` uses the tokenizer's chat template, `plain` writes prompt then completion; `auto` is chat
    for chat messages and plain for strings. `llamafactory:NAME`, `axolotl:CONFIG` and
    `python:FILE.py:function`
    (see `overmem.own_functions`) call other code, which gives the tokens."""
    prompt_format: str = "{prompt}"
    """Text around the question: the prompt string, or the last user message."""
    completion_format: str = "{completion}"
    """Text around the reference solution."""
    system: str | None = None
    """A system message to put first (chat only)."""
    eos: bool = True
    """Whether a plain completion ends with the end-of-sequence token; chat templates end turns themselves."""
    score: Literal["trained", "last"] = "trained"
    """Which assistant turns of `messages` are scored: every one, as they were trained, or the last."""
    chat_template: str | None = None
    """A Jinja file, or a tokenizer's folder, whose chat template training had in place of the tokenizer's."""
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Variables for the chat template, such as `enable_thinking`; a row's own go before them."""
    assistant_only_loss: bool = False
    """Training took its loss on what the chat template marks as the assistant's, as TRL's option says."""
    max_length: int | None = None
    """Training cut its rows after so many tokens; what it cut is not scored."""

    def __post_init__(self) -> None:
        """Refuse what could not be rendered.

        Raises:
            DataError: an unknown kind, a format without its field, or a system message in plain text.
        """
        if self.kind not in KINDS and self.renderer is None:
            raise DataError(
                "unknown template kind",
                got=self.kind,
                expected=f"{', '.join(KINDS)}, llamafactory:NAME, axolotl:CONFIG or python:FILE.py:function",
            )
        for name, text, wanted in (
            ("prompt_format", self.prompt_format, "{prompt}"),
            ("completion_format", self.completion_format, "{completion}"),
        ):
            if text.count(wanted) != 1:
                raise DataError(f"the template's {name} must contain {wanted} once", got=repr(text))
        if self.system is not None and self.kind == "plain":
            raise no_system("plain text")
        if self.score not in ("trained", "last"):
            raise DataError("unknown choice of what is scored", got=self.score, expected="trained or last")
        if self.max_length is not None and self.max_length < 2:
            raise DataError("max_length must be at least 2", got=self.max_length)
        if not isinstance(self.chat_template_kwargs, Mapping):
            raise DataError(
                "chat_template_kwargs is not a record", got=repr(self.chat_template_kwargs), expected="{...}"
            )

    @property
    def renderer(self) -> str | None:
        """Whose code renders, where it is not ours."""
        name, colon, detail = self.kind.partition(":")
        return name if name in RENDERERS and colon and detail else None


def no_system(where: str) -> DataError:
    """The error of a system message that has no place."""
    return DataError(
        f"the template sets a system message, which has no place in {where}",
        next_step="use the template kind `chat`, or write it into prompt_format",
    )
