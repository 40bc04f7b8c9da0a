"""What a repair tries, chooses, accepts and advises, on arrays and records alone."""

import dataclasses
import json
import math

import numpy as np
import polars as pl
import pytest
import torch
import yaml

from overmem.auditing.problems import half_of, subset
from overmem.recipe.schema import load_recipe
from overmem.records import Checkpoint, Run
from overmem.repairing.candidates import Candidate, finer, pair, propose, shortlist
from overmem.repairing.choice import choose
from overmem.repairing.proof import fewest_problems, prove
from overmem.repairing.retrain import NOISE, reasons_to_retrain, write_recipe
from overmem.repairing.temperature import fit_temperature, read_temperature
from overmem.stats.measures import mean_measure
from overmem.verdict.judge import judge

NAMES = [f"checkpoint-{step}" for step in (100, 200, 300, 400, 500)]


def measured(accuracy, nll=None, pass_at_k=None, ood=None, drop=None):
    """Measures of one model; each argument has a value for every problem."""
    found = {"accuracy": {"accuracy": mean_measure("accuracy", "higher", "val", np.asarray(accuracy, float))}}
    for axis, name, direction, values in (
        ("likelihood", "nll", "lower", nll),
        ("diversity", "pass_at_8", "higher", pass_at_k),
        ("ood", "accuracy", "higher", ood),
        ("robustness", "accuracy_drop", "lower", drop),
    ):
        if values is not None:
            found[axis] = {name: mean_measure(name, direction, "val", np.asarray(values, float))}
    return found


def test_pairs_join_an_early_fit_checkpoint_with_a_late_accurate_one():
    accuracy, nll = np.array([0.5, 0.8, 0.9, 0.95, 0.94]), np.array([0.5, 0.4, 0.42, 0.5, 0.6])
    found = propose(NAMES, accuracy, nll, recommended=2)
    pairs = {c.checkpoints for c in found if c.family == "pair"}
    # Lowest NLL is 200 and recommended 300; last is 500 and most accurate 400.
    assert pairs == {(a, b) for a in (NAMES[1], NAMES[2]) for b in (NAMES[4], NAMES[3])}
    assert all(math.isclose(sum(c.weights), 1) and len(c.weights) == len(c.checkpoints) for c in found)
    assert len({c.name for c in found}) == len(found)


def test_soups_hold_both_ends_of_their_windows():
    accuracy, nll = np.array([0.5, 0.8, 0.9, 0.95, 0.94]), np.array([0.5, 0.4, 0.42, 0.5, 0.6])
    soups = {c.checkpoints for c in propose(NAMES, accuracy, nll, recommended=2) if c.family == "soup"}
    windows = ((1, 5), (2, 5), (1, 3), (1, 4), (0, 5))
    assert soups == {tuple(NAMES[a:b]) for a, b in windows}


def test_of_equally_accurate_checkpoints_the_latest_is_paired():
    nll = np.array([0.4, 0.5, 0.6, 0.7, 0.8])
    found = propose(NAMES, np.array([0.5, 0.9, 0.9, 0.9, 0.8]), nll, recommended=0)
    assert {c.checkpoints[1] for c in found if c.family == "pair"} == {NAMES[4], NAMES[3]}


def test_what_is_the_same_average_is_tried_once():
    # With two checkpoints, the pair at 0.5 and every soup are one and the same.
    found = propose(NAMES[:2], np.array([0.5, 0.6]), np.array([0.4, 0.5]), recommended=0)
    averages = [(c.checkpoints, c.weights) for c in found]
    assert len(set(averages)) == len(averages) == 3


def test_a_run_whose_last_checkpoint_is_best_has_soups_but_no_pairs():
    rising = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    found = propose(NAMES, rising, 1 - rising, recommended=4)
    assert {c.family for c in found} == {"soup", "ema"}


def test_finer_steps_stay_between_the_two():
    assert [c.weights[1] for c in finer(pair("a", "b", 0.25))] == [0.125, 0.375]


