"""Tasks of lm-evaluation-harness as OOD sets: their documents, and a model's answers as lm-eval scores them.

lm-eval (see `lm_eval_library`) renders the requests, runs them on the model (`HFLM`), filters the
responses and scores each document. The loop around that is this module's, not lm-eval's `evaluate`,
because an audit stops, resumes and takes subsets: requests are built once, for the whole task in order,
since few-shot examples are drawn from one random stream that runs through the documents, and nothing is
aggregated over a part of the task. So a document's figure is the one that `lm_eval.simple_evaluate`
gives it, whatever the limit.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import getsource
from numbers import Real
from typing import Any

import numpy as np

from overmem.errors import CheckpointError, DataError
from overmem.models.lm_eval.library import SEED, find_task, library
from overmem.models.lm_eval.names import PREFIX
from overmem.models.preserving_state import generation_config_restored, quiet_and_seeded
from overmem.models.pretrained import context_length

CHUNK = 64
"""Documents answered before their rows are saved, so that a kill loses at most so many."""
MAX_NEW_TOKENS = 256
"""Longest answer where a task names none: lm-eval's default."""
_NOT_SHARES = frozenset({"f1", "mcc", "bleu", "chrf", "ter", "likelihood", "brier_score", "bypass"})
"""lm-eval's metrics that are no score of one document between 0 and 1, unless a task computes its own."""
_LOGGERS = ("lm_eval", "transformers", "datasets")
_ROOM = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
_SCORING = ("metric_list", "filter_list", "process_results", "repeats", "output_type")
"""What a task's configuration says about scoring; the rest shows in the requests."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """One document of a task, as the model is asked about it."""

    id: str
    """Its number in the task, as in lm-eval's own logs (`doc_id`)."""
    sha: str
    """Of the document, its requests, their tokens and the target."""
    prompt: str
    """The context, few-shot examples included; the first where every choice has its own."""
    target: str
    n_tokens: int
    """The longest request, with the room for its answer."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a model made of one document."""

    text: str
    """What it wrote, or the choice it finds most probable."""
    answer: str | None
    """What the task's first filter took from that."""
    correct: float
    """The task's metric, in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class LmEvalTask:
    """A task that is ready to be put to a model."""

    name: str
    shape: str
    """What is measured and how, for a person."""
    metric: str
    settings: Mapping[str, Any]
    """What decides a document's score beside model and request."""
    documents: tuple[Document, ...]
    _task: Any
    _requests: tuple[tuple[Any, ...], ...]
    _tokenizer: Any

    def check_fits(self, context: int | None) -> None:
        """Refuse a task that the context has no room for; lm-eval would cut the prompts' beginnings off.

        Raises:
            DataError: a document needs more than `context` tokens.
        """
        longest = max(self.documents, key=lambda document: document.n_tokens)
        if context is not None and longest.n_tokens > context:
            raise DataError(
                f"document {longest.id} of the lm-eval task `{self.name}` does not fit the context",
                got=f"{longest.n_tokens} tokens with the room for an answer",
                expected=f"at most {context}",
                next_step="copy the task's YAML, give it fewer shots (num_fewshot) or shorter answers "
                "(generation_kwargs: max_gen_toks), and name it as lm_eval:TASK@FOLDER",
            )

    def answer(self, model: Any, chosen: Sequence[int], batch_tokens: int) -> list[Answer]:
        """Put some documents to a model; it and all global state are left as they were.

        Args:
            model: in eval mode.
            chosen: positions in `documents`.
            batch_tokens: most tokens of a batch, padding included.

        Raises:
            CheckpointError: a log-probability is NaN or infinite.
            DataError: the task cannot score an answer, or not as a number in [0, 1].
        """
        requests = [[_fresh(request) for request in self._requests[i]] for i in chosen]
        rows = max(1, batch_tokens // max(1, *(self.documents[i].n_tokens for i in chosen)))
        # A task that samples draws other numbers in each chunk, and the same ones every time.
        with quiet_and_seeded(SEED + chosen[0], _LOGGERS), generation_config_restored(model):
            lm = library().HFLM(
                pretrained=model,
                tokenizer=self._tokenizer,
                batch_size=rows,
                max_length=context_length(model),
            )
            _respond(lm, [request for group in requests for request in group])
            _check_finite(requests, model)
            try:
                self._task._instances = [request for group in requests for request in group]
                self._task.apply_filters()
                return [self._score(group) for group in requests]
            except DataError:
                raise
            except Exception as error:  # code of the task, which may be a user's own
                raise self._failed("cannot score an answer", f"{type(error).__name__}: {error}") from error

    def _score(self, requests: Sequence[Any]) -> Answer:
        """Filter and score one document as lm-eval's `evaluate` does, with the task's first filter."""
        doc, name = requests[0].doc, next(iter(requests[0].filtered_resps))
        filtered = [request.filtered_resps[name] for request in requests]
        metrics = self._task.process_results(doc, filtered)
        value = metrics.get(self.metric)
        if not isinstance(value, (Real, np.bool_)) or not 0 <= float(value) <= 1:
            raise self._failed(f"gives no `{self.metric}` between 0 and 1", f"{self.metric} = {value!r}")
        if requests[0].request_type != "generate_until":
            text = _choice(self._task, doc, requests)
            return Answer(text=text, answer=text or None, correct=float(value))
        took = filtered[0][0] if isinstance(filtered[0], list) and filtered[0] else filtered[0]
        return Answer(text=str(requests[0].resps[0]), answer=str(took), correct=float(value))

    def _failed(self, what: str, got: str) -> DataError:
        return DataError(
            f"the lm-eval task `{self.name}` {what}", got=got[:300], next_step="leave it out, or mend it"
        )


def load_task(source: str, tokenizer: Any) -> LmEvalTask:
    """Load a task with all its documents and render its requests; no model is needed.

    Args:
        source: `lm_eval:TASK`, or `lm_eval:TASK@FOLDER` for a task whose YAML is in FOLDER.
        tokenizer: of the models to be asked; copied, since lm-eval may give it a padding token.

    Raises:
        RunError: lm-eval is not installed.
        DataError: no such task, a group of tasks, data that cannot be loaded, or a task that runs the
            model's code, needs images, or has no score of single documents.
    """
    name, mark, folder = source.removeprefix(PREFIX).partition("@")
    with quiet_and_seeded(SEED, _LOGGERS):
        task = find_task(name, folder if mark else None)
        _refuse_unusable(name, task)
        metric = _choose_metric(name, task)
        copied = copy.deepcopy(tokenizer)
        groups: dict[int, list[Any]] = {}
        for request in task.instances:
            groups.setdefault(int(request.doc_id), []).append(request)
        requests = tuple(tuple(sorted(groups[i], key=lambda request: request.idx)) for i in sorted(groups))
        documents = tuple(_document(task, group, copied) for group in requests)
    return LmEvalTask(
        name=name,
        shape=_shape(name, task, metric),
        metric=metric,
        settings=_settings(name, task, metric),
        documents=documents,
        _task=task,
        _requests=requests,
        _tokenizer=copied,
    )


def _refuse_unusable(name: str, task: Any) -> None:
    for flag, why in (("UNSAFE_CODE", "runs code that the model writes"), ("MULTIMODAL", "is not text only")):
        if getattr(task, flag, False):
            raise DataError(
                f"the lm-eval task `{name}` {why}, which overmem does not do",
                next_step="evaluate it by lm-eval itself: overmem import lm-eval RESULTS --run RUN",
            )


def _choose_metric(name: str, task: Any) -> str:
    """`acc` of multiple choice, else `exact_match`, else the first that may be a share of one document."""
    own = callable(task.get_config("process_results")) or (
        type(task).process_results is not library().ConfigurableTask.process_results
    )
    higher = [str(metric) for metric, better in task.higher_is_better().items() if better]
    shares = [metric for metric in higher if own or metric not in _NOT_SHARES]
    preferred = ["acc"] if task.OUTPUT_TYPE == "multiple_choice" else []
    for metric in (*preferred, "exact_match", *shares):
        if metric in shares:
            return metric
    raise DataError(
        f"the lm-eval task `{name}` has no score of single documents",
        got=", ".join(task.higher_is_better()) or "no metric",
        expected="acc, exact_match, or another metric in [0, 1] of which higher is better",
    )


def _document(task: Any, requests: Sequence[Any], tokenizer: Any) -> Document:
    doc = requests[0].doc
    texts = [_whole_text(request) for request in requests]
    tokens = tokenizer(texts)["input_ids"]
    target = task.doc_to_target(doc)
    identity = {
        "doc": doc,
        "requests": [(request.request_type, request.args) for request in requests],
        "tokens": tokens,
        "target": (target, task.doc_to_text(doc)),
    }
    return Document(
        id=str(requests[0].doc_id),
        sha=hashlib.sha256(json.dumps(identity, sort_keys=True, default=_stable).encode()).hexdigest(),
        prompt=str(requests[0].args[0]),
        target=_target_text(task, doc, target),
        n_tokens=max(
            len(ids) + _answer_tokens(request) for ids, request in zip(tokens, requests, strict=True)
        ),
    )


def _whole_text(request: Any) -> str:
    is_pair = request.request_type == "loglikelihood"
    return "".join(request.args[:2]) if is_pair else str(request.args[0])


def _answer_tokens(request: Any) -> int:
    """Tokens of the context beside those of the text: an answer's; a choice's last token needs none.

    Without a context, lm-eval puts one token before the choice.
    """
    if request.request_type != "generate_until":
        return 0 if request.args[0] == "" else -1
    given = [request.args[1].get(key) for key in _ROOM]
    return int(next((value for value in given if value is not None), MAX_NEW_TOKENS))


def _target_text(task: Any, doc: Any, target: Any) -> str:
    first = target[0] if isinstance(target, list) and target else target
    if isinstance(first, int) and task.OUTPUT_TYPE == "multiple_choice":
        choices = task.doc_to_choice(doc)
        return str(choices[first]) if 0 <= first < len(choices) else str(first)
    return str(first)


def _shape(name: str, task: Any, metric: str) -> str:
    took = getattr(task._filters[0], "name", "none")
    filtered = "" if took == "none" else f" after the filter {took}"
    return (
        f"lm-evaluation-harness {library().version}: {name} (version {task.VERSION}), "
        f"{task.get_config('num_fewshot')}-shot, {task.OUTPUT_TYPE}, judged by {metric}{filtered}; "
        "prompts without a chat template, as lm-eval writes them by default"
    )


def _settings(name: str, task: Any, metric: str) -> dict[str, Any]:
    scoring = {key: task.get_config(key) for key in _SCORING}
    return {
        "lm_eval": library().version,
        "task": name,
        "version": str(task.VERSION),
        "metric": metric,
        "scoring": json.dumps(scoring, sort_keys=True, default=_stable),
    }


def _stable(value: Any) -> str:
    """Text for what JSON does not know, the same in every process: a function's source, no addresses."""
    if callable(value):
        with contextlib.suppress(TypeError, OSError):
            return str(getsource(value))
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))


