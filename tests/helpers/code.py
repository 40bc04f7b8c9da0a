"""Problems of code as they are published, and whether an answer is right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from overmem.grading.grade import grade
from overmem.grading.sandbox.policy import unsupported_platform
from overmem.records import Example

sandboxed = pytest.mark.skipif(unsupported_platform() is not None, reason="no sandbox on this platform")

HUMANEVAL = {
    "task_id": "HumanEval/0",
    "prompt": 'from typing import List\n\n\ndef last(values: List[int]) -> int:\n    """Last.\n    """\n',
    "canonical_solution": "    return values[-1]\n",
    "test": "\n\nMETADATA = {}\n\n\ndef check(candidate):\n"
    "    assert candidate([1, 2]) == 2\n    assert candidate([3]) == 3\n",
    "entry_point": "last",
}


def write(path: Path, *rows: dict) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def right(text: str, example: Example) -> bool:
    return grade(text, example, "code", allow_code_execution=True).correct
