"""Problems that a model cannot take in are refused before anything is measured on it."""

from types import SimpleNamespace as Stub

import pytest

from overmem.auditing.jobs.fit import Capacity, check_answers_fit, check_scored
from overmem.errors import DataError
from overmem.rendering.rendered import Rendered
from tests.conftest import make_pico

ITEMS = tuple(
    Rendered(example_id=name, prompt_ids=asked, completion_ids=answer, prompt_text="", completion_text="")
    for name, asked, answer in (("short", (1, 2), (3,)), ("long", (1, 2, 3, 4), (9,)))
)


def problems(set_name="val", grader="exact", task=None):
    return Stub(set=set_name, grader=grader, task=task, rendered=ITEMS)


def test_a_models_capacity_is_that_of_its_weights_or_of_its_configuration(tokenizer):
    model = make_pico(tokenizer, seed=1, max_position_embeddings=32)
    expected = Capacity(rows=len(tokenizer), context=32)
    assert Capacity.of_model(model) == Capacity.of_configs(Stub(config=model.config)) == expected


def test_token_ids_and_lengths_at_the_limit_fit_and_one_more_does_not():
    check_scored(problems(), Capacity(rows=10, context=5))
    check_scored(problems(), Capacity(rows=None, context=None))
    with pytest.raises(DataError, match="token id 9"):
        check_scored(problems(), Capacity(rows=9, context=5))
    with pytest.raises(DataError, match="does not fit the context"):
        check_scored(problems(), Capacity(rows=10, context=4))


def test_the_longest_question_needs_room_for_its_answer():
    check_answers_fit(problems(), Capacity(rows=None, context=10), 6)
    check_answers_fit(problems(), Capacity(rows=None, context=None), 10**6)
    with pytest.raises(DataError, match=r"`long` may not fit the context[\s\S]*--max-new-tokens 6 or less"):
        check_answers_fit(problems(), Capacity(rows=None, context=10), 7)


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (False, problems("train")),
        (False, problems("val", grader="none")),
        (False, problems("ood/t", task=Stub())),
        (True, problems("ood/far")),
        (True, problems("retention/general", grader="none")),
    ],
)
def test_sets_that_are_never_asked_need_no_room(asked, given):
    if not asked:
        check_answers_fit(given, Capacity(rows=None, context=1), 64)
    else:
        with pytest.raises(DataError, match="may not fit"):
            check_answers_fit(given, Capacity(rows=None, context=1), 64)


def test_a_task_of_lm_eval_checks_itself():
    seen = []
    check_scored(problems(task=Stub(check_fits=seen.append)), Capacity(rows=1, context=1))
    assert seen == [1]
