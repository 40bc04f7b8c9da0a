import math
import time

import pytest

from overmem.errors import RunError
from overmem.logs.formats import console
from overmem.logs.judged import judge_history, read_log
from overmem.logs.kinds import find_task
from tests.helpers.written_logs import WRITTEN, differences, truth

LOG = WRITTEN / "console.txt"


def read(tmp_path, text, name="train.log"):
    (tmp_path / name).write_text(text)
    assert console.recognizes(tmp_path / name)
    return console.read(tmp_path / name)


def test_the_rows_are_those_that_the_trainer_logged_to_four_digits():
    assert console.recognizes(LOG)
    (history,) = console.read(LOG)
    logged = [
        {key: value for key, value in row.items() if key != "total_flos"} for row in truth("hf_console")
    ]
    assert differences(history.rows, logged, digits=6e-4) == []
    assert history.max_steps == 18
    assert history.notes == ("Printed rows have no step: it is that of the progress bar after each.",)


def only_rows():
    return "".join(f"{match[0]}\n" for match in console._ROW.finditer(LOG.read_text()))


def steps(history):
    return [row["step"] for row in history.rows]


def test_without_bars_the_step_is_from_the_epoch_where_the_plan_was_printed(tmp_path):
    plan = "  Num Epochs = 3\n  Total optimization steps = 18\n"
    (history,) = read(tmp_path, plan + only_rows())
    assert steps(history) == [row["step"] for row in truth("hf_console")]
    assert "the epoch times 6 steps an epoch" in history.notes[0] and history.max_steps == 18


def test_the_banner_of_unsloth_is_a_plan(tmp_path):
    banner = "   \\\\   /|    Num examples = 24 | Num Epochs = 3 | Total steps = 18\n"
    (history,) = read(tmp_path, banner + only_rows())
    assert steps(history) == [row["step"] for row in truth("hf_console")]


