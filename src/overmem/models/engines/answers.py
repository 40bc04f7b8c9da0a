"""What a server says, checked before anything is made of it.

An answer that is wrong in its form is refused whole, as `Invalid`: half of it would be graded as the
model's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from overmem.models.engines.dialect import CompletionRequest
from overmem.models.engines.transport import Invalid, Retryable, brief

ENDED = ("stop", "eos", "eos_token", "stop_sequence")
"""Values of `finish_reason` where the model stopped by itself: OpenAI's, and those of TGI and its kin."""
BROKEN_OFF = (None, "abort", "error", "content_filter")
"""Values where the answer is not whole; asking again may help."""
MOST_CHARS_A_TOKEN = 1024
"""More than any tokenizer's longest token; a longer answer has not kept to `max_tokens`."""
MOST_MODELS = 10_000
MOST_NAME_CHARS = 4096
LOGPROB_ROUNDING_NATS = 1e-4
"""A log-probability may be above 0 by so much, from rounding."""
LOWEST_LOGPROB_NATS = -1e5
"""Lower is a server's stand-in for p = 0, as llama.cpp's -3.4e38: the mean is not known then."""


@dataclass(frozen=True)
class ServedAnswer:
    """One answer of a server."""

    text: str
    n_tokens: int
    """As the server counts; -1 when it does not say."""
    finished: bool
    mean_logprob: float
    """Nats; NaN when the server gives no log-probabilities."""
    prompt_tokens: int | None
    """Tokens the server says the prompt had."""


def read_answer(answer: Mapping[str, Any], model: str, request: CompletionRequest) -> ServedAnswer:
    """The one choice of a completion, cut at its first stop.

    Args:
        answer: the server's JSON.
        model: the name that was asked for.
        request: what was asked.

    Raises:
        Invalid: it is not such a completion.
        Retryable: it was broken off.
    """
    check_model(answer.get("model"), model)
    choice = only_choice(answer.get("choices"))
    reason = choice.get("finish_reason")
    if reason in BROKEN_OFF:
        raise Retryable(f"an answer that was broken off (finish_reason {reason})")
    if reason != "length" and reason not in ENDED:
        raise Invalid(f"an answer with an unknown finish_reason, {brief(reason)}")
    text = _whole_text(choice.get("text"), MOST_CHARS_A_TOKEN * (request.max_new_tokens + 1))
    usage = answer.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    written = _count(usage, "completion_tokens")
    # Some count the token that ends the answer on top.
    if written is not None and written > request.max_new_tokens + 1:
        raise Invalid(f"an answer of {written} tokens, with max_tokens {request.max_new_tokens}")
    cut = min((at for stop in request.stop_texts if (at := text.find(stop)) >= 0), default=None)
    return ServedAnswer(
        text=text[:cut],
        n_tokens=-1 if written is None else written,
        finished=reason != "length" or cut is not None,
        mean_logprob=_mean_logprob(choice.get("logprobs")),
        prompt_tokens=_count(usage, "prompt_tokens"),
    )


def read_models(listed: Mapping[str, Any]) -> list[str]:
    """Names of the models that a server lists, those that could be a checkpoint's.

    Raises:
        Invalid: there are too many to be true.
    """
    records = listed.get("data")
    if not isinstance(records, list):
        return []
    if len(records) > MOST_MODELS:
        raise Invalid(f"a list of {len(records):,} models")
    names = [record.get("id") for record in records if isinstance(record, Mapping)]
    return [name for name in names if isinstance(name, str) and _is_name(name)]


def check_model(said: Any, asked: str) -> None:
    """Refuse the answer of another model; servers may add a revision, or name a path by its end.

    Raises:
        Invalid: it names another.
    """
    if said is None or said == asked:
        return
    if isinstance(said, str) and said:
        versioned = said.startswith((f"{asked}@", f"{asked}:"))
        if versioned or said.endswith(f"/{asked}") or asked.endswith(f"/{said}"):
            return
    raise Invalid(f"an answer of another model, {brief(said)}, where {asked} was asked for")


def only_choice(choices: Any) -> Mapping[str, Any]:
    """The one choice of a completion.

    Raises:
        Invalid: there is not exactly one.
    """
    if not isinstance(choices, list):
        raise Invalid("JSON that is no completion: it has no list of choices")
    if len(choices) != 1:
        raise Invalid(f"{len(choices)} choices where one was asked for")
    choice = choices[0]
    if not isinstance(choice, Mapping):
        raise Invalid("JSON that is no completion: its choice is no object")
    index = choice.get("index")
    if index is not None and (type(index) is not int or index != 0):
        raise Invalid(f"a choice with the index {brief(index)} where one was asked for")
    return choice


def _whole_text(text: Any, most_chars: int) -> str:
    if not isinstance(text, str):
        raise Invalid("JSON that is no completion: its choice has no text")
    if len(text) > most_chars:
        raise Invalid(f"a text of {len(text):,} characters, far more than max_tokens allows")
    if not _is_encodable(text):
        raise Invalid("a text with half a character in it (a lone surrogate)")
    return text


def _is_name(text: str) -> bool:
    return 0 < len(text) <= MOST_NAME_CHARS and "\0" not in text and _is_encodable(text)


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _count(usage: Mapping[str, Any], name: str) -> int | None:
    value = usage.get(name)
    if value is None:
        return None
    if type(value) is not int or not 0 <= value < 1 << 31:
        raise Invalid(f"a count that is none: {name} {brief(value)}")
    return value


def _mean_logprob(given: Any) -> float:
    """Of the tokens written: OpenAI's list of numbers, or llama.cpp's list of records."""
    if not isinstance(given, Mapping):
        return math.nan
    found = given.get("token_logprobs")
    if found is None and isinstance(given.get("content"), list):
        found = [token.get("logprob") for token in given["content"] if isinstance(token, Mapping)]
    if not isinstance(found, list) or not found:
        return math.nan
    for value in found:
        if value is not None and not isinstance(value, int | float):
            raise Invalid(f"a log-probability that is no number: {brief(value)}")
        if value is not None and value > LOGPROB_ROUNDING_NATS:
            raise Invalid(f"a log-probability above 0: {brief(value)}")
    if any(value is None or value < LOWEST_LOGPROB_NATS for value in found):
        return math.nan
    return math.fsum(min(value, 0.0) for value in found) / len(found)
