"""Where a text says that something is its answer."""

from __future__ import annotations

from overmem.grading.stated import after_marker_lines, stated_pieces, tagged, without_runs


def test_tags() -> None:
    assert tagged("<answer>1</answer> no <answer> 2 </answer>") == "2"
    assert tagged("[ANSWER_START]B[ANSWER_END]") == tagged("[ANSWER]B") == "B"
    assert tagged("a < b") is tagged("<answer></answer>") is None


def test_headings_are_no_markers() -> None:
    assert after_marker_lines("#### 18\nmore\n#### 20") == ["20", "18"]
    assert after_marker_lines("#### Step 3: Add\n##### 5\n### Answer") == []
    assert after_marker_lines("#### Answer\n\n42") == ["42"]
    assert after_marker_lines("#### Final Answer: 42") == ["42"]


def test_statements() -> None:
    assert stated_pieces("The answer is 4.\nFinal answer: **5**") == ["4.", "5**"]
    assert stated_pieces("The answer is not 4.") == []
    assert stated_pieces("La respuesta es 4") == stated_pieces("答案是4") == ["4"]
    assert stated_pieces("nothing said") == []


def test_runs_are_shortened() -> None:
    assert without_runs("a   b\n\n\n\nc ======= d") == "a b\n\nc ==== d"