def test_the_shortlist_has_the_best_of_each_family_before_neighbours_of_the_lowest():
    pairs = [pair(NAMES[0], NAMES[1], alpha) for alpha in (0.25, 0.5, 0.75)]
    soup = Candidate(family="soup", checkpoints=tuple(NAMES), weights=(0.2,) * 5)
    assert shortlist([*pairs, soup], [0.1, 0.11, 0.12, 0.5], few=2) == [0, 3]
    assert shortlist([*pairs, soup], [0.1, 0.11, 0.12, 0.5], few=3) == [0, 3, 1]


def test_the_choice_is_the_lowest_nll_among_the_equally_accurate():
    rng = np.random.default_rng(0)
    right = (rng.random(200) < 0.8).astype(float)
    worse, nearly = right.copy(), right.copy()
    worse[np.flatnonzero(right)[:40]] = 0
    nearly[np.flatnonzero(right)[:1]] = 0
    contenders = [
        measured(right, np.full(200, 0.5)),
        measured(nearly, np.full(200, 0.4)),
        measured(worse, np.full(200, 0.1)),
    ]
    assert choose(contenders, measured(right, np.full(200, 0.9))) == 1


def test_what_is_no_gain_is_not_chosen_for_a_little_accuracy():
    right = np.ones(200)
    nearly = right.copy()
    nearly[:3] = 0
    contenders = [measured(right, np.full(200, 0.6)), measured(nearly, np.full(200, 0.4))]
    assert choose(contenders, measured(right, np.full(200, 0.5))) == 1
    assert choose(contenders, measured(right, np.full(200, 0.3))) == 0


def test_pass_at_k_breaks_the_tie_before_nll():
    right, rng = np.ones(100), np.random.default_rng(0)
    low = (rng.random(100) < 0.5).astype(float)
    contenders = [measured(right, np.full(100, 0.1), low), measured(right, np.full(100, 0.9), right)]
    assert choose(contenders, measured(right, right)) == 1


class TestProof:
    """200 problems, of which the checkpoint to beat solves 160."""

    right = np.r_[np.ones(160), np.zeros(40)]
    noise = np.random.default_rng(0).normal(0, 0.05, 200)

    def prove(self, before, after):
        return prove(before, after, against="checkpoint-1", accuracy_margin=0.03)

    def test_as_accurate_and_lower_nll_is_accepted(self):
        found = self.prove(measured(self.right, 0.5 + self.noise), measured(self.right, 0.4 - self.noise))
        assert found.accepted and found.probability_not_worse > 0.99
        assert found.gains == ("likelihood nll",)

    def test_a_lower_nll_does_not_buy_accuracy(self):
        after = self.right.copy()
        after[:10] = 0
        found = self.prove(measured(self.right, 0.5 + self.noise), measured(after, 0.1 - self.noise))
        assert not found.accepted and found.gains == ("likelihood nll",)
        # 10 of 200 lost: -0.05 with a standard error of 0.0155, so a tenth of it is above -0.03.
        assert found.probability_not_worse == pytest.approx(0.1, abs=0.05)

    @pytest.mark.parametrize(("n", "enough"), [(10, False), (60, False), (90, True), (130, True)])
    def test_a_few_problems_without_a_flip_prove_nothing(self, n, enough):
        sides = [measured(np.ones(n), level) for level in (0.5 + self.noise[:n], 0.4 - self.noise[:n])]
        assert self.prove(*sides).accepted == enough
        assert (n >= fewest_problems(0.03)) == enough

    def test_the_probability_is_the_posterior_of_the_shares_lost_and_won(self):
        after = self.right.copy()
        after[:6], after[-3:] = 0, 1
        found = self.prove(measured(self.right, self.right), measured(after, self.right))
        rng = np.random.default_rng(1)
        shares = rng.dirichlet([6 + 1, 191 + 1, 3 + 1], 200_000)
        exact = np.mean(shares[:, 2] - shares[:, 0] > -0.03)
        assert found.probability_not_worse == pytest.approx(exact, abs=0.03)

    def test_only_the_headlines_of_an_axis_count(self):
        sides = [measured(self.right), measured(self.right)]
        for side, sign, level in zip(sides, (1, -1), (0.5, 0.3), strict=True):
            flat = mean_measure("nll", "lower", "val", 0.5 + self.noise)
            other = mean_measure("other", "lower", "val", level + sign * self.noise)
            side["likelihood"] = {"nll": flat, "other": other}
        assert not self.prove(*sides).accepted

    def test_nothing_better_is_rejected(self):
        found = self.prove(
            measured(self.right, 0.5 + self.noise), measured(self.right, 0.5 + self.noise[::-1])
        )
        assert not found.accepted and found.gains == () and "nothing is clearly better" in found.reason

    @pytest.mark.parametrize(
        ("axis", "before", "after"),
        [("drop", 0.3, 0.1), ("ood", 0.3, 0.6), ("pass_at_k", 0.5, 0.9)],
    )
    def test_each_of_the_other_axes_counts_in_its_own_direction(self, axis, before, after):
        sides = [
            measured(self.right, **{axis: level + sign * self.noise})
            for level, sign in ((before, 1), (after, -1))
        ]
        assert self.prove(*sides).accepted
        assert not self.prove(*sides[::-1]).accepted

    def test_privacy_alone_is_no_gain(self):
        sides = [measured(self.right), measured(self.right)]
        for side, level in zip(sides, (0.9, 0.6), strict=True):
            values = level + self.noise * level
            side["privacy"] = {"auroc": mean_measure("auroc", "lower", "val", values)}
        found = self.prove(*sides)
        assert not found.accepted and found.differences[-1].difference.high < 0


