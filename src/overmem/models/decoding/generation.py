"""Answers: what the model writes when asked, greedily or k times at a temperature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from overmem.models.decoding.attention import shared_tokens
from overmem.models.decoding.continuous import write_continuously
from overmem.models.decoding.plain import write_by_generate, write_without_cache
from overmem.models.decoding.positions import Group, group_prompts
from overmem.models.decoding.rows import Generation, Row, Writing
from overmem.models.decoding.sampling import Sampling
from overmem.models.decoding.unfinished import UnfinishedAnswers
from overmem.models.decoding.ways import OURS, Way, way_of

__all__ = ["Generation", "generate"]


@torch.inference_mode()
def generate(
    model: Any,
    prompts: Sequence[Sequence[int]],
    tokenizer: PreTrainedTokenizerBase,
    *,
    stops: Sequence[int],
    max_new_tokens: int,
    sampling: Sampling | None = None,
    example_ids: Sequence[str] | None = None,
    rows: int | None = None,
    unfinished: UnfinishedAnswers | None = None,
) -> list[list[Generation]]:
    """Answer prompts, in the fastest way that is right for the model; see `overmem.models.decoding.ways`.

    In fp32 the answers do not depend on how prompts are batched; in bf16 ties may flip.

    Args:
        model: a language model in eval mode.
        prompts: token ids of each prompt.
        tokenizer: decodes the answers.
        stops: ids that end an answer.
        max_new_tokens: longest answer.
        sampling: draw samples; None answers once, greedily (temperature 0).
        example_ids: names of the prompts, from which each sample's random numbers come; needed to sample.
        rows: most answers written at once; None writes all at once.
        unfinished: where answers are kept while they are written, and found again after a kill.

    Returns:
        For each prompt, in order, its answers.
    """
    groups = group_prompts(model, [len(prompt) for prompt in prompts], max_new_tokens)
    kept = None if any(group.alone for group in groups) else unfinished
    writing = Writing(
        stops=frozenset(stops),
        max_new_tokens=max_new_tokens,
        sampling=sampling,
        after_tokens=None if kept is None else kept.save_in_time,
    )
    way = way_of(model, prompts)
    written = [
        _rows(
            [prompts[index] for index in group.prompts],
            None if example_ids is None else [example_ids[index] for index in group.prompts],
            writing,
        )
        for group in groups
    ]
    if kept is not None:
        kept.resume([row for of_group in written for row in of_group])
    answers: list[list[Generation]] = [[] for _ in prompts]
    for group, of_group in zip(groups, written, strict=True):
        of_prompt = [group.prompts[row.prompt] for row in of_group]
        asked, left = _go_on([prompts[index] for index in group.prompts], of_group, writing)
        if left:
            _write(model, asked, left, writing, group, way, 1 if group.alone else rows)
        for index, row in sorted(zip(of_prompt, of_group, strict=True), key=lambda found: found[1].sample):
            answers[index].append(row.answer(tokenizer, writing.stops))
    return answers


def _go_on(
    prompts: list[Sequence[int]], rows: Sequence[Row], writing: Writing
) -> tuple[list[Sequence[int]], list[Row]]:
    """The rows that are still to be written, longest prompts first; what has begun stands in prompts anew."""
    for row in rows:
        row.done = bool(row.tokens) and writing.ends(row)
        if row.tokens and not row.done:
            prompts.append((*prompts[row.prompt], *row.tokens))
            row.prompt, row.in_prompt = len(prompts) - 1, len(row.tokens)
    left = [row for row in rows if not row.done]
    return prompts, sorted(left, key=lambda row: -len(prompts[row.prompt]))


def _rows(prompts: Sequence[Sequence[int]], names: Sequence[str] | None, writing: Writing) -> list[Row]:
    """The rows of some prompts, longest first."""
    drawn = writing.sampling
    order = sorted(range(len(prompts)), key=lambda index: (-len(prompts[index]), index))
    return [
        Row(
            index,
            sample,
            None if drawn is None else drawn.uniforms((names or ())[index], sample, writing.max_new_tokens),
        )
        for index in order
        for sample in range(1 if drawn is None else drawn.samples)
    ]


def _write(
    model: Any,
    prompts: Sequence[Sequence[int]],
    rows: Sequence[Row],
    writing: Writing,
    group: Group,
    way: Way,
    most: int | None,
) -> None:
    most = min(most or len(rows), len(rows))
    if way in OURS:
        shared = shared_tokens(model, prompts) if way == "continuous" else None
        write_continuously(model, prompts, rows, writing, most=most, group=group, shared=shared)
    elif way == "without cache":
        write_without_cache(model, prompts, rows, writing)
    else:
        write_by_generate(model, prompts, rows, writing, 1 if way == "one by one" else most)
