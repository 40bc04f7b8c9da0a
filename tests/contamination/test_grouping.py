"""Which problems are one group, and when a shared template makes none."""

import pytest

from overmem.contamination.check import check_sets
from overmem.contamination.grouping import (
    Grouping,
    find_groups,
    groups_beside_val,
    groups_by_column,
    groups_of_train,
    said_of_groups,
)
from overmem.errors import DataError
from overmem.records import Example

FRUITS = [
    f"{kind}{ending}"
    for kind in ("apple", "pear", "plum", "cherry", "melon", "grape", "berry", "mango", "lemon", "peach")
    for ending in ("s in a basket", "s on the table", "s from the old market", " trees behind a wall")
]


def wordings(templates, copies, first=3):
    """As many problems of each template, other numbers in each."""
    return [
        Example(
            f"{place}-{copy}",
            f"Maria counts {first + copy} {fruit} and then finds {7 * copy + 11 + first} more. How many?",
            "so many",
            "9",
        )
        for place, fruit in enumerate(FRUITS[:templates])
        for copy in range(copies)
    ]


def found(val, train=None):
    return find_groups(check_sets(val, train, {}), [example.id for example in val])


def test_one_template_with_other_numbers_is_a_group_where_enough_groups_are_left():
    grouping = found(wordings(40, 3))
    labels = grouping.labels_of([example.id for example in wordings(40, 3)])
    assert len(set(labels)) == 40 and labels[0] == labels[1] == labels[2] != labels[3]
    assert grouping.by == "one template with other numbers or names"


def test_few_templates_are_taken_for_the_task_where_training_is_not_known():
    assert found(wordings(12, 10)) is None
    assert found(wordings(12, 10), train=[Example("t", "Name the capital of Peru.", "Lima")]) is not None


def test_a_template_that_training_has_is_the_task_and_no_group():
    val, train = wordings(40, 3), wordings(15, 1, first=900)
    grouping = found(val, train)
    labels = grouping.labels_of([example.id for example in val])
    assert len(set(labels)) == 15 * 3 + 25


def test_where_training_has_most_templates_the_rest_are_the_task_too():
    assert found(wordings(40, 3), wordings(25, 1, first=900)) is None


def test_the_same_prompts_are_always_one_group_though_each_has_a_reference_of_its_own():
    val = [
        Example("a", "What is left of 7 when 2 go?", "5"),
        Example("b", "What is left of 7 when 2 go ?", "7-2=5"),
    ]
    grouping = found(val + wordings(2, 2))
    assert grouping.labels["a"] == grouping.labels["b"] and grouping.by == "the same prompt"


def test_a_column_says_the_groups_and_rows_without_a_value_stand_alone():
    rows = [{"source": "x"}, {"source": 3}, {"source": "x"}, {"source": None}, {}]
    val = [Example(str(i), f"q{i}", "r", row=row) for i, row in enumerate(rows)]
    grouping = groups_by_column(val, "source")
    assert grouping.labels_of([example.id for example in val]) == (
        "source=x",
        "source=3",
        "source=x",
        "3",
        "4",
    )
    assert said_of_groups(grouping, list("01234")) == (
        "groups: 5 val problems in 4 groups (column source); errors are those of the groups",
    )
    assert said_of_groups(grouping, list("01"), "training rows") == ()
    assert "2 training rows in 1 groups" in said_of_groups(grouping, ["0", "2"], "training rows")[0]
    made = [Example("0", "q", "r", meta={"steps": 2}), Example("1", "q2", "r", meta={"steps": 2})]
    assert len(set(groups_by_column(made, "steps").labels_of("01"))) == 1


def test_a_column_that_is_not_there_is_one_message():
    with pytest.raises(DataError, match="val has no column `tempalte`") as error:
        groups_by_column([Example("0", "q", "r", row={"question": "q", "template": 1})], "tempalte")
    assert error.value.got == "question, template"


def test_groups_of_one_are_no_groups():
    assert Grouping(labels={"a": "1", "b": "2"}, by="column x").labels_of("abc") is None
    assert said_of_groups(None, "abc") == said_of_groups(Grouping(labels={}, by=""), "abc") == ()


def test_another_set_is_grouped_by_its_column_or_by_equal_prompts_and_never_by_templates():
    examples = [*wordings(35, 2), Example("again", wordings(1, 1)[0].prompt, "another way", "9")]
    assert len(set(find_groups(check_sets(examples, None, {}), [e.id for e in examples]).labels)) > 60
    found = groups_beside_val(examples, "story")
    assert found.labels["0-0"] == found.labels["again"] and "0-1" not in found.labels
    assert len(set(found.labels_of([e.id for e in examples]))) == len(examples) - 1
    told = [Example(f"{i}", e.prompt, "", "9", meta={"story": i % 7}) for i, e in enumerate(examples)]
    assert len(set(groups_beside_val(told, "story").labels.values())) == 7
    assert groups_beside_val(wordings(35, 1), None) is None


def test_training_rows_are_grouped_by_their_texts_where_val_does_not_share_the_templates():
    val = [Example("v", "Name the capital of Peru.", "Lima"), *wordings(3, 1, first=900)]
    train = [*wordings(12, 4), Example("twice", wordings(1, 1)[0].prompt, "another way", "9")]
    labels = groups_of_train(train, val, None).labels_of([row.id for row in train])
    # Three templates are val's too, so their rows stand alone, but for the prompt that is there twice.
    assert len(set(labels)) == 3 * 4 + 9 and labels[0] == labels[-1] != labels[1]
    assert labels[12] == labels[15] != labels[16]
    # Where val has most of the templates, these are the task; equal prompts are one problem all the same.
    assert set(groups_of_train(train, wordings(7, 1, first=900), None).labels) == {"0-0", "twice"}
    assert groups_of_train(wordings(12, 4), wordings(7, 1, first=900), None) is None
    assert groups_of_train(wordings(12, 1), val, None) is None


def test_a_column_that_training_data_have_says_their_groups_and_another_does_not():
    rows = [Example(str(i), e.prompt, "", row={"story": i % 3}) for i, e in enumerate(wordings(6, 2))]
    found = groups_of_train(rows, wordings(6, 2, first=900), "story")
    assert len(set(found.labels.values())) == 3 and found.by == "column story"
    assert groups_of_train(rows, wordings(6, 2, first=900), "template") is None