def rows_of(logits_N_V, labels_N, grid):
    """Likelihood rows of one-token completions."""
    logprob = [
        [torch.log_softmax(torch.tensor(row) / t, -1)[label].item() for t in grid]
        for row, label in zip(logits_N_V, labels_N, strict=True)
    ]
    return pl.DataFrame(
        {"n_tokens": [1] * len(labels_N), "logprob_at_temperature": [[row] for row in logprob]}
    )


def test_a_model_twice_too_sure_is_mended_by_temperature_two():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (4000, 5))
    p = torch.softmax(torch.tensor(logits), -1).numpy()
    labels = [int(rng.choice(5, p=row)) for row in p]
    grid = (0.5, 1.0, 1.5, 2.0, 3.0)
    search, confirm = (
        rows_of(2 * logits[:2000], labels[:2000], grid),
        rows_of(2 * logits[2000:], labels[2000:], grid),
    )
    assert fit_temperature(search, grid) == 2.0
    found = read_temperature(confirm, grid, 2.0)
    by_hand = [
        torch.nn.functional.cross_entropy(torch.tensor(2 * logits[2000:]) / t, torch.tensor(labels[2000:]))
        for t in (2.0, 1.0)
    ]
    assert found.nll_change.value == pytest.approx((by_hand[0] - by_hand[1]).item(), abs=1e-6)
    assert found.nll_change.high < 0


def test_halves_are_disjoint_whole_and_leave_some_of_any_subset_on_either_side():
    ids = [f"p{i}" for i in range(101)]
    prompts = {name: f"What is {name}?" for name in ids}
    search, confirm = half_of(prompts, "search", 0), half_of(prompts, "confirm", 0)
    assert search | confirm == set(ids) and not search & confirm
    assert half_of(dict(reversed(prompts.items())), "search", 0) == search != half_of(prompts, "search", 1)
    few = {ids[i] for i in subset(ids, 40, 0)}
    assert 8 < len(few & search) < 32


