"""What a monitor may cost: whatever the prices, it stays within its share, and the end is measured."""

from types import SimpleNamespace

import pytest

from overmem.errors import RecipeError
from overmem.monitor.time_budget import TimeBudget

BATCHES = 8


class Run:
    """A run on a clock of its own: a due point after every `every` steps of one second each."""

    def __init__(self, max_cost=0.05, steps=400, every=10):
        self.now, self.steps, self.every = 0.0, steps, every
        self.time_budget = TimeBudget(max_cost, clock=lambda: self.now)
        self.visited, self.worst = [], -1.0

    def go(self, price, start=0, stop=None, warm_up=0.0):
        """Train on; a visit is 8 batches of `price(step) / 8` seconds, the first of a session warms up."""
        for step in range(start + 1, (stop or self.steps) + 1):
            self.now += 1.0
            if step % self.every and step != self.steps:
                continue
            with self.time_budget.visit(step, self.steps) as affordable:
                if affordable:
                    for batch in range(BATCHES):
                        self.now += price(step) / BATCHES + warm_up
                        warm_up = 0.0
                        self.time_budget.check((batch + 1) / BATCHES)
                    self.visited.append(step)
            self.worst = max(self.worst, self.time_budget.seconds - 0.05 * step)
        return self


@pytest.mark.parametrize("price", [0.01, 0.4, 0.5, 0.6, 1.3, 2.7, 4.4, 7.0, 9.5])
def test_it_stays_within_its_share_all_along_and_measures_the_end(price):
    run = Run().go(lambda step: price)
    assert run.time_budget.seconds <= 0.05 * 400
    # So does a run that is stopped early, but for the two batches that foresaw the first visit.
    assert run.worst <= (0 if price <= 0.5 else price / 4)
    assert run.visited[-1] == 400
    assert len(run.visited) >= min(40, int(0.05 * 400 / price)) - 1
    assert len(run.visited) + run.time_budget.skipped == 40


def test_points_are_spread_over_the_run():
    visited = Run().go(lambda step: 2.0).visited
    gaps = [after - before for before, after in zip([0, *visited], visited, strict=False)]
    assert max(gaps) < 2 * 40  # 2 s at 5% are 40 s apart; the last gap is wider, to pay for the end


def test_a_visit_that_is_dear_is_given_up_in_its_second_batch_and_counts():
    run = Run().go(lambda step: 8.0, stop=20)
    assert run.visited == [] and run.time_budget.skipped == 2
    assert run.time_budget.seconds == pytest.approx(2.0)  # two of eight batches, once
    assert run.time_budget.expected == pytest.approx(8.0)


def test_the_first_batch_is_not_taken_for_the_rest():
    run = Run().go(lambda step: 0.4, stop=20, warm_up=0.05)
    assert run.visited == [10, 20] and run.time_budget.expected == pytest.approx(0.4)


def test_prices_that_rise_are_followed():
    run = Run().go(lambda step: 0.4 if step <= 200 else 1.0)
    assert run.visited[:20] == list(range(10, 201, 10))
    assert run.time_budget.seconds <= 0.05 * 400 and run.visited[-1] == 400


def test_too_short_a_run_is_not_measured_and_one_warning_says_so(caplog):
    run = Run().go(lambda step: 30.0)
    assert run.visited == [] and run.time_budget.skipped == 40
    assert run.time_budget.seconds <= 0.05 * 400
    (record,) = caplog.records
    assert "5%" in record.getMessage() and "max_cost" in record.getMessage()


def test_without_a_bound_every_point_is_measured():
    run = Run(max_cost=None).go(lambda step: 30.0)
    assert len(run.visited) == 40 and run.time_budget.skipped == 0


def test_a_run_that_is_resumed_goes_on_with_what_it_has_spent():
    whole, cut = Run(), Run()
    whole.go(lambda step: 2.0)
    cut.go(lambda step: 2.0, stop=200)
    earlier = [2.0] * len(cut.visited)
    cut.now += 1000.0  # between sessions
    cut.time_budget.start(200, earlier)
    assert cut.time_budget.expected == 2.0
    cut.go(lambda step: 2.0, start=200)
    assert cut.visited[-1] == 400 and abs(len(cut.visited) - len(whole.visited)) <= 1
    assert 2.0 * len(cut.visited) <= 0.05 * 400


def test_short_sessions_are_measured_all_the_same():
    """Sessions of 20 s, visits that need 40: what the sessions before have trained counts."""
    run, earlier = Run(), []
    for start in range(0, 400, 20):
        run.time_budget.start(start, earlier)
        before = len(run.visited)
        run.go(lambda step: 2.0, start=start, stop=start + 20)
        earlier += [2.0] * (len(run.visited) - before)
    assert 5 <= len(run.visited) <= 10 and run.visited[-1] == 400


def test_the_share_counts_the_visit_under_way():
    run = Run()
    run.now += 100.0
    with run.time_budget.visit(100, 400):
        run.now += 3.0
        assert run.time_budget.so_far == 3.0 and run.time_budget.share == pytest.approx(0.03)


@pytest.mark.parametrize("max_cost", [0, -0.1, 1.5, float("nan")])
def test_a_bound_that_is_no_share_is_refused(max_cost):
    with pytest.raises(RecipeError, match="max_cost"):
        TimeBudget(max_cost)


def arguments(batch=8, accumulation=2, save="steps"):
    return SimpleNamespace(
        train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
        save_strategy=save,
        eval_strategy="no",
    )


@pytest.mark.parametrize(
    ("every", "save", "examples"),
    [("epoch", "steps", 1600), (25, "steps", 400), ("save", "steps", 800), ("save", "epoch", 1600),
     ("eval", "steps", 1600), (5000, "steps", 4800)],
)  # fmt: skip
def test_problems_follow_from_the_examples_between_two_points(every, save, examples):
    state = SimpleNamespace(max_steps=300, num_train_epochs=3, save_steps=50, eval_steps=None)
    readings = TimeBudget(0.05).readings(every, arguments(save=save), state)
    assert readings == pytest.approx(3 * 0.05 * examples, abs=1)
    assert TimeBudget(None).readings(every, arguments(save=save), state) > 10**9
