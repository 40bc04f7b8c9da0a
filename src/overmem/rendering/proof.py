"""The proof of what is scored: the ids of one example, how they came about, and what speaks against them.

Shown before a model is loaded. A likelihood of other tokens than training's means nothing, and the eye finds
what no rule does.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from overmem.errors import DataError
from overmem.records import Example, Message
from overmem.rendering.chat import whole_conversation
from overmem.rendering.chat_template import chat_template_text, marks_assistant, write_messages
from overmem.rendering.rendered import Rendered, Tokenizer, common_prefix_length, special_ids
from overmem.rendering.template import Template

CHECKED = 1000
"""Rows that are looked at for warnings."""
_CONTEXT = 12
"""Ids shown of a run of tokens that are not scored, from its end."""


def preview(example: Example, rendered: Rendered, tokenizer: Tokenizer, template: Template) -> str:
    """One example as it is scored: template, text and ids.

    Args:
        example: the first one, say.
        rendered: what became of it.
        tokenizer: of the run.
        template: that rendered it.
    """
    n_scored = sum(rendered.scored_mask)
    return "\n".join(
        (
            f"template: {template_text(example, tokenizer, template)}",
            f"special tokens: {_special_text(rendered, tokenizer)}",
            f"scored: {n_scored} of {len(rendered)} tokens; the others are context",
            "",
            f"=== example {rendered.example_id}: prompt, {len(rendered.question_ids)} tokens ===",
            rendered.prompt_text,
            f"=== its reference, {len(rendered.answer_ids)} tokens ===",
            rendered.completion_text,
            "=== ids: not scored [ ], scored [*] ===",
            *_id_lines(rendered, tokenizer),
        )
    )


def template_text(example: Example, tokenizer: Tokenizer, template: Template) -> str:
    """Which template made the tokens, and why that one."""
    if template.renderer is not None:
        return f"{template.kind}, as --template says"
    if example.tokens is not None:
        return "none: the rows are already tokenized"
    is_chat = template.kind == "chat" or (template.kind == "auto" and not isinstance(example.prompt, str))
    why = (
        "as --template says"
        if template.kind != "auto"
        else "the rows are " + ("chat messages" if is_chat else "strings")
    )
    if not is_chat:
        end = "then the end-of-sequence token" if template.eos else "with nothing at the end"
        return f"prompt and completion as one text, {end} ({why})"
    if template.chat_template is not None:
        whose = f"the chat template {template.chat_template}"
    elif template.assistant_only_loss and not marks_assistant(tokenizer.chat_template or ""):
        whose = "TRL's training template for this tokenizer"
    else:
        whose = "the tokenizer's chat template"
    told = {**template.chat_template_kwargs, **example.chat.template_kwargs}
    with_ = f", with {', '.join(f'{name}={value!r}' for name, value in told.items())}" if told else ""
    turns = (
        "every assistant turn"
        if example.chat.trains_every_turn and template.score == "trained"
        else "the last"
    )
    return f"{whose} ({why}){with_}; scored: {turns}"


def warnings_of(example: Example, rendered: Rendered, tokenizer: Tokenizer, template: Template) -> list[str]:
    """What speaks against the tokens of an example being those of training, in plain words."""
    found = [kind(example, rendered, tokenizer, template) for kind in _KINDS]
    return [text for text in found if text is not None]


def warnings_of_all(
    examples: Sequence[Example], rendered: Sequence[Rendered], tokenizer: Tokenizer, template: Template
) -> tuple[str, ...]:
    """The warnings of many rows: each kind once, in the words of the first, with how many rows it holds for.

    Args:
        examples: the rows; the first CHECKED of them are looked at.
        rendered: what became of each.
        tokenizer: of the run.
        template: that rendered them.
    """
    pairs = list(zip(examples[:CHECKED], rendered[:CHECKED], strict=True))
    told = []
    for kind in _KINDS:
        texts = [text for pair in pairs if (text := kind(*pair, tokenizer, template)) is not None]
        if texts:
            told.append(f"{len(texts)} of {len(pairs)} rows: {texts[0]}")
    return tuple(told)


def _boundary_warning(
    example: Example, rendered: Rendered, tokenizer: Tokenizer, template: Template
) -> str | None:
    asks_nothing = example.tokens is not None and not example.tokens.has_question
    if rendered.clean_boundary or asks_nothing or example.prompt == "":
        return None
    trained = rendered.input_ids[: len(rendered.prompt_ids) + rendered.last_turn]
    same = common_prefix_length(rendered.question_ids, trained)
    lost = tokenizer.decode(rendered.question_ids[same:])
    return (
        f"the end of the prompt, {lost!r}, was trained as other tokens than it is asked with: a token lies"
        " across the boundary, or the chat template writes the prompt differently once an answer follows."
        " Scored are the trained tokens; answers are written after the prompt alone, as when it is served"
    )


def _repair_warning(
    example: Example, rendered: Rendered, tokenizer: Tokenizer, template: Template
) -> str | None:
    """What a trainer's template makes of messages that were read more kindly than they are written."""
    written = example.chat.as_written
    if written is None or example.tokens is not None or template.renderer is not None:
        return None
    kind = _kindness(example, written)
    text = chat_template_text(tokenizer, template)
    try:
        raw = write_messages(tokenizer, written, example.id, {"chat_template": text} if text else {})
    except DataError as error:
        return f"{kind}. TRL takes the messages as they are written, and fails on these ({error.got})"
    passed = f"{kind}. TRL takes the messages as they are written, and this chat template"
    reply = example.completion.strip()
    if reply and reply not in raw:
        return f"{passed} then leaves the answer out: if TRL was given these rows, it trained on none of it"
    ours = write_messages(
        tokenizer, whole_conversation(example), example.id, {"chat_template": text} if text else {}
    )
    if ours == raw:
        return None
    return f"{passed} then writes another text; compare with --check-tokens if TRL was given these rows"


