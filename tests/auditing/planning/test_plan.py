"""The time budget of a plan."""

from overmem.artifacts.jobs import Job
from overmem.auditing.planning.plan import AxisPlan, Plan, fit_budget


def axis(name, seconds, n=100):
    return AxisPlan(axis=name, tells="", jobs=(Job("greedy", name),), n=n, checkpoints=3, seconds=seconds)


def test_a_budget_pays_for_the_core_first_and_shares_the_rest_evenly():
    plan = Plan(axes=(axis("accuracy", 100), axis("ood", 10), axis("recall", 400), axis("diversity", 400)))
    cut = {item.axis: item for item in fit_budget(plan, 310).axes}
    assert cut["accuracy"].cut_from is None and cut["ood"].cut_from is None
    # 310 - 100 - 10 = 200 is left for two axes of 400 seconds: a quarter of the problems each.
    assert cut["recall"].n == cut["diversity"].n == 25
    assert sum(item.seconds for item in cut.values()) <= 310
    assert fit_budget(plan, 10_000).axes == plan.axes
    assert cut["recall"].limit == 25


def test_an_axis_on_too_few_problems_is_left_out_and_says_so():
    plan = Plan(axes=(axis("accuracy", 100), axis("recall", 1000)))
    left = {item.axis: item for item in fit_budget(plan, 200).axes}["recall"]
    assert left.jobs == () and "10 problems" in left.why_not
    tight = {item.axis: item for item in fit_budget(plan, 50).axes}["accuracy"]
    assert tight.n == 50 and tight.cut_from == 100


def test_canaries_and_their_candidates_are_measured_whole_whatever_the_limit():
    jobs = (Job("score", "val"), Job("score", "canaries"), Job("score", "canary_candidates"))
    item = AxisPlan(axis="privacy", tells="", jobs=jobs, n=100, checkpoints=1, limit=100, seconds=10.0)
    cut = fit_budget(Plan(axes=(item,)), 5.0)
    assert [cut.limits[job] for job in jobs] == [50, None, None]
