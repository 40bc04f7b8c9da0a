"""Set the reasoning that a model writes before its answer apart, so that no grader reads it as the answer.

Reasoning tries numbers, letters and whole programs that it then drops. Only what follows its end is the
answer, and where it never ends there is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAMES = r"think|thinking|thought|thoughts|reasoning|reason|analysis|scratchpad|seed:think|cot"
_MARK = re.compile(
    rf"(?P<open><(?:{_NAMES})(?:[ \t][^<>\n]*)?>|\[THINK\]|◁think▷|<\|(?:begin_of_thought|START_THINKING"
    r"|begin_of_thinking|start_of_thought|think)\|>|<\|im_start\|>think\b)"
    rf"|(?P<close></(?:{_NAMES})[ \t]*>|\[/THINK\]|◁/think▷|<\|(?:end_of_thought|END_THINKING|end_of_thinking"
    r"|/think)\|>)"
    r"|(?P<final><\|channel\|>[ \t]*final\b[^<\n]*<\|message\|>|<\|begin_of_solution\|>"
    r"|<\|im_start\|>answer\b)"
    r"|(?P<channel><\|channel\|>[ \t]*(?:analysis|commentary)\b[^<\n]*<\|message\|>)",
    re.I,
)
"""Where reasoning begins and ends, and where an answer begins, in the forms of the common model families."""
_TAIL = re.compile(
    r"<\|(?:end_of_solution|return|end|im_end|eot_id|eot|endoftext|END_RESPONSE)\|>|<end_of_turn>|</s>", re.I
)
_NEXT_TURN = re.compile(
    r"<\|(?:endoftext|return|END_RESPONSE)\|>|</s>(?=\s*(?:\Z|<s>|\[INST\]))"
    r"|(?:<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>|<\|(?=user\|>))\s*user\b",
    re.I,
)
"""What stands behind is no part of an answer: another turn, or text after the end."""
_HAS_MARK = re.compile(r"</?[A-Za-z|]|\[/?THINK|◁")


@dataclass(frozen=True)
class Response:
    """What a model wrote, without its reasoning."""

    answer: str
    """What follows the reasoning, its indentation kept; all of it where there is none, empty where it never
    ends."""
    unfinished: bool
    """The reasoning began and never ended, as when the text was cut: there is no answer."""


def split_reasoning(text: str, *, opened: bool = False) -> Response:
    """Set reasoning apart from the answer.

    Known are the tags `<think>`, `<thinking>`, `<thought>`, `<reasoning>`, `<seed:think>` and their like,
    `[THINK]`, `◁think▷`, `<|begin_of_thought|>` with `<|begin_of_solution|>`, and the channels `analysis` and
    `final`. A closing mark alone ends reasoning that the prompt began.

    Args:
        text: what the model wrote after the prompt; anything at all.
        opened: the prompt ends with an opening mark, so that a text without a closing one is unfinished.
    """
    if not opened and not _HAS_MARK.search(text):
        return Response(text, unfinished=False)
    text = _TAIL.sub("", _own_turn(text))
    start, depth, seen = 0, int(opened), opened
    for mark in _MARK.finditer(text):
        if text[mark.start() - 1 : mark.start()] in ("'", '"', "`"):
            continue  # spoken of, as in code
        seen = True
        if mark["final"] is not None or mark["close"] is not None:
            start, depth = mark.end(), 0
        elif not depth:
            depth = 1
            if text[start : mark.start()].strip() and not text[mark.end() :].strip():
                return Response(text[start : mark.start()], unfinished=False)
    if depth:
        return Response("", unfinished=True)
    answer = text[start:]
    if not seen:
        return Response(answer, unfinished=False)
    answer = answer.rstrip()
    return Response(re.sub(r"\A[ \t]*(?:\n[ \t]*)*\n", "", answer), unfinished=False)


def is_mark(token: str) -> bool:
    """Whether a token is, or is part of, a mark between reasoning and answer: text that a grader needs."""
    return token in ("<|channel|>", "<|message|>") or _MARK.fullmatch(token) is not None


def _own_turn(text: str) -> str:
    """A text up to the next turn, which a model writes where it does not stop at its own end."""
    for mark in _NEXT_TURN.finditer(text):
        if text[: mark.start()].strip() and text[mark.start() - 1 : mark.start()] not in ("'", '"', "`"):
            return text[: mark.start()]
    return text


def opens_reasoning(prompt: str) -> bool:
    """Whether a prompt ends with the mark that opens reasoning, as some chat templates write it."""
    tail = prompt[-200:].rstrip()
    if tail[-1:] not in (">", "]", "▷"):
        return False
    opened = [mark for mark in _MARK.finditer(tail) if mark["open"] is not None]
    return bool(opened) and opened[-1].end() == len(tail)
