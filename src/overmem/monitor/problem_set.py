"""The fixed problems that a monitor measures at every point, and how the model does on them."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from overmem.artifacts.rows import subset
from overmem.contamination.check import check_sets
from overmem.contamination.grouping import Grouping, find_groups
from overmem.contamination.policy import problems_left_out
from overmem.errors import DataError
from overmem.grading.choose import choose_grader, gradable
from overmem.grading.grade import check_gradable, grade
from overmem.models.batches import plan_batches
from overmem.models.decoding.generation import generate
from overmem.models.decoding.stop_tokens import end_of_completion, stop_ids
from overmem.models.likelihood.scoring import TokenScores, score_all
from overmem.models.pretrained import context_length, embedding_rows
from overmem.records import Example
from overmem.rendering.render import render_all
from overmem.rendering.rendered import Rendered, check_all_fit, check_vocab, data_fingerprint
from overmem.rendering.template import Template
from overmem.tasks.sources import load_examples
from overmem.verdict.judge import MIN_PROBLEMS
from overmem.verdict.live import Point, TokenRow

log = logging.getLogger("overmem.monitor")
Data = str | Path | Sequence[Example]
"""A source in overmem's grammar, or the examples themselves."""
BATCH_TOKENS = 4096
"""Most tokens of a batch, padding included: less than an audit's, as training fills the memory."""
BATCHES = 8
"""At least so many, so that the first few tell what all of them will take."""


@dataclass(frozen=True, kw_only=True)
class Problems:
    """Examples of val and train, before the tokenizer is known."""

    val: tuple[Example, ...]
    """The answered ones first."""
    train: tuple[Example, ...]
    answers: int
    grader: str
    allow_code_execution: bool = False
    grouping: Grouping | None = None
    """The groups that val problems fall into."""


@dataclass(frozen=True, kw_only=True)
class ProblemSet:
    """The problems as the model sees them."""

    problems: Problems
    tokenizer: Any = field(repr=False)
    val: tuple[Rendered, ...]
    train: tuple[Rendered, ...]
    fingerprint: str
    """Of all that is measured; points of another problem_set cannot be compared."""
    end_of_completion: int | None

    @property
    def n_tokens(self) -> list[int]:
        """Completion tokens of each val problem."""
        return [sum(item.scored_mask) for item in self.val]

    @property
    def group_labels(self) -> tuple[str, ...] | None:
        """Of each val problem, equal in one group; None where each stands alone."""
        grouping = self.problems.grouping
        return None if grouping is None else grouping.labels_of([e.id for e in self.problems.val])


def choose_problems(
    val: Data,
    train: Data | None,
    *,
    limit: int,
    answers: int,
    grader: str | None,
    seed: int,
    allow_code_execution: bool = False,
) -> Problems:
    """A random subset of both, the same for the same seed; of val it is the audit's own for that limit.

    Raises:
        DataError: a source cannot be read or is empty, a number is out of range, or answers are asked for
            and cannot be graded.
    """
    if limit < 1:
        raise DataError(
            "the monitor needs problems to measure on", got=f"limit={limit}", expected="1 or more"
        )
    if answers != 0 and answers < MIN_PROBLEMS:
        raise DataError(
            "too few answers to say anything",
            got=f"answers={answers}",
            expected=f"0, or at least {MIN_PROBLEMS}",
        )
    examples, own_grader = _examples(val, "val")
    trained = _examples(train, "train")[0] if train is not None else None
    examples, grouping = _clean(examples, trained)
    can_be_graded = gradable(grader or own_grader, examples)
    graded = [example for example, can in zip(examples, can_be_graded, strict=True) if can]
    asked = _subset(graded, min(answers, len(graded)), seed) if answers else []
    known = {example.id for example in asked}
    others = [example for example in _subset(examples, max(limit, answers), seed) if example.id not in known]
    rest = others[: max(limit, answers) - len(asked)]
    if answers and (grader or own_grader) == "none":
        raise DataError(
            "answers are asked for, and the val data have none to compare with",
            expected="val rows with answers, or answers=0",
        )
    if answers:
        check_gradable(grader or own_grader, asked, allow_code_execution=allow_code_execution)
    return Problems(
        val=(*asked, *rest),
        train=tuple(_subset(trained, limit, seed)) if trained is not None else (),
        answers=len(asked),
        grader=grader or own_grader,
        allow_code_execution=allow_code_execution,
        grouping=grouping,
    )


def _clean(
    val: tuple[Example, ...], train: tuple[Example, ...] | None
) -> tuple[tuple[Example, ...], Grouping | None]:
    """Val without the problems that an audit would leave out, since training has them, and their groups."""
    record = check_sets(val, train, {})
    left_out = problems_left_out(record, [example.id for example in val]).get("val", ())
    if left_out:
        log.warning(
            "%d of %d val problems are training problems and are not measured", len(left_out), len(val)
        )
    clean = tuple(example for example in val if example.id not in set(left_out))
    return clean, find_groups(record, [example.id for example in clean])


