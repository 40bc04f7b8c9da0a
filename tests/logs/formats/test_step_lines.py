import pytest

from overmem.errors import RunError
from overmem.logs.formats import step_lines
from overmem.logs.judged import read_log

TORCHTUNE = (
    "Step 1 | loss:2.125 lr:2e-05 tokens_per_second_per_gpu:1234.5 \n"
    "Step 2 | loss:nan lr:1e-05 \nStep 2 | val_loss:1.75\n"
)
MEGATRON = (
    " [2026-01-01 00:00:00] iteration       10/     300 | consumed samples:           80 | learning rate: "
    "1.000000E-04 | lm loss: 2.000000E+00 | grad norm: 1.5 | number of nan iterations:   0 |\n"
    " validation loss at iteration 10 on validation set | lm loss value: 1.900000E+00 | lm loss PPL: 6.7 | \n"
)
NANOGPT = "step 0: train loss 10.9, val loss 10.8\niter 0: loss 10.95, time 20.00ms, mfu -100.00%\n"


@pytest.mark.parametrize(
    ("text", "rows", "planned"),
    [
        (
            TORCHTUNE,
            [
                "{'step': 1, 'loss': 2.125, 'learning_rate': 2e-05, 'tokens_per_second_per_gpu': 1234.5}",
                "{'step': 2, 'loss': nan, 'learning_rate': 1e-05}",
                "{'step': 2, 'eval_loss': 1.75}",
            ],
            None,
        ),
        (
            MEGATRON,
            [
                "{'step': 10, 'loss': 2.0, 'learning_rate': 0.0001, 'grad_norm': 1.5}",
                "{'step': 10, 'eval_loss': 1.9}",
            ],
            300,
        ),
        (
            NANOGPT,
            ["{'step': 0, 'eval_train_loss': 10.9, 'eval_val_loss': 10.8}", "{'step': 0, 'loss': 10.95}"],
            None,
        ),
    ],
)
def test_a_line_is_a_row(tmp_path, text, rows, planned):
    (tmp_path / "train.log").write_text("loading\n" + text)
    assert step_lines.recognizes(tmp_path / "train.log")
    (found,) = step_lines.read(tmp_path / "train.log")
    assert [str(dict(row)) for row in found.rows] == rows
    assert (found.max_steps, found.kind) == (planned, "console")


def test_nanogpt_evaluates_training_rows_too_which_tells_the_gap(tmp_path):
    values = {100: 1.95, 200: 1.9, 300: 2.0}
    lines = "".join(f"step {s}: train loss {2 - s / 500}, val loss {v}\n" for s, v in values.items())
    (tmp_path / "train.log").write_text(lines)
    (run,) = read_log(tmp_path / "train.log").runs
    assert run.keep.by == "eval_val_loss" and run.train_loss_gap.value == pytest.approx(2.0 - 1.4)


@pytest.mark.parametrize(
    "text", ["Step 1 | \n", "Step by step\n", "iteration 5/ 10 | ready |\n", "iter 1: x\n"]
)
def test_other_lines_are_none(tmp_path, text):
    (tmp_path / "train.log").write_text(text)
    assert not step_lines.recognizes(tmp_path / "train.log")
    with pytest.raises(RunError):
        step_lines.read(tmp_path / "train.log")
