"""How a task of lm-evaluation-harness is named as a data source; known without importing any model code."""

from __future__ import annotations

PREFIX = "lm_eval:"
"""What a source of this kind starts with: `lm_eval:TASK`, or `lm_eval:TASK@FOLDER` for one's own."""


def is_lm_eval(source: str) -> bool:
    """Whether a source string names a task of lm-eval."""
    return source.startswith(PREFIX)


def runs_code_of_a_folder(source: str | None) -> bool:
    """Whether a source is a task of one's own, whose YAML can name functions beside it (`!function`)."""
    return source is not None and is_lm_eval(source) and "@" in source
