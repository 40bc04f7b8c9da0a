"""The work itself: rows of one batch of problems, for each kind of job.

Every function takes a model and some problems and gives the columns of one row set; identity columns
(who, where, with which settings) are added by the session. Answers are written by an engine, and the
model is then whatever that engine answers with.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from overmem.artifacts.jobs import Job, JobKind
from overmem.auditing.problem_sets.problems import Problems
from overmem.errors import CheckpointError
from overmem.models.decoding.generation import generate
from overmem.models.decoding.sampling import Sampling
from overmem.models.decoding.unfinished import UnfinishedAnswers
from overmem.models.engines.protocol import Answer, Engine, scores_references
from overmem.models.likelihood.divergence import BasePredictions, kl_nats, predict
from overmem.models.likelihood.scoring import score_all
from overmem.models.memory import halve_until_it_fits

ANSWERS: tuple[JobKind, ...] = ("greedy", "sample")
"""Work that an engine does; all else needs the model in memory."""
RECALL_TOKENS = 32
"""Tokens of a reference's second half that a continuation is compared on."""
PREDICTED_AT_ONCE = 16
"""Answers whose whole distributions are in memory together."""


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What work needs beside the model and the problems."""

    engine: Engine
    """Writes the answers."""
    tokenizer: Any
    stops: Sequence[int]
    max_new_tokens: int
    sampling: Sampling
    batch_tokens: int
    """Most tokens of a batch, for work that cuts its own."""
    base_predictions: BasePredictions
    """What the base model predicts at its own answers."""
    unfinished: UnfinishedAnswers | None = None
    """Where answers are kept while they are written."""


Row = dict[str, Any]


def score(model: Any, problems: Problems, batch: Sequence[int], tools: Tools) -> list[list[Row]]:
    """Teacher-forced likelihood of the references.

    Raises:
        CheckpointError: a log-probability is NaN or infinite.
    """
    items = [problems.rendered[i] for i in batch]
    if scores_references(tools.engine):
        return [[row] for row in tools.engine.score(model, items)]
    rows = [item.to_row() for item in score_all(model, items)]
    _check_finite(model, [row["nll_nats"] for row in rows])
    return [[row] for row in rows]


def _check_finite(model: Any, nats: Sequence[float]) -> None:
    if not all(map(math.isfinite, nats)):
        raise CheckpointError(
            "the model gives NaN or infinite log-probabilities",
            got=f"dtype {next(model.parameters()).dtype}",
            next_step="audit with --dtype float32",
        )


def greedy(model: Any, problems: Problems, batch: Sequence[int], tools: Tools) -> list[list[Row]]:
    """One answer to each problem at temperature 0, graded."""
    return _answers(model, problems, batch, tools, None)


def sample(model: Any, problems: Problems, batch: Sequence[int], tools: Tools) -> list[list[Row]]:
    """K answers to each problem at a temperature, graded."""
    return _answers(model, problems, batch, tools, tools.sampling)


def continue_reference(model: Any, problems: Problems, batch: Sequence[int], tools: Tools) -> list[list[Row]]:
    """The reference's second half, written greedily after prompt and first half: is it known by heart?"""
    items = [problems.rendered[i] for i in batch]
    halves = [len(item.answer_ids) // 2 for item in items]
    prompts = [
        item.input_ids[: len(item) - len(item.answer_ids) + n] for item, n in zip(items, halves, strict=True)
    ]
    written = halve_until_it_fits(
        lambda rows: generate(
            model, prompts, tools.tokenizer, stops=(), max_new_tokens=RECALL_TOKENS, rows=rows
        ),
        len(prompts),
    )
    rows = []
    for item, half, (answer,) in zip(items, halves, written, strict=True):
        reference = item.answer_ids[half:][:RECALL_TOKENS]
        same = sum(a == b for a, b in zip(answer.tokens, reference, strict=False))
        counts = {"n_prefix": half, "n_compared": len(reference), "n_same": same}
        rows.append([{**counts, "exact": same == len(reference)}])
    return rows


def lm_eval(model: Any, problems: Problems, batch: Sequence[int], tools: Tools) -> list[list[Row]]:
    """One answer to each document of a task of lm-evaluation-harness, which asks and judges by itself."""
    assert problems.task is not None
    answers = problems.task.answer(model, batch, tools.batch_tokens)
    made = {"variant": problems.variant, "sample": 0, "temperature": 0.0, "grader": problems.grader}
    # Tokens and their log-probabilities are lm-eval's own business.
    unknown = {"n_tokens": 0, "finished": True, "mean_logprob": None}
    return [[{**made, **dataclasses.asdict(answer), **unknown}] for answer in answers]


def diverge(model: Any, problems: Problems, batch: Sequence[int], tools: Tools) -> list[list[Row]]:
    """The base model's own answers: how probable they are here and there, and KL(base || checkpoint).

    Raises:
        CheckpointError: a figure is NaN or infinite.
    """
    rows = []
    for start in range(0, len(batch), PREDICTED_AT_ONCE):
        part = batch[start : start + PREDICTED_AT_ONCE]
        for i, seen in zip(part, predict(model, [problems.rendered[i] for i in part]), strict=True):
            base = tools.base_predictions.read(problems.shas[i])
            kl_K = kl_nats(base.logits_K_V, seen.logits_K_V)
            nats = {
                "nll_nats": seen.nll_nats,
                "base_nll_nats": base.nll_nats,
                "kl_nats": float(kl_K.double().sum()),
            }
            _check_finite(model, list(nats.values()))
            rows.append([{"n_tokens": seen.n_tokens, "n_compared": len(kl_K), **nats}])
    return rows


def keep_base_predictions(
    model: Any, problems: Problems, batch: Sequence[int], kept: BasePredictions
) -> None:
    """Keep what the base model predicts at its own answers, for `diverge`.

    Args:
        model: the base model.
        problems: its answers.
        batch: which of them.
        kept: where to.
    """
    for start in range(0, len(batch), PREDICTED_AT_ONCE):
        part = batch[start : start + PREDICTED_AT_ONCE]
        for i, seen in zip(part, predict(model, [problems.rendered[i] for i in part]), strict=True):
            kept.write(problems.shas[i], seen)


def _answers(
    model: Any, problems: Problems, batch: Sequence[int], tools: Tools, sampling: Sampling | None
) -> list[list[Row]]:
    answers = tools.engine.generate(
        model,
        [problems.rendered[i].question_ids for i in batch],
        tools.tokenizer,
        stops=tools.stops,
        max_new_tokens=tools.max_new_tokens,
        sampling=sampling,
        example_ids=[problems.examples[i].id for i in batch],
        unfinished=tools.unfinished,
    )
    heat = 0.0 if sampling is None else sampling.temperature
    return [
        [_answer_row(problems, i, number, heat, answer) for number, answer in enumerate(samples)]
        for i, samples in zip(batch, answers, strict=True)
    ]


def _answer_row(problems: Problems, index: int, sample: int, temperature: float, answer: Answer) -> Row:
    return {
        "variant": problems.variant,
        "sample": sample,
        "temperature": temperature,
        **problems.graded(answer.text, problems.examples[index]),
        "text": answer.text,
        "n_tokens": answer.n_tokens,
        "finished": answer.finished,
        "mean_logprob": None if math.isnan(answer.mean_logprob) else answer.mean_logprob,
    }


WORK: dict[JobKind, Callable[[Any, Problems, Sequence[int], Tools], list[list[Row]]]] = {
    "score": score,
    "greedy": greedy,
    "sample": sample,
    "continue": continue_reference,
    "lm_eval": lm_eval,
    "diverge": diverge,
}


def is_remote(job: Job, engine: Engine) -> bool:
    """Whether a job is done by an engine that has its own model, and none has to be in memory."""
    done_there = (*ANSWERS, "score") if engine.scores else ANSWERS
    return job.kind in done_there and not engine.local
