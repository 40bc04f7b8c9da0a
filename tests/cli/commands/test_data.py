"""`overmem data check` alone: what it finds, how it looks in 80 columns, its exit codes, without torch.

Covers: overmem.cli.views.overlap
"""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from overmem.cli.app import app
from overmem.errors import DataError
from overmem.tasks.sources import load_examples


def run(*arguments):
    return CliRunner().invoke(app, ["data", "check", *arguments], env={"COLUMNS": "80"})


def write(path, examples):
    rows = [{"prompt": e.prompt, "completion": e.completion, "answer": e.answer} for e in examples]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def leaked(tmp_path):
    """50 clean val problems and 5 copies of training problems."""
    train = load_examples("wordmath:train[:100]").examples
    return write(tmp_path / "v.jsonl", [*load_examples("facts:val[:50]").examples, *train[:5]]), write(
        tmp_path / "t.jsonl", train
    )


def test_counts_problems_side_by_side_and_the_next_step_fit_80_columns(leaked):
    val, train = leaked
    done = run("--val", val, "--train", train, "--ood", "own=knights:val[:20]")
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.split() == ["val", "train", "(100)", "55", "5", "0", "0"] for line in lines)
    assert "5 val problems are training problems" in " ".join(done.output.split())


def test_json_holds_every_problem_and_exit_code_1_means_refused(leaked):
    val, train = leaked
    done = run("--val", train, "--train", train, "--json")
    found = json.loads(done.output)
    assert done.exit_code == 1 and "100 of 100" in found["refused"]
    assert found["sets"][0]["counts"] == {"copy": 100} and len(found["sets"][0]["found"]) == 100
    clean = run("--val", val, "--train", val.replace("v.jsonl", "t.jsonl"), "--json")
    assert clean.exit_code == 0 and json.loads(clean.output)["refused"] is None


def test_val_alone_is_compared_with_itself_and_says_what_is_missing(leaked):
    done = run("--val", leaked[0])
    assert done.exit_code == 0 and "no training data was given (--train)" in done.output


@pytest.mark.parametrize("n", [1, 10])
def test_sets_of_few_rows_are_compared(n):
    assert run("--val", f"wordmath:val[:{n}]", "--train", f"wordmath:train[:{n}]").exit_code == 0


def test_rows_without_prompts_are_compared_by_their_text(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": f"Number {i} of many texts."}) + "\n" for i in range(40)))
    done = run("--val", f"{path}[:35]", "--train", str(path), "--json")
    assert done.exit_code == 1 and json.loads(done.output)["sets"][0]["counts"]["copy"] == 35


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--val", "nowhere.jsonl"], "nowhere.jsonl"),
        (["--val", "wordmath:val[:9]", "--train", "gone.jsonl"], "gone.jsonl"),
        (["--val", "wordmath:val[:9]", "--ood", "knights:val"], "an OOD set needs a name"),
        (["--val", "wordmath:val[:9]", "--ood", "a=knights:val", "--ood", "a=facts:val"], "of its own"),
    ],
)
def test_bad_input_is_said_in_one_message(arguments, said):
    error = run(*arguments).exception
    assert isinstance(error, DataError) and said in str(error)


def test_it_needs_no_torch():
    call = "['data', 'check', '--val', 'facts:val[:40]', '--train', 'facts:train[:40]']"
    code = (
        "import sys; from typer.testing import CliRunner; from overmem.cli.app import app; "
        f"done = CliRunner().invoke(app, {call}); print(done.exit_code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "False"]


def test_token_ids_have_no_text_to_compare(tmp_path):
    rows = tmp_path / "tokens.jsonl"
    rows.write_text('{"input_ids": [1, 2, 3], "labels": [-100, 2, 3]}\n' * 3)
    refused = run("--val", str(rows), "--train", str(rows))
    assert isinstance(refused.exception, DataError) and "tokenized" in str(refused.exception)