def _kindness(example: Example, written: Sequence[Message]) -> str:
    """What was read in another way than it is written."""
    asked = () if isinstance(example.prompt, str) else example.prompt
    has_system, wrote_one = (any(turn["role"] == "system" for turn in turns) for turns in (asked, written))
    if has_system and not wrote_one:
        return "the column `system` stands before the messages, as LLaMA-Factory and Axolotl put it"
    roles = ", ".join(sorted({str(turn["role"]) for turn in written}))
    parts = ", and content in parts" if any(isinstance(turn["content"], list) for turn in written) else ""
    return f"the messages have the roles {roles}{parts}, read here as user and assistant"


def _doubled_warning(
    example: Example, rendered: Rendered, tokenizer: Tokenizer, template: Template
) -> str | None:
    first = rendered.input_ids[:2]
    if tokenizer.bos_token_id is None or first != (tokenizer.bos_token_id,) * 2:
        return None
    bos = tokenizer.bos_token
    return f"the sequence begins with {bos} twice: the text has one, and the tokenizer adds one"


def _date_warning(
    example: Example, rendered: Rendered, tokenizer: Tokenizer, template: Template
) -> str | None:
    if example.tokens is not None or template.renderer is not None:
        return None
    if isinstance(example.prompt, str) and template.kind != "chat":
        return None
    if "macro strftime_now" not in (chat_template_text(tokenizer, template) or ""):
        return None
    return (
        "the chat template writes today's date; here it is always 26 Jul 2024, while training had the day it"
        " ran. Give that date in --chat-template-kwargs where the template takes one (date_string)"
    )


def _unended_warning(
    example: Example, rendered: Rendered, tokenizer: Tokenizer, template: Template
) -> str | None:
    tail = rendered.completion_ids[-2:]
    if not tail or special_ids(tokenizer) & set(tail):
        return None
    return "no end-of-sequence or end-of-turn token is scored at the end: was the model trained to stop?"


def _no_question_warning(
    example: Example, rendered: Rendered, tokenizer: Tokenizer, template: Template
) -> str | None:
    if example.tokens is None or example.tokens.has_question:
        return None
    return (
        "every token was trained, so that nothing tells a question from its answer: prompts are scored too,"
        " and no answer is asked for; a mask (`completion_mask`, `assistant_masks`) or `labels` would tell"
    )


_KINDS = (
    _no_question_warning,
    _boundary_warning,
    _repair_warning,
    _doubled_warning,
    _date_warning,
    _unended_warning,
)


def _special_text(rendered: Rendered, tokenizer: Tokenizer) -> str:
    special = special_ids(tokenizer)
    names = [tokenizer.convert_ids_to_tokens(i) for i in rendered.input_ids if i in special]
    counted = {name: names.count(name) for name in dict.fromkeys(names)}
    return ", ".join(name if n == 1 else f"{name} x{n}" for name, n in counted.items()) or "none"


def _id_lines(rendered: Rendered, tokenizer: Tokenizer) -> list[str]:
    mask = (False,) * len(rendered.prompt_ids) + rendered.scored_mask
    lines = []
    for scored, run in groupby(zip(mask, rendered.input_ids, strict=True), key=lambda pair: pair[0]):
        ids = [i for _, i in run]
        shown: Sequence[int] = ids if scored else ids[-_CONTEXT:]
        more = "" if len(shown) == len(ids) else f"({len(ids) - len(shown)} more) ... "
        lines.append(f"[{'*' if scored else ' '}] {len(ids)} tokens: {more}{token_text(tokenizer, shown)}")
    return lines


def token_text(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """A few ids with their text, for messages."""
    return " ".join(f"{i}:{tokenizer.decode([i])!r}" for i in ids)
