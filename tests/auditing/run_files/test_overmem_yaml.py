"""`overmem.yaml`: written, read, checked, and beaten by the command line."""

from pathlib import Path

import pytest
import yaml

from overmem.auditing.consent import refuse_consent_of_a_file
from overmem.auditing.flags.reading import read_flags
from overmem.auditing.run_files.overmem_yaml import (
    COMMENTS,
    read_saved_options,
    said_of_saved,
    write_saved_options,
)
from overmem.errors import RunError
from overmem.records import Run
from overmem.rule import Rule


def written(folder: Path, text: object) -> Path:
    (folder / "overmem.yaml").write_text(text if isinstance(text, str) else yaml.safe_dump(text))
    return folder


def test_what_is_written_is_read_and_what_is_left_open_is_a_comment(tmp_path):
    fields = dict.fromkeys(COMMENTS) | {"val": "my val.jsonl[:40]", "axes": ["all"]}
    path = write_saved_options(tmp_path, fields, "a run\nof two lines: # odd")
    assert read_saved_options(tmp_path) == {"val": "my val.jsonl[:40]", "axes": ["all"]}
    assert "# train:\n" in path.read_text() and path.read_text().startswith("# a run\n# of two lines")
    assert read_saved_options(tmp_path / "no run") == {}


SAVED = {
    "val": "v.jsonl",
    "limit": 40,
    "limits": {"ood": 7, "recall": 8},
    "axes": "all",
    "ood": {"svamp": "s.json"},
    "template": {"kind": "plain", "eos": False},
    "rule": {"accuracy_margin": 0.05, "perplexity_ratio": 1.3},
}


def test_the_command_line_wins_over_the_file_and_the_file_over_defaults(tmp_path):
    saved = read_saved_options(written(tmp_path, SAVED))
    run = Run(path=tmp_path, checkpoints=())
    given = {"limit": ["9", "ood=3"], "ood": ["other=o.json"], "prompt_format": "Q {prompt}"}
    found = read_flags(run, {**given, "perplexity_ratio": 1.2}, saved)
    assert (found.val, found.limit, found.limits) == ("v.jsonl", 9, {"ood": 3, "recall": 8})
    assert found.ood == {"other": "o.json"} and "privacy" in found.axes
    assert (found.template.kind, found.template.eos) == ("plain", False)
    assert found.template.prompt_format == "Q {prompt}"
    assert found.rule == Rule(accuracy_margin=0.05, perplexity_ratio=1.2)
    assert read_flags(run, {"val": "w.jsonl"}, {}).limit is None
    quoted = read_saved_options(written(tmp_path, SAVED | {"rule": {"accuracy_margin": "0.05"}}))
    assert read_flags(run, {}, quoted).rule == Rule(accuracy_margin=0.05)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ({"vall": "x"}, "vall"),
        ({"half": "search"}, "half"),
        ({"val": "v", "limit": "many"}, "limit: "),
        ({"val": "v", "rule": {"acc": 1}}, "rule.acc: "),
        ({"val": "v", "rule": {"accuracy_margin": 3}}, "rule: "),
        ({"val": "v", "template": {"eos": "maybe"}}, "template.eos: "),
        ("- a\n- b\n", "list"),
        ("val: [\n", "line"),
        ("val: !!python/object:os.system x\n", "tag"),
    ],
)
def test_a_wrong_file_is_one_message_with_the_path_of_the_field(tmp_path, text, named):
    with pytest.raises(RunError, match=r"overmem\.yaml") as caught:
        read_saved_options(written(tmp_path, text))
    assert named in str(caught.value) and len(str(caught.value).splitlines()) <= 4


def test_what_was_taken_is_one_line_without_defaults(tmp_path):
    line = said_of_saved(tmp_path, SAVED | {"engine": "hf", "val": "x" * 300})
    assert "engine" not in line and "perplexity ratio 1.3" in line and "eos False" in line
    assert "limit 40" in line and len(line) < 400 and "\n" not in line
    assert said_of_saved(tmp_path, {"engine": "hf"}).endswith("nothing but defaults")


REFUSED = {
    "trust_remote_code": ({"trust_remote_code": True}, "--trust-remote-code"),
    "allow_pickle": ({"allow_pickle": True}, "--allow-pickle"),
    "allow_code_execution": ({"allow_code_execution": True}, "--allow-code-execution"),
    "grader": ({"grader": "python:a.py:f"}, "--grader python:a.py:f"),
    "engine": ({"engine": "openai:http://h:1"}, "--engine openai:http://h:1"),
    "template": ({"template": {"kind": "python:a.py:f"}}, "--template python:a.py:f"),
    "ood": ({"ood": {"mine": "lm_eval:t@tasks"}}, "--ood mine=lm_eval:t@tasks"),
    "retention": ({"retention": {"mine": "lm_eval:t@tasks"}}, "--retention mine=lm_eval:t@tasks"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_consent_is_not_read_from_the_file_and_must_be_repeated(name):
    fields, option = REFUSED[name]
    with pytest.raises(RunError, match="only the command line may") as caught:
        refuse_consent_of_a_file(fields, (), "overmem.yaml")
    assert option in str(caught.value)
    refuse_consent_of_a_file(fields, (name,), "overmem.yaml")


@pytest.mark.parametrize("engine", ["vllm:worker_cls=planted.Worker", "openai-text:http://h:1"])
def test_an_engine_with_arguments_or_an_address_is_not_the_files_to_choose(engine):
    with pytest.raises(RunError, match="server"):
        refuse_consent_of_a_file({"engine": engine}, (), "overmem.yaml")


def test_what_grants_nothing_passes():
    harmless = {"trust_remote_code": False, "engine": "vllm", "grader": "code", "ood": {"a": "lm_eval:x"}}
    refuse_consent_of_a_file(harmless, (), "overmem.yaml")


def test_a_key_left_empty_is_not_there_and_names_are_written_as_they_are(tmp_path):
    assert read_saved_options(written(tmp_path, "val: v.jsonl\naxes:\nlimit:\n")) == {"val": "v.jsonl"}
    fields = dict.fromkeys(COMMENTS) | {"val": "prüfung.jsonl"}
    assert "val: prüfung.jsonl\n" in write_saved_options(tmp_path, fields, "").read_text(encoding="utf-8")
    usual = {"rule": {"accuracy_margin": 0.03, "perplexity_ratio": 1.2}}
    assert said_of_saved(tmp_path, usual).endswith(": perplexity ratio 1.2")
