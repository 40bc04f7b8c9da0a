"""Data sets known by name or by their columns: how a row becomes an Example, and where they are on the hub.

The rows are those of the files their authors published, so a local download and the hub copy give
the same examples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from overmem.records import Example
from overmem.tasks.known import choice, code, math


@dataclass(frozen=True, kw_only=True)
class KnownDataset:
    """One data set: its hub address and how its rows are read."""

    name: str
    hub_id: str
    """Empty for one that its authors publish elsewhere, as files."""
    description: str
    """What becomes prompt, completion and answer, in words."""
    to_example: Callable[[Mapping[str, Any], str, str], Example | None]
    """(row, id, where) -> Example, or None for a row to leave out; `where` names the row in errors."""
    config: str | None = None
    """Hub configuration, None when there is only one."""
    default_split: str = "test"
    """Split read when none is named: the one that results are usually reported on."""
    grader: str | None = "math"
    """None: chosen by the answers."""
    leaves_out: str = ""
    """Which rows are left out, in words."""
    columns: tuple[str, ...] = ()
    """Columns by which its rows are recognised without its name, if they are."""
    recognises: Callable[[Mapping[str, Any]], bool] = lambda row: True
    """What else a row must be like for that."""
    reads: tuple[str, ...] = ()
    """Columns beside them that it reads where they are there."""


def recognise_dataset(row: Mapping[str, Any]) -> KnownDataset | None:
    """The data set that has such columns, or None."""
    present = {key for key, value in row.items() if value is not None}
    for known in KNOWN.values():
        if known.columns and present.issuperset(known.columns) and known.recognises(row):
            return known
    return ANY_OPTIONS if choice.is_options_row(row) else None


KNOWN: dict[str, KnownDataset] = {
    dataset.name: dataset
    for dataset in (
        KnownDataset(
            name="gsm8k",
            hub_id="openai/gsm8k",
            config="main",
            description="prompt from `question`, completion from `answer`, final answer after `####`",
            to_example=math.gsm8k_example,
        ),
        KnownDataset(
            name="metamathqa",
            hub_id="meta-math/MetaMathQA",
            default_split="train",
            description="prompt from `query`, completion from `response`, answer after `The answer is:`",
            to_example=math.metamathqa_example,
            columns=("query", "response", "original_question"),
        ),
        KnownDataset(
            name="svamp",
            hub_id="ChilleD/SVAMP",
            description="prompt from `Body` and `Question`, completion from `Equation`, answer `Answer`",
            to_example=math.svamp_example,
            columns=("Body", "Question", "Equation", "Answer"),
        ),
        KnownDataset(
            name="gsm_hard",
            hub_id="reasoning-machines/gsm-hard",
            default_split="train",
            description="prompt from `input`, completion and answer from `target` (no reasoning)",
            to_example=math.gsm_hard_example,
            columns=("input", "code", "target"),
        ),
        KnownDataset(
            name="math500",
            hub_id="HuggingFaceH4/MATH-500",
            description="prompt from `problem`, completion from `solution`, answer from `answer`",
            to_example=math.math500_example,
        ),
        KnownDataset(
            name="math_perturb",
            hub_id="",
            description="prompt from `problem`, completion and answer from `answer` in a box (no reasoning)",
            to_example=math.math_perturb_example,
            columns=("problem_id", "problem", "answer", "original_split"),
        ),
        KnownDataset(
            name="humaneval",
            hub_id="openai/openai_humaneval",
            description="prompt, completion from `canonical_solution`, tests from `test`",
            to_example=code.humaneval_example,
            grader="code",
            columns=("prompt", "canonical_solution", "test", "entry_point"),
        ),
        KnownDataset(
            name="mbpp",
            hub_id="google-research-datasets/mbpp",
            config="full",
            description="prompt from `text` and `test_list`, completion from `code`, tests `test_list`",
            to_example=code.mbpp_example,
            grader="code",
            columns=("task_id", "code", "test_list"),
        ),
        KnownDataset(
            name="apps",
            hub_id="codeparrot/apps",
            config="all",
            description="prompt from `question` and `starter_code`, completion the first of `solutions`;"
            " its tests read standard input and are not run",
            to_example=code.apps_example,
            grader="none",
            leaves_out="no solution is published",
            columns=("question", "input_output", "starter_code", "difficulty"),
        ),
        KnownDataset(
            name="arc",
            hub_id="allenai/ai2_arc",
            config="ARC-Challenge",
            description="prompt from `question` and `choices`, answer from `answerKey`",
            to_example=choice.arc_example,
            grader="choice",
            columns=("answerKey",),
            reads=("choices",),
        ),
        KnownDataset(
            name="scienceqa",
            hub_id="derek-thomas/ScienceQA",
            description="prompt from `hint`, `question` and `choices`, completion from `solution`",
            to_example=choice.scienceqa_example,
            grader="choice",
            leaves_out="their question needs an image",
            columns=("question", "choices", "answer", "lecture"),
            reads=("hint", "image"),
        ),
        KnownDataset(
            name="commonsenseqa",
            hub_id="tau/commonsense_qa",
            default_split="validation",
            description="prompt from `question` and `choices`, answer from `answerKey`",
            to_example=choice.commonsenseqa_example,
            grader="choice",
        ),
        KnownDataset(
            name="mmlu",
            hub_id="cais/mmlu",
            config="all",
            description="prompt from `question` and `choices`, answer from `answer`",
            to_example=choice.options_example,
            grader="choice",
            reads=choice.CONTEXT,
            columns=("question", "choices", "answer", "subject"),
        ),
        KnownDataset(
            name="mmlu_pro",
            hub_id="TIGER-Lab/MMLU-Pro",
            description="prompt from `question` and `options`, reasoning from `cot_content`, answer `answer`",
            to_example=choice.options_example,
            grader="choice",
            reads=choice.CONTEXT,
            columns=("question", "options", "answer", "cot_content"),
        ),
        KnownDataset(
            name="gpqa",
            hub_id="Idavidrein/gpqa",
            config="gpqa_main",
            default_split="train",
            description="prompt from `Question` and its four answers in drawn order, reasoning `Explanation`",
            to_example=choice.gpqa_example,
            grader="choice",
            columns=("Question", "Correct Answer", "Incorrect Answer 1"),
        ),
        KnownDataset(
            name="logiqa",
            hub_id="lucasmccabe/logiqa",
            description="prompt from `context`, `query` and `options`, answer from `correct_option`",
            to_example=choice.options_example,
            grader="choice",
            reads=choice.CONTEXT,
            columns=("context", "query", "options", "correct_option"),
        ),
        KnownDataset(
            name="boolq",
            hub_id="google/boolq",
            default_split="validation",
            description="prompt from `passage` and `question` with the options yes and no, answer `answer`",
            to_example=choice.yes_no_example,
            grader="choice",
            columns=("question", "passage", "answer"),
            recognises=lambda row: isinstance(row["answer"], bool),
        ),
        KnownDataset(
            name="strategyqa",
            hub_id="ChilleD/StrategyQA",
            description="prompt from `question` with the options yes and no, reasoning from `facts`, answer"
            " `answer`",
            to_example=choice.yes_no_example,
            grader="choice",
            columns=("question", "answer"),
            recognises=lambda row: isinstance(row["answer"], bool),
        ),
        KnownDataset(
            name="bbh",
            hub_id="lukaemon/bbh",
            description="prompt from `input`, completion and answer from `target` (no reasoning)",
            to_example=choice.bbh_example,
            grader=None,
        ),
    )
}
"""The data sets that can stand before the colon of a source."""

ANY_OPTIONS = KnownDataset(
    name="multiple choice",
    hub_id="",
    description="prompt from the question, what comes before it, and its list of options; answer as named",
    to_example=choice.options_example,
    grader="choice",
    reads=(*choice.OPTIONS, *choice.CONTEXT),
)
"""Rows of no data set known by name that have a question, a list of options and the right one."""
