"""A ready task for lm-evaluation-harness: the run's val problems, to answer and to score by likelihood.

Prompts are written as training wrote them, so that lm-eval measures what an audit measures. Where a prompt
ends in white space, lm-eval moves that to the text that it scores; a third task then asks for the white space
alone, and `overmem import` takes it off again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overmem.artifacts.files import write_text_atomic
from overmem.artifacts.manifest import read_manifest
from overmem.artifacts.store import Store
from overmem.auditing.opening import open_session
from overmem.auditing.options import AuditOptions
from overmem.auditing.resolve import resolve_options
from overmem.auditing.session import Session
from overmem.boundary import real_path
from overmem.checkpoints import open_run
from overmem.errors import DataError
from overmem.formatting import shell_word

ANSWERS, REFERENCES, WHITE_SPACE = "overmem_answers", "overmem_references", "overmem_white_space"
"""Names of the tasks; `overmem import lm-eval` knows the last two by their names."""
VERSION = 1
_SCORED = """task: TASK
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: loglikelihood
doc_to_text: prompt
doc_to_target: FIELD
target_delimiter: ""
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
metadata: {{version: {version}}}
"""
_FILES = {
    f"{ANSWERS}.yaml": """task: {answers}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: prompt
doc_to_target: answer
process_results: !function overmem_grader.process_results
generation_kwargs: {{until: {until}, max_gen_toks: {tokens}, do_sample: false, temperature: 0.0}}
metric_list: [{{metric: correct, aggregation: mean, higher_is_better: true}}]
metadata: {{version: {version}}}
""",
    f"{REFERENCES}.yaml": _SCORED.replace("TASK", REFERENCES).replace("FIELD", "completion"),
    f"{WHITE_SPACE}.yaml": _SCORED.replace("TASK", WHITE_SPACE).replace("FIELD", "nothing"),
    "overmem_grader.py": '''"""Grades an answer as `overmem audit` does; it needs overmem."""

from overmem import Example, grade

GRADER = {grader}


def process_results(doc, results):
    """Whether the answer is right, 0 or 1."""
    example = Example(doc["id"], doc["prompt"], doc["completion"], doc["answer"])
    return {{"correct": float(grade(results[0], example, GRADER).correct)}}
''',
}


@dataclass(frozen=True, kw_only=True)
class WrittenTask:
    """What was written, and the command that runs it."""

    folder: Path
    problems: int
    tasks: tuple[str, ...]

    def command(self, checkpoint: Path) -> str:
        """How lm-eval is run on one checkpoint."""
        return (
            f"lm_eval --model hf --model_args pretrained={shell_word(checkpoint)},dtype=float32 "
            f"--include_path {shell_word(self.folder)} --tasks {','.join(self.tasks)} "
            "--log_samples --output_path results/"
        )


def write_lm_eval_task(
    run: str | Path, out: str | Path, *, val: str | None = None, limit: int | None = None
) -> WrittenTask:
    """Write the val problems of a run as two tasks of lm-eval: their answers, and their references' NLL.

    No model is loaded. Problems that an audit left out, since training had them, are left out here.

    Args:
        run: folder of the run.
        out: folder to write the tasks to.
        val: source of the problems; the run's recipe names them by default.
        limit: only so many, the first ones of the audit's random order.

    Raises:
        OvermemError: no val, no tokenizer, or problems that no text can be written for.
    """
    folder, opened = real_path(out), open_run(run)
    options = resolve_options(opened, AuditOptions(val=val or "", limit=limit))
    session = open_session(opened, options)
    problems = _problems(session, _left_out(Path(run)))
    graded = session.problems["val"].grader not in ("none", "code")
    graded &= not session.problems["val"].grader.startswith("python:")
    spaced = _has_white_space(problems)
    tasks = (*((ANSWERS,) if graded else ()), REFERENCES, *((WHITE_SPACE,) if spaced else ()))
    values = {
        "answers": ANSWERS,
        "data": json.dumps(str(folder / "problems.jsonl")),
        "until": json.dumps(_until(session)),
        "tokens": session.ends.max_new_tokens("val"),
        "version": VERSION,
        "grader": repr(session.problems["val"].grader),
    }
    write_text_atomic(folder / "problems.jsonl", "".join(json.dumps(row) + "\n" for row in problems))
    for name, text in _FILES.items():
        if name.removesuffix(".yaml") in tasks or (graded and name.endswith(".py")):
            write_text_atomic(folder / name, text.format(**values))
    return WrittenTask(folder=folder, problems=len(problems), tasks=tasks)


def _left_out(run: Path) -> frozenset[str]:
    store = Store.of_run(run)
    if not store.has_record("manifest"):
        return frozenset()
    return frozenset(read_manifest(store).left_out_of("val"))


def _problems(session: Session, left_out: frozenset[str]) -> list[dict[str, Any]]:
    """Each problem as lm-eval takes it: texts whose tokens are those that an audit scores."""
    val, tokenizer = session.problems["val"], session.tokenizer
    found, other = [], []
    for at in val.chosen(session.options.limit, session.options.seed):
        example, item = val.examples[at], val.rendered[at]
        if example.id in left_out:
            continue
        prompt, whole = (
            tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)
            for ids in (item.prompt_ids, item.input_ids)
        )
        completion = whole[len(prompt) :]
        if not _same_tokens(tokenizer, prompt, completion, item.prompt_ids, item.completion_ids):
            other.append(example.id)
        if not all(item.scored_mask):
            other.append(example.id)
        row = {"id": example.id, "prompt": prompt, "completion": completion, "answer": example.answer or ""}
        found.append({**row, "nothing": "", "n_tokens": len(item.completion_ids)})
    if other:
        raise DataError(
            "the text of some problems gives other tokens than training had",
            got=f"{len(dict.fromkeys(other))} of {len(found)}, such as {other[0]}",
            expected="a prompt and a completion whose tokens are those of both texts together",
            next_step="audit them instead: overmem scores token ids, lm-eval texts",
        )
    return found


def _same_tokens(
    tokenizer: Any, prompt: str, completion: str, prompt_ids: Sequence[int], completion_ids: Sequence[int]
) -> bool:
    """Whether lm-eval's way of tokenizing, prompt and completion in one, parts them where training did."""
    ids = tokenizer(prompt + completion, add_special_tokens=False)["input_ids"]
    stripped = tokenizer(prompt.rstrip(), add_special_tokens=False)["input_ids"]
    return list(ids) == [*prompt_ids, *completion_ids] and ids[: len(stripped)] == stripped


def _has_white_space(problems: Sequence[dict[str, Any]]) -> bool:
    """Whether prompts end in white space; see the module's first lines.

    Raises:
        DataError: some do and others do not.
    """
    spaced: int = sum(row["prompt"] != row["prompt"].rstrip() for row in problems)
    if spaced not in (0, len(problems)):
        raise DataError(
            "some prompts end in white space and others do not, which one lm-eval task cannot score",
            got=f"{spaced} of {len(problems)} do",
            next_step="take it off the problems' ends, or audit them instead",
        )
    return spaced > 0


def _until(session: Session) -> list[str]:
    """Texts that end an answer: the end of a turn, and of a text."""
    tokenizer = session.tokenizer
    ids = [session.ends.end_of_turn("val"), tokenizer.eos_token_id]
    return [tokenizer.decode([i]) for i in dict.fromkeys(ids) if i is not None]
