"""An override means what YAML says, and a text stays as it is typed."""

import pytest

from overmem.errors import RecipeError
from overmem.recipe.written import parse_override


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("training.learning_rate=1e-3", ("training.learning_rate", 1e-3)),
        ("data.train=wordmath:train[:10]", ("data.train", "wordmath:train[:10]")),
        ("training.bf16=false", ("training.bf16", False)),
        ("training.num_train_epochs=3", ("training.num_train_epochs", 3)),
        ("data.ood={}", ("data.ood", {})),
        ("template.prompt_format={prompt}", ("template.prompt_format", "{prompt}")),
        ("template.system=End with #### and it", ("template.system", "End with #### and it")),
        (
            "data.ood={svamp: 'svamp:a.json[7:9]', r: 1e-4}",
            ("data.ood", {"svamp": "svamp:a.json[7:9]", "r": 1e-4}),
        ),
        ("template.prompt_format={prompt}", ("template.prompt_format", "{prompt}")),
        ("template.prompt_format={prompt}: go", ("template.prompt_format", "{prompt}: go")),
        ("template.prompt_format=### {prompt}", ("template.prompt_format", "### {prompt}")),
        ("template.system='1e-3'", ("template.system", "1e-3")),
        ("template.system=null", ("template.system", None)),
        ("output=nan", ("output", "nan")),
    ],
)
def test_overrides_are_read_as_yaml(text, expected):
    assert parse_override(text) == expected


def test_an_override_without_a_value_is_refused():
    with pytest.raises(RecipeError, match="--set"):
        parse_override("nonsense")
