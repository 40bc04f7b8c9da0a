"""Which chat template writes the messages, and what it writes.

The tokenizer's own, a file that training had, or TRL's training template; with a clock that stands still.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from overmem.errors import DataError
from overmem.extras import needs_extra
from overmem.parsing import read_json_object, read_whole_text
from overmem.records import Message
from overmem.rendering.rendered import Tokenizer
from overmem.rendering.template import Template

TEMPLATE_DATE = datetime(2024, 7, 26)
"""The day that it is for chat templates which print one, so that a problem is the same tokens on every day:
that which Llama 3's template names where it knows none."""
_CODES = "aAbBdHIjmMpSyY"
MOST_CHARACTERS = 4 * 2**20
"""Of one example as a template writes it, as of a row of a file: a tokenizer takes minutes for more."""


def write_messages(
    tokenizer: Tokenizer, messages: Sequence[Message], example_id: str, variables: Mapping[str, Any]
) -> str:
    """Messages as the chat template writes them.

    Raises:
        DataError: the template refuses them, or writes more than a tokenizer can be given.
    """
    try:
        text: str = tokenizer.apply_chat_template(list(map(dict, messages)), tokenize=False, **variables)
    except Exception as error:  # Jinja errors, and raise_exception() inside templates
        roles = ", ".join(str(turn.get("role")) for turn in messages)
        raise DataError(
            f"the chat template refuses example `{example_id}`",
            got=f"{type(error).__name__}: {error}",
            expected=f"messages with roles it knows, found {roles}",
            next_step="check the template and the row; where training read other columns: --columns",
        ) from error
    if len(text) > MOST_CHARACTERS:
        raise DataError(
            f"the chat template writes too much of example `{example_id}`",
            got=f"{len(text):,} characters",
            expected=f"at most {MOST_CHARACTERS:,}",
            next_step="check the template, or name another: --chat-template FILE",
        )
    return text


def chat_template_text(tokenizer: Tokenizer, template: Template, *, with_tools: bool = False) -> str | None:
    """The chat template in use, with a clock that stands still where it asks for the time.

    With `assistant_only_loss`, TRL's training template stands in for one without generation markers, as in
    its trainer.

    Args:
        tokenizer: of the run.
        template: which may name a file.
        with_tools: the row has tools, for which some tokenizers have another template.

    Raises:
        DataError: a file that cannot be read, or a template for which TRL has no training template.
    """
    held = tokenizer.chat_template
    if isinstance(held, Mapping):  # several by name, of which transformers takes these
        held = held.get("tool_use" if with_tools and "tool_use" in held else "default")
    text: str | None = held
    if template.chat_template is not None:
        text = _read_chat_template(template.chat_template)
    if text and template.assistant_only_loss and not marks_assistant(text):
        text = _training_template(tokenizer, text)
    if not text or "strftime_now" not in text:
        return text
    # Functions given as arguments do not reach the template (transformers makes text of them); macros do.
    filled = "".join(f"|replace('%{code}', '{TEMPLATE_DATE.strftime('%' + code)}')" for code in _CODES)
    return "{% macro strftime_now(format) %}{{ format" + filled + " }}{% endmacro %}" + text


def marks_assistant(text: str) -> bool:
    """Whether a chat template marks what the assistant says (`{% generation %}`)."""
    return re.search(r"\{%-?\s*generation\s*-?%\}", text) is not None


def _training_template(tokenizer: Tokenizer, text: str) -> str:
    with needs_extra("train", "rendering by TRL's training templates (--assistant-only-loss)"):
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
            next_step="give the template of training (--chat-template), or leave out --assistant-only-loss",
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
        if place.is_dir() and not file.is_file():  # folders of older versions of transformers
            file = place / "tokenizer_config.json"
            return str(read_json_object(file)["chat_template"])
        return read_whole_text(file)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"cannot read the chat template {file}",
            got=str(error),
            expected="a Jinja file, or a folder with chat_template.jinja",
        ) from error