@pytest.mark.parametrize(("setting", "every"), [("logging_steps: 2\n", 2), ("", 1)])
def test_without_bars_and_plan_rows_are_counted_and_it_is_said(tmp_path, setting, every):
    (history,) = read(tmp_path, setting + only_rows())
    assert steps(history) == [row["step"] // 2 * every for row in truth("hf_console")]
    assert "it is counted" in history.notes[0]
    assert ("not those of the optimizer" in history.notes[0]) == (every == 1)


@pytest.mark.parametrize(
    ("rows", "steps_told"),
    [
        (["'eval_loss': 1.2, 'epoch': 0.5", "'eval_loss': 1.1, 'epoch': 1.0"], [1, 2]),
        (["'eval_a_loss': 1.2, 'epoch': 0.5", "'eval_b_loss': 2.1, 'epoch': 0.5"], [1, 1]),
        (["'eval_loss': 1.2", "'eval_loss': 1.1"], [1, 2]),
        (["'eval_a_loss': 1.2", "'eval_b_loss': 2.1", "'eval_a_loss': 1.1"], [1, 1, 2]),
    ],
)
def test_evaluations_without_a_row_of_training_are_counted_themselves(tmp_path, rows, steps_told):
    (history,) = read(tmp_path, "".join(f"{{{row}}}\n" for row in rows))
    assert steps(history) == steps_told
    assert "1 for each evaluation, as no row of training was printed" in history.notes[0]


def test_rows_of_older_versions_and_of_axolotl_are_read(tmp_path):
    text = (
        "[2025-02-01 10:00:00,000] [INFO] [axolotl.train] starting\n"
        "{'loss': 1.25, 'grad_norm': nan, 'learning_rate': 2e-05, 'memory/active (GiB)': 3.5, 'epoch': 0.5}\r"
        " 10%|#         | 1/10 [00:01<00:09,  1.00s/it]\n"
        '[rank0] {"eval_loss": 1.5, "epoch": 0.5} and more\n'
    )
    (history,) = read(tmp_path, text)
    first, second = history.rows
    assert math.isnan(first["grad_norm"]) and first["learning_rate"] == 2e-05 and second["eval_loss"] == 1.5


def test_an_evaluation_after_which_no_bar_was_drawn_is_of_the_row_before(tmp_path):
    bar = " 10%|#   | {}/10 [00:01<00:09,  1.00s/it]\n"
    text = "{'loss': 2.5}\n" + bar.format(2) + "{'eval_loss': 2.0}\n{'loss': 1.5}\n" + bar.format(4)
    (history,) = read(tmp_path, text)
    assert steps(history) == [2, 2, 4]


def test_a_bar_with_a_name_is_not_the_trainings(tmp_path):
    text = "{{'loss': 2.5}}\nMap:  50%|#   | 5/10 [00:01<00:09]\n{0} 20%|#   | 2/10 [00:01<00:09]\n"
    for before in ("", "  ", "\x1b[A", "1.00s/it]"):
        (history,) = read(tmp_path, text.format(before))
        assert steps(history) == [2], before


def test_a_row_that_is_no_json_takes_nothing_from_those_beside_it(tmp_path):
    """Also where two with a quote each would be one row if they were parsed together."""
    text = "{'loss': 2, 'epoch': 1}\n{'loss': 1, 'note': \"x}\n{\", 'loss': 3}\n"
    (history,) = read(tmp_path, text)
    assert [row["loss"] for row in history.rows] == [2, 1, 3]
    (history,) = read(tmp_path, text + "{'loss': nan, 'epoch': 2}\n")
    assert math.isnan(history.rows[-1]["loss"])
    assert [row.get("epoch") for row in history.rows] == [1, None, None, 2]


@pytest.mark.exhaustive
def test_200_000_evaluations_and_as_many_rows_of_training_are_read_within_seconds(tmp_path):
    text = "".join(
        f"{{'loss': 1.{s % 97:02}, 'epoch': {s / 1000}}}\n 10%|#   | {s}/200000 [00:01<00:09]\n"
        f"{{'eval_loss': 1.{s % 89:02}, 'epoch': {s / 1000}}}\n 10%|#   | {s}/200000 [00:01<00:09]\n"
        for s in range(1, 200_001)
    )
    (tmp_path / "train.log").write_text(text)
    began = time.process_time()
    read_log(tmp_path / "train.log")
    assert time.process_time() - began < 10  # half of it on an idle machine


def test_a_bar_of_an_evaluation_is_passed_over(tmp_path):
    bar = " 10%|#   | {}/{} [00:01<00:09,  1.00s/it]\n"
    row = "{'loss': 2.5}\n"
    text = row + bar.format(1, 3) + bar.format(2, 10) + row + bar.format(4, 10) + row + bar.format(6, 10)
    (history,) = read(tmp_path, text)
    assert steps(history) == [2, 4, 6] and history.max_steps == 10


def test_swift_prints_its_step(tmp_path):
    (history,) = read(tmp_path, "{'loss': '2.5', 'global_step/max_steps': '5/100'}\n")
    assert steps(history) == [5] and history.max_steps == 100 and history.notes == ()


def test_two_trainings_in_one_text_are_two_runs(tmp_path):
    both = read(tmp_path, LOG.read_text() * 2)
    assert [len(one.rows) for one in both] == [13, 13] and steps(both[0]) == steps(both[1])
    stopped = "{'loss': 2, 'epoch': 0.5}\n{'loss': 1, 'epoch': 1}\n"
    assert [len(one.rows) for one in read(tmp_path, stopped * 2)] == [2, 2]


def test_a_text_of_powershell_is_read(tmp_path):
    (tmp_path / "train.log").write_text(only_rows(), encoding="utf-16")
    assert console.recognizes(tmp_path / "train.log")
    assert len(console.read(tmp_path / "train.log")[0].rows) == 13


@pytest.mark.parametrize("data", [b"", b"hello", b"{'a': 1}", bytes(range(256)), b"{'loss': 'high'}"])
def test_what_is_no_log_is_not_taken_for_one(tmp_path, data):
    (tmp_path / "train.log").write_bytes(data)
    assert not console.recognizes(tmp_path / "train.log")
    with pytest.raises(RunError, match="holds no log of a training"):
        console.read(tmp_path / "train.log")


AXOLOTL = """\
[2025-09-10 10:58:06,249] [INFO] [axolotl.utils.samplers.multipack.calc_min_len:267] gather_len_batches: [9]
[2025-09-10 10:58:06,249] [DEBUG] [axolotl.calculate_total_num_steps:503] [PID:7] sample_packing_eff_est: 0.97
[2025-09-10 10:58:06,585] [INFO] [axolotl.train.execute_training:203] [PID:7] Starting trainer...
[2025-09-10 10:58:06,758] [INFO] [axolotl.core.trainers.base.evaluate:367] [PID:7] Running evaluation step...
  0%|          | 0/6 [00:00<?, ?it/s]
  0%|          | 0/3 [00:00<?, ?it/s]\x1b[A
{'eval_loss': 1.5, 'eval_samples_per_second': 6.5, 'memory/max_active (GiB)': 1.92, 'epoch': 0}
  0%|          | 0/6 [00:02<?, ?it/s]
 33%|███▎      | 2/6 [00:22<00:43,  4.24s/it]
{'loss': 1.25, 'grad_norm': 0.5, 'ppl': 3.49, 'memory/max_active (GiB)': 9.1, 'epoch': 0.67}
 33%|███▎      | 2/6 [00:22<00:43,  4.24s/it]
 67%|██████▋   | 4/6 [00:42<00:23,  4.24s/it]
{'loss': 1.0, 'grad_norm': 0.4, 'learning_rate': 0.0001, 'ppl': 2.72, 'epoch': 1.33}
 67%|██████▋   | 4/6 [00:42<00:23,  4.24s/it]
100%|██████████| 3/3 [00:01<00:00,  2.00it/s]\x1b[A
{'eval_loss': 1.25, 'eval_runtime': 2.0, 'eval_samples_per_second': 6.5, 'epoch': 1.33}
 67%|██████▋   | 4/6 [00:44<00:23,  4.24s/it]
"""


def test_axolotl_says_that_it_packs_and_evaluates_before_training(tmp_path):
    (history,) = read(tmp_path, AXOLOTL)
    rows = [(row["step"], row.get("loss"), row.get("eval_loss")) for row in history.rows]
    assert rows == [(0, None, 1.5), (2, 1.25, None), (4, 1.0, None), (4, None, 1.25)]
    assert history.settings["packing"] is True and history.max_steps == 6
    task = find_task(history.rows, history.settings)
    assert (task.name, task.cross_entropy) == ("language model", True)


@pytest.mark.parametrize(
    ("text", "packed"),
    [
        ('"sample_packing": true,\n', True),
        ("sample_packing: false\neval_packing: False\n", False),
        ("packing_efficiency_estimate: 0.77 total_num_tokens per device: 26275\n", True),
        ("we do no packing: truely\n", False),
    ],
)
def test_packing_is_read_from_what_was_printed(tmp_path, text, packed):
    (history,) = read(tmp_path, text + "{'loss': 1.0, 'epoch': 1.0}\n")
    assert history.settings.get("packing", False) is packed


def test_unsloths_banner_tells_the_accumulation_and_grpo_its_reward(tmp_path):
    text = (
        "O^O/ \\_/ \\    Batch size per device = 5 | Gradient accumulation steps = 8\n"
        "{'loss': 0.0, 'grad_norm': 0.1, 'completion_length': 232.8, 'rewards/format_reward': 1.0, "
        "'reward': 1.72, 'reward_std': 0.57, 'kl': 0.0005, 'epoch': 0.5}\n"
        "{'eval_loss': 3.4e-08, 'eval_runtime': 62.4, 'num_tokens': 1001646.0, 'reward': 2.5, 'epoch': 0.5}\n"
    )
    (history,) = read(tmp_path, text)
    assert history.settings["gradient_accumulation_steps"] == 8
    run = judge_history(history, "train.log")
    assert (run.task, run.keep.by, run.keep.value) == ("reinforcement", "eval_reward", 2.5)


def test_a_row_of_training_after_the_end_of_one_begins_another(tmp_path):
    run = "{'loss': 1.0, 'epoch': 1.0}\n{'train_runtime': 2.0, 'train_loss': 1.0, 'epoch': 1.0}\n"
    assert [len(history.rows) for history in read(tmp_path, run + run)] == [2, 2]