def _fresh(request: Any) -> Any:
    return dataclasses.replace(request, resps=[], filtered_resps={})


def _respond(lm: Any, requests: Sequence[Any]) -> None:
    """Run the requests kind by kind, each as often as the task repeats it."""
    for kind in dict.fromkeys(request.request_type for request in requests):
        asked = [r for r in requests if r.request_type == kind for _ in range(r.repeats or 1)]
        for request, response in zip(asked, getattr(lm, kind)(asked), strict=True):
            request.resps.append(response)


def _check_finite(requests: Sequence[Sequence[Any]], model: Any) -> None:
    pairs = [request for group in requests for request in group if request.request_type == "loglikelihood"]
    if not all(math.isfinite(request.resps[0][0]) for request in pairs):
        raise CheckpointError(
            "the model gives NaN or infinite log-probabilities",
            got=f"dtype {next(model.parameters()).dtype}",
            next_step="audit with --dtype float32",
        )


def _choice(task: Any, doc: Any, requests: Sequence[Any]) -> str:
    """The most probable choice; of a single continuation, that one if greedy decoding writes it."""
    if len(requests) == 1:
        return str(requests[0].args[1]) if requests[0].resps[0][1] else ""
    is_choice = task.OUTPUT_TYPE == "multiple_choice"
    options = task.doc_to_choice(doc) if is_choice else [request.args[1] for request in requests]
    # Requests beyond the choices are those of mutual information, without the context.
    logprobs = [request.resps[0][0] for request in requests[: len(options)]]
    return str(options[int(np.argmax(logprobs))])