def test_the_same_problem_under_two_ids_is_never_in_both_halves():
    prompts = {f"{copy}{i}": f"What is {i}?" for i in range(40) for copy in "ab"}
    search = half_of(prompts, "search", 0)
    assert len(search) == 40 and all((f"a{i}" in search) == (f"b{i}" in search) for i in range(40))


def planted(accuracy, nll, epochs=None):
    """A verdict on 400 problems that follow these curves."""
    rng = np.random.default_rng(0)
    level_N, spread_N = rng.random(400), rng.gamma(4, 0.25, 400)
    correct = np.array([(level_N < a).astype(float) for a in accuracy])
    steps = [100 * (i + 1) for i in range(len(nll))]
    epochs = epochs or [float(i + 1) for i in range(len(nll))]
    return judge(
        steps,
        correct,
        np.array([n * 20 * spread_N for n in nll]),
        np.full(400, 20.0),
        epochs=epochs,
        resamples=300,
    )


def test_a_good_checkpoint_needs_no_retraining():
    assert reasons_to_retrain(planted([0.7, 0.9, 0.9, 0.9], [0.5, 0.4, 0.45, 0.6])) == ()


def test_accuracy_that_only_comes_with_inflation_calls_for_retraining():
    found = reasons_to_retrain(planted([0.5, 0.6, 0.8, 0.9], [0.4, 0.41, 0.6, 0.8]))
    assert any("below" in reason for reason in found)


def test_memorizing_from_the_first_checkpoint_calls_for_retraining():
    found = reasons_to_retrain(planted([0.9, 0.9, 0.9, 0.9], [0.4, 0.6, 0.7, 0.8]))
    assert any("first checkpoint" in reason for reason in found)


def trainer_run(folder, **config):
    """What the plain HF Trainer leaves behind, without weights."""
    last = folder / "checkpoint-400"
    last.mkdir(parents=True)
    log = [{"step": s, "learning_rate": r, "loss": 1.0} for s, r in ((1, 1e-5), (10, 4e-4), (400, 1e-6))]
    state = {"global_step": 400, "num_train_epochs": 4, "train_batch_size": 8, "log_history": log}
    (last / "trainer_state.json").write_text(json.dumps(state))
    (folder / "README.md").write_text("---\nbase_model: org/model\nlibrary_name: transformers\n---\n# x\n")
    run = Run(path=folder, checkpoints=(Checkpoint(name="checkpoint-400", step=400, path=last, kind="full"),))
    known = {"train": "train.jsonl", "val": "val.jsonl", "template": {"kind": "auto"}, "base_model": None}
    return run, {"config": known | config, "base": None}


def test_the_recipe_halves_the_rate_and_stops_sooner(tmp_path):
    run, manifest = trainer_run(tmp_path / "run")
    verdict = planted([0.9, 0.9, 0.9, 0.9], [0.4, 0.6, 0.7, 0.8])
    found = write_recipe(run, manifest, verdict, ("why",), tmp_path / "retrain.yaml")
    recipe = yaml.safe_load((tmp_path / "retrain.yaml").read_text())
    assert found.recipe == tmp_path / "retrain.yaml"
    assert recipe["loss"] == "nll" and recipe["model"]["name"] == "org/model"
    training = recipe["training"]
    # The lowest perplexity was after one epoch.
    assert training["learning_rate"] == pytest.approx(2e-4) and training["num_train_epochs"] == 2
    assert training["neftune_noise_alpha"] == NOISE and any("neftune" in change for change in found.changes)
    assert training["per_device_train_batch_size"] == 8 and recipe["data"]["train"] == "train.jsonl"


def test_a_base_model_that_the_audit_was_told_wins(tmp_path):
    run, manifest = trainer_run(tmp_path / "run", base_model="moved/model")
    verdict = planted([0.9, 0.9, 0.9, 0.9], [0.4, 0.6, 0.7, 0.8])
    write_recipe(run, manifest, verdict, ("why",), tmp_path / "retrain.yaml")
    assert load_recipe(str(tmp_path / "retrain.yaml")).model.name == "moved/model"


