"""How completions are asked for: the ways in which servers differ, as pure functions.

All of them take `prompt`, `max_tokens` and `seed`. They differ in whether a prompt may be token ids, and in
how one says that an answer ends at given tokens and is drawn from the whole distribution. The latter
matters: many servers otherwise take top_k, top_p or a repetition penalty from the checkpoint's
generation_config.json, or have defaults of their own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from overmem.errors import EngineError

MOST_STOPS = 4
"""Stop strings that OpenAI's API allows."""


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """What requests one server takes and how it answers."""

    prompts: Literal["token ids", "text"]
    sampling: Literal["extended", "generation_config", "plain"]
    """`extended`: vLLM's parameters, which SGLang and llama.cpp share or ignore; `generation_config`: as
    transformers serve takes it; `plain`: OpenAI's own."""
    logprobs: bool = False
    """Whether the server gives log-probabilities of the tokens it writes."""


DIALECTS = (
    Dialect(prompts="token ids", sampling="extended"),
    Dialect(prompts="text", sampling="extended"),
    Dialect(prompts="text", sampling="generation_config"),
    Dialect(prompts="token ids", sampling="plain"),
    Dialect(prompts="text", sampling="plain"),
)
"""In the order they are tried; the exact ones first."""


@dataclass(frozen=True, kw_only=True)
class CompletionRequest:
    """One answer that is wanted."""

    ids: tuple[int, ...]
    """Of the prompt."""
    text: str | None
    """The prompt as text, when the server is to tokenize it."""
    max_new_tokens: int
    temperature: float
    """0 is greedy."""
    seed: int | None
    stop_ids: tuple[int, ...]
    stop_texts: tuple[str, ...]
    """The same tokens as text."""


def completion_request(
    dialect: Dialect,
    prompt: Sequence[int],
    tokenizer: Any,
    stops: Sequence[int],
    max_new_tokens: int,
    *,
    temperature: float,
    seed: int | None,
) -> CompletionRequest:
    """What to ask a server for, with all that its dialect may need.

    Args:
        dialect: of the server.
        prompt: token ids.
        tokenizer: of the run.
        stops: token ids that end the answer.
        max_new_tokens: most tokens of the answer.
        temperature: 0 is greedy.
        seed: of a sample; None for a greedy answer.

    Raises:
        EngineError: the server takes texts, and none stands for the prompt.
    """
    return CompletionRequest(
        ids=tuple(prompt),
        text=None if dialect.prompts == "token ids" else prompt_text(tokenizer, prompt),
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        seed=seed,
        stop_ids=tuple(stops),
        stop_texts=tuple(text for stop in stops if (text := str(tokenizer.decode([stop])))),
    )


def prompt_text(tokenizer: Any, ids: Sequence[int]) -> str:
    """A text of which the tokenizer, used as servers use it, makes exactly these ids.

    Servers add what the tokenizer adds by itself (a BOS token), so a leading special token may have to be
    left out of the text.

    Raises:
        EngineError: there is none; the prompt can only be sent as token ids.
    """
    for start in (0, 1):
        text = str(tokenizer.decode(list(ids[start:]), clean_up_tokenization_spaces=False))
        if list(tokenizer(text)["input_ids"]) == list(ids):
            return text
    raise EngineError(
        "a prompt cannot be sent as text: the server would make other tokens of it",
        got=repr(str(tokenizer.decode(list(ids)))[:80]),
        expected="a text whose tokens are the ones that training saw",
        next_step="use a server that takes token ids (vLLM, SGLang, llama.cpp), or --engine hf",
    )


def scoring_body(model: str, ids: Sequence[int], beside: int) -> dict[str, Any]:
    """The JSON that asks for ln p of a prompt's own tokens, as vLLM's servers take it.

    Args:
        model: as the server calls it.
        ids: of the prompt.
        beside: likeliest tokens that come beside each.
    """
    return {
        "model": model,
        "prompt": list(ids),
        "max_tokens": 1,
        "temperature": 0.0,
        "stream": False,
        "prompt_logprobs": beside,
    }


def request_body(dialect: Dialect, model: str, request: CompletionRequest) -> dict[str, Any]:
    """The JSON that asks for one answer."""
    body: dict[str, Any] = {
        "model": model,
        "prompt": list(request.ids) if dialect.prompts == "token ids" else request.text,
        "max_tokens": request.max_new_tokens,
    }
    if request.seed is not None:
        body["seed"] = request.seed
    if dialect.logprobs:
        body["logprobs"] = 1
    if dialect.sampling == "generation_config":
        # A setting left out here would be taken from the checkpoint's own.
        settings = {
            "do_sample": request.temperature > 0,
            "top_k": 0,
            "top_p": 1.0,
            "repetition_penalty": 1.0,
            "no_repeat_ngram_size": 0,
            "min_new_tokens": 0,
            "num_beams": 1,
            "eos_token_id": list(request.stop_ids),
            "pad_token_id": request.stop_ids[0] if request.stop_ids else 0,
        }
        if request.temperature > 0:
            settings["temperature"] = request.temperature
        return body | {"generation_config": json.dumps(settings)}
    body |= {"temperature": request.temperature, "top_p": 1.0, "stream": False}
    if request.stop_texts:
        body["stop"] = list(request.stop_texts[:MOST_STOPS])
    if dialect.sampling == "extended":
        body |= {
            "stop_token_ids": list(request.stop_ids),
            "top_k": -1,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "skip_special_tokens": True,
        }
    return body
