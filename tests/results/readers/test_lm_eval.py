"""lm-eval's files, as 0.4.13 and older releases write them: what is read, and what is refused.

Covers: overmem.results.readers.files
"""

import json

import pytest

from overmem.errors import DataError
from overmem.results.readers.lm_eval import model_of, read_lm_eval
from tests.helpers.results import lm_eval_sample, write_lm_eval


def words(context, continuation):
    """Tokens of a continuation: its words."""
    return len(continuation.split())


def read(path, metric=None, count=words):
    return read_lm_eval(path, metric, lambda model: count)


def test_answers_and_references_are_read_to_the_figure(tmp_path):
    tasks = {
        "math": ("generate_until", [lm_eval_sample(i, float(i % 2)) for i in range(4)]),
        "refs": ("loglikelihood", [lm_eval_sample(i, 0, scored=1.5 + i) for i in range(4)]),
    }
    write_lm_eval(tmp_path, "/runs/checkpoint-5", tasks)
    math, refs = read(tmp_path)
    assert (math.model, math.metric, math.version) == ("/runs/checkpoint-5", "exact_match,none", "0.4.13")
    assert math.samples["correct"].to_list() == [0, 1, 0, 1] and not math.has("nll_nats")
    assert math.samples["text"][0] == " text" and math.samples["sha"][2] == "hash-2"
    assert refs.samples["nll_nats"].to_list() == [1.5, 2.5, 3.5, 4.5]
    assert refs.samples["n_tokens"].to_list() == [3] * 4 and not refs.has("correct")


def test_without_a_tokenizer_there_is_no_likelihood(tmp_path):
    write_lm_eval(tmp_path, "m", {"refs": ("loglikelihood", [lm_eval_sample(0, 0, scored=1.0)])})
    assert not read(tmp_path, count=lambda a, b: None)[0].has("nll_nats")


def test_the_likelihood_of_a_choice_is_that_of_the_right_one(tmp_path):
    line = lm_eval_sample(0, 1.0, metric="acc") | {
        "target": 1,
        "arguments": {
            f"gen_args_{i}": {"arg_0": "Q", "arg_1": c} for i, c in enumerate((" no", " yes it is"))
        },
        "resps": [[["-3.0", "False"]], [["-0.25", "True"]]],
    }
    write_lm_eval(tmp_path, "m", {"arc": ("multiple_choice", [line])})
    (found,) = read(tmp_path)
    assert found.samples.select("correct", "nll_nats", "n_tokens").row(0) == (1.0, 0.25, 3)


def test_our_own_references_are_read_without_the_white_space_that_lm_eval_scores_too(tmp_path):
    def line(nll, continuation):
        found = lm_eval_sample(0, 0, scored=nll)
        found["doc"] = {"completion": "Yes", "n_tokens": 7}
        return found | {"arguments": {"gen_args_0": {"arg_0": "Q\n", "arg_1": continuation}}}

    tasks = {"overmem_references": ("loglikelihood", [line(5.0, "Yes")])}
    write_lm_eval(tmp_path, "m", tasks)
    with pytest.raises(DataError, match="needs overmem_white_space beside it"):
        read(tmp_path)
    tasks["overmem_white_space"] = ("loglikelihood", [line(2.0, "")])
    write_lm_eval(tmp_path, "m", tasks)
    (found,) = read(tmp_path)
    assert found.samples.select("nll_nats", "n_tokens").row(0) == (3.0, 7) and not found.has("correct")
    # Sums of 32-bit numbers: the whole may come out below its part, and a loss below 0 is refused later.
    tasks["overmem_white_space"] = ("loglikelihood", [line(5.0001, "")])
    write_lm_eval(tmp_path, "m", tasks)
    assert read(tmp_path)[0].samples["nll_nats"].to_list() == [0.0]


def test_the_first_filter_counts_and_the_others_are_named(tmp_path):
    lines = [
        lm_eval_sample(i, right, filter=by) for by, right in (("strict", 1.0), ("loose", 0.0)) for i in (0, 1)
    ]
    write_lm_eval(tmp_path, "m", {"gsm8k": ("generate_until", lines)})
    (found,) = read(tmp_path)
    assert found.metric == "exact_match,strict" and found.samples["correct"].sum() == 2
    assert found.notes == ("gsm8k is read by exact_match,strict; exact_match,loose is there too (--metric)",)
    assert read(tmp_path, "exact_match,loose")[0].samples["correct"].sum() == 0
    with pytest.raises(DataError, match="no task has this metric"):
        read(tmp_path, "bleu")


def test_aggregates_alone_are_a_score(tmp_path):
    write_lm_eval(tmp_path, "m", {"gsm8k": ("generate_until", (0.305, 1319))})
    (found,) = read(tmp_path)
    assert (found.score.accuracy, found.score.n, found.samples) == (0.305, 1319, None)


@pytest.mark.parametrize(
    "arguments, name",
    [
        ("pretrained=/base,peft=/runs/checkpoint-5,dtype=float32", "/runs/checkpoint-5"),
        ("pretrained=/runs/checkpoint-5", "/runs/checkpoint-5"),
        ({"pretrained": "/runs/x"}, "/runs/x"),
        (None, "named"),
    ],
)
def test_the_model_is_the_adapter_or_what_was_loaded(arguments, name):
    assert model_of({"config": {"model_args": arguments}, "model_name": "named"}) == name


def test_older_files_without_a_list_of_metrics_are_read(tmp_path):
    line = lm_eval_sample(0, 1.0)
    del line["metrics"], line["filter"]
    line["arguments"] = [["Q", {"until": []}]]
    write_lm_eval(tmp_path, "m", {"gsm8k": ("generate_until", [line])})
    assert read(tmp_path)[0].samples.select("correct", "prompt").row(0) == (1.0, "Q")


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda file, samples: file.write_text(file.read_text()[:200]), "cannot be read as results"),
        (lambda file, samples: file.write_text("{}"), "is no file of results"),
        (lambda file, samples: samples.write_text(samples.read_text()[:-40]), "line 1: "),
        (lambda file, samples: samples.write_text('{"a": 1}\n'), "no file of samples"),
        (lambda file, samples: samples.write_text("version https://git-lfs.github.com/spec/v1\n"), "Git LFS"),
        (lambda file, samples: samples.write_text(""), "empty|no sample"),
        (lambda file, samples: (file.unlink(), samples.unlink()), "holds no results"),
    ],
)
def test_what_is_cut_off_or_something_else_is_one_message(tmp_path, spoil, message):
    file = write_lm_eval(tmp_path, "m", {"gsm8k": ("generate_until", [lm_eval_sample(0, 1.0)])})
    spoil(file, next(tmp_path.rglob("samples_*")))
    with pytest.raises(DataError, match=message):
        read(tmp_path)


def test_a_hostile_sample_is_refused_or_left_without_a_figure(tmp_path):
    line = lm_eval_sample(0, 0, scored=1.0)
    for resps in ([[["nan", "False"]]], [[["-1e999", "False"]]], [], "x", [[{"a": 1}]]):
        folder = tmp_path / str(abs(hash(str(resps))))
        write_lm_eval(
            folder, "m", {"refs": ("loglikelihood", [json.loads(json.dumps(line | {"resps": resps}))])}
        )
        assert not read(folder)[0].has("nll_nats")
