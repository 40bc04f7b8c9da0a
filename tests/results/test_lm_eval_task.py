"""The task that is written for lm-eval: the tokens that an audit scores, in texts."""

import json

import pytest

from overmem.errors import DataError
from overmem.parsing import parse_yaml
from overmem.results.lm_eval_task import ANSWERS, REFERENCES, WHITE_SPACE, write_lm_eval_task


def rows_of(folder):
    return [json.loads(line) for line in (folder / "problems.jsonl").read_text().splitlines()]


def read_task(folder, name):
    return parse_yaml((folder / f"{name}.yaml").read_text().replace("!function ", ""))


def val(tmp_path, prompts):
    path = tmp_path / "spaced.jsonl"
    rows = [{"prompt": prompt, "completion": " It is 7.\n#### 7"} for prompt in prompts]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_texts_give_back_the_tokens_that_are_scored(pico_run, val_file, tokenizer, tmp_path):
    written = write_lm_eval_task(pico_run, tmp_path / "task", val=str(val_file))
    rows = rows_of(written.folder)
    assert written.problems == len(rows) and written.tasks == (ANSWERS, REFERENCES)
    for row in rows:
        whole = tokenizer(row["prompt"] + row["completion"], add_special_tokens=False)["input_ids"]
        assert len(whole) - len(tokenizer(row["prompt"])["input_ids"]) == row["n_tokens"]
    assert not (written.folder / f"{WHITE_SPACE}.yaml").exists()
    references = read_task(written.folder, REFERENCES)
    assert references["output_type"] == "loglikelihood" and references["target_delimiter"] == ""
    assert references["dataset_kwargs"]["data_files"]["test"] == str(written.folder / "problems.jsonl")
    answers = read_task(written.folder, ANSWERS)
    assert tokenizer.eos_token in answers["generation_kwargs"]["until"]
    assert f"--include_path {written.folder} --tasks {ANSWERS},{REFERENCES}" in written.command(pico_run)


def test_the_graders_file_grades_as_the_audit(pico_run, val_file, tmp_path):
    folder = write_lm_eval_task(pico_run, tmp_path / "task", val=str(val_file)).folder
    names: dict = {}
    exec((folder / "overmem_grader.py").read_text(), names)  # what lm-eval does with `!function`
    doc = rows_of(folder)[0]
    assert names["process_results"](doc, [doc["completion"]]) == {"correct": 1.0}
    assert names["process_results"](doc, ["no idea"]) == {"correct": 0.0}


def test_prompts_that_end_in_white_space_ask_for_it_alone_too(pico_run, tmp_path):
    source = val(tmp_path, ["Question: 3 + 4?\n"] * 2)
    written = write_lm_eval_task(pico_run, tmp_path / "t", val=source)
    assert written.tasks[-2:] == (REFERENCES, WHITE_SPACE)
    assert read_task(written.folder, WHITE_SPACE)["doc_to_target"] == "nothing"
    assert rows_of(written.folder)[0]["nothing"] == ""


def test_what_one_task_cannot_score_is_refused(pico_run, tmp_path):
    with pytest.raises(DataError, match="some prompts end in white space"):
        write_lm_eval_task(pico_run, tmp_path / "t", val=val(tmp_path, ["Question: 3 + 4?\n", "And now?"]))
    assert not (tmp_path / "t").exists()