def test_a_recipe_that_is_known_loses_rate_and_steps_whatever_it_says(tmp_path):
    run, manifest = trainer_run(tmp_path / "run")
    written = {"model": {"name": "organism"}, "data": {"train": "t.jsonl"}, "loss": "mar", "output": "x"}
    training = {"max_steps": 400, "neftune_noise_alpha": 10}
    (run.path / "recipe.yaml").write_text(yaml.safe_dump(written | {"training": training}))
    verdict = planted([0.9, 0.9, 0.9, 0.9], [0.4, 0.6, 0.7, 0.8])
    found = write_recipe(run, manifest, verdict, ("why",), tmp_path / "retrain.yaml")
    recipe = load_recipe(str(tmp_path / "retrain.yaml"))
    # TRL's default rate is 2e-5; the lowest perplexity was at step 100.
    assert recipe.training == {"max_steps": 200, "learning_rate": 1e-5, "neftune_noise_alpha": 10}
    assert recipe.data.val == "val.jsonl" and recipe.loss == "mar"
    assert not any("neftune" in change for change in found.changes)


def test_epochs_that_are_not_written_are_the_libraries_three(tmp_path):
    run, manifest = trainer_run(tmp_path / "run")
    written = {"model": {"name": "organism"}, "data": {"train": "t.jsonl"}, "output": "x"}
    (run.path / "recipe.yaml").write_text(yaml.safe_dump(written))
    verdict = planted([0.9, 0.9, 0.9, 0.9], [0.4, 0.6, 0.7, 0.8])
    found = write_recipe(run, manifest, verdict, ("why",), tmp_path / "retrain.yaml")
    # The lowest perplexity was after one epoch.
    assert load_recipe(str(tmp_path / "retrain.yaml")).training["num_train_epochs"] == 2
    assert "num_train_epochs: 3 to 2" in found.changes


def test_another_trainers_adapter_keeps_what_it_is(tmp_path):
    run, manifest = trainer_run(tmp_path / "run", base_model="org/model")
    (checkpoint,) = run.checkpoints
    ours = {"r": 4, "lora_alpha": 8, "modules_to_save": ["lm_head"], "rank_pattern": {"q_proj": 2}}
    theirs = ours | {"use_dora": True, "use_rslora": False, "base_model_name_or_path": "elsewhere"}
    (checkpoint.path / "adapter_config.json").write_text(json.dumps(theirs))
    run = dataclasses.replace(run, checkpoints=(dataclasses.replace(checkpoint, kind="adapter"),))
    verdict = planted([0.9, 0.9, 0.9, 0.9], [0.4, 0.6, 0.7, 0.8])
    write_recipe(run, manifest, verdict, ("why",), tmp_path / "retrain.yaml")
    recipe = load_recipe(str(tmp_path / "retrain.yaml"))
    assert recipe.method == "dora" and recipe.lora == ours


def test_more_accurate_is_no_reason_unless_it_is_inflated():
    # With few problems one standard error exceeds the margin, and a later, fit checkpoint may be passed over.
    verdict = planted([0.5, 0.86, 0.88, 0.9], [0.5, 0.4, 0.41, 0.42])
    pick = dataclasses.replace(verdict.recommended, name=verdict.checkpoints[1].name)
    passed = dataclasses.replace(verdict, recommended=pick)
    assert passed.checkpoints[-1].stage == "fit" and reasons_to_retrain(passed) == ()


def test_without_training_data_there_is_no_recipe(tmp_path):
    run, manifest = trainer_run(tmp_path / "run", train=None)
    verdict = planted([0.9, 0.9, 0.9, 0.9], [0.4, 0.6, 0.7, 0.8])
    found = write_recipe(run, manifest, verdict, ("why",), tmp_path / "retrain.yaml")
    assert found.recipe is None and not (tmp_path / "retrain.yaml").exists()
    assert dataclasses.asdict(found)["reasons"] == ("why",)
