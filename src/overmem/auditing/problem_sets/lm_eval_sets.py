"""A task of lm-evaluation-harness as a set of problems, which it renders, asks and judges by itself."""

from __future__ import annotations

import hashlib
from typing import Any

from overmem.auditing.problem_sets.problems import Problems
from overmem.models.lm_eval.names import PREFIX
from overmem.models.lm_eval.tasks import Document, load_task
from overmem.records import Example
from overmem.rendering.rendered import Rendered


def lm_eval_problems(name: str, source: str, tokenizer: Any) -> Problems:
    """The documents of a task as one set of problems.

    Args:
        name: of the set.
        source: names the task; see `overmem.models.lm_eval.names`.
        tokenizer: of the run.

    Raises:
        RunError: lm-eval is not installed.
        DataError: no such task, or one that cannot be asked.
    """
    task = load_task(source, tokenizer)
    identity = "".join(f"{document.id}={document.sha};" for document in task.documents)
    return Problems(
        set=name,
        variant="clean",
        source=source,
        grader=f"{PREFIX}{task.name}",
        shape=task.shape,
        examples=tuple(
            Example(document.id, document.prompt, document.target, document.target)
            for document in task.documents
        ),
        rendered=tuple(map(_without_tokens, task.documents)),
        shas=tuple(document.sha for document in task.documents),
        fingerprint=hashlib.sha256(identity.encode()).hexdigest(),
        longest_completion=0,
        task=task,
    )


def _without_tokens(document: Document) -> Rendered:
    return Rendered(
        example_id=document.id,
        prompt_ids=(),
        completion_ids=(),
        prompt_text=document.prompt,
        completion_text=document.target,
    )