def fit(problems: Problems, readings: int, seed: int) -> Problems:
    """Fewer problems, when all of them are more than can be read at every point.

    Both sets shrink alike, to the fewest val problems that allow a stage; beyond that train is left out.

    Args:
        problems: all of them.
        readings: how many can be read.
        seed: of the subsets; those of fewer problems lie within those of more.
    """
    if len(problems.val) + len(problems.train) <= readings:
        return problems
    rest = readings - min(len(problems.train), readings // 2)
    n_val = min(len(problems.val), max(rest, MIN_PROBLEMS, problems.answers))
    n_train = max(0, readings - n_val)
    return replace(
        problems,
        val=(
            *problems.val[: problems.answers],
            *_subset(problems.val[problems.answers :], n_val - problems.answers, seed),
        ),
        train=tuple(_subset(problems.train, n_train, seed)) if n_train >= MIN_PROBLEMS else (),
    )


def _examples(data: Data, name: str) -> tuple[tuple[Example, ...], str]:
    if isinstance(data, str | Path):
        loaded = load_examples(data)
        return loaded.examples, loaded.grader
    examples = tuple(data)
    if not examples or not all(isinstance(example, Example) for example in examples):
        kinds = sorted({type(example).__name__ for example in examples})
        raise DataError(
            f"the monitor's {name} data cannot be read",
            got=", ".join(kinds) or "no examples",
            expected="a data source such as 'val.jsonl', or a list of overmem.Example",
        )
    return examples, choose_grader(examples).grader


def _subset(examples: Sequence[Example], limit: int, seed: int) -> list[Example]:
    return [examples[i] for i in subset([example.id for example in examples], limit, seed)]


def prepare_problem_set(problems: Problems, tokenizer: Any, template: Template, model: Any) -> ProblemSet:
    """Render the problems for a model.

    Raises:
        DataError: a problem does not fit the model's context or vocabulary, or cannot be rendered.
    """
    val, train = (render_all(examples, tokenizer, template) for examples in (problems.val, problems.train))
    check_vocab((*val, *train), embedding_rows(model))
    check_all_fit((*val, *train), context_length(model))
    return ProblemSet(
        problems=problems,
        tokenizer=tokenizer,
        val=val,
        train=train,
        fingerprint=f"{data_fingerprint((*val, *train))[:16]}/{problems.answers}",
        end_of_completion=end_of_completion(tokenizer, (item.completion_ids for item in val))
        if problems.answers
        else None,
    )


def measure(
    problem_set: ProblemSet, model: Any, step: int, epoch: float | None, on_scored: Callable[[float], None]
) -> tuple[Point, TokenRow]:
    """Score both subsets, and answer the first few problems greedily.

    Args:
        problem_set: what to measure on.
        model: a causal LM in eval mode.
        step: optimizer steps so far.
        epoch: epochs so far.
        on_scored: told after each batch what share of all tokens is scored; it may raise to end the visit.

    Raises:
        ValueError: a log-probability is NaN or infinite.
    """
    scores = _score(problem_set, model, on_scored)
    val, train = scores[: len(problem_set.val)], scores[len(problem_set.val) :]
    # Rounded as it is kept in the log, so that a resumed run reads the same history.
    nll_N = tuple(round(-math.fsum(item.logprob), 4) for item in val)
    train_nll = -math.fsum(x for item in train for x in item.logprob)
    if not all(map(math.isfinite, (*nll_N, train_nll))):
        raise ValueError("the model gives NaN or infinite log-probabilities")
    point = Point(
        step=step,
        epoch=epoch,
        nll_nats_N=nll_N,
        correct_K=_answer(problem_set, model),
        train_nll_nats=train_nll / sum(len(item.logprob) for item in train) if train else math.nan,
    )
    tokens = TokenRow(
        step=step,
        logprob_T=np.concatenate([item.logprob for item in val]),
        is_top1_T=np.concatenate([item.is_top1 for item in val]),
    )
    return point, tokens


def _score(problem_set: ProblemSet, model: Any, on_scored: Callable[[float], None]) -> list[TokenScores]:
    """Scores of val, then train; no batch holds both."""
    items = (*problem_set.val, *problem_set.train)
    total, done = sum(map(len, items)), 0
    budget = min(BATCH_TOKENS, math.ceil(total / BATCHES))
    scores: dict[int, TokenScores] = {}
    for first, subset_ in ((0, problem_set.val), (len(problem_set.val), problem_set.train)):
        for batch in plan_batches([len(item) for item in subset_], budget):
            places = [first + place for place in batch]
            found = score_all(model, [items[place] for place in places])
            scores.update(zip(places, found, strict=True))
            done += sum(len(items[place]) for place in places)
            on_scored(done / total)
    return [scores[place] for place in range(len(items))]


def _answer(problem_set: ProblemSet, model: Any) -> tuple[float, ...]:
    asked, examples = problem_set.val[: problem_set.problems.answers], problem_set.problems.val
    new = max(64, 2 * max((len(item.answer_ids) for item in problem_set.val), default=0))
    context = context_length(model)
    correct: dict[int, float] = {}
    for batch in plan_batches([len(item.question_ids) + new for item in asked], BATCH_TOKENS):
        longest = max(len(asked[i].question_ids) for i in batch)
        answers = generate(
            model,
            [asked[i].question_ids for i in batch],
            problem_set.tokenizer,
            stops=stop_ids(model, problem_set.tokenizer, problem_set.end_of_completion),
            max_new_tokens=new if context is None else max(1, min(new, context - longest)),
        )
        for i, (answer,) in zip(batch, answers, strict=True):
            found = grade(
                answer.text,
                examples[i],
                problem_set.problems.grader,
                asked=asked[i].prompt_text,
                allow_code_execution=problem_set.problems.allow_code_execution,
            )
            correct[i] = float(found.correct)
    return tuple(correct[i] for i in range(len(asked)))
