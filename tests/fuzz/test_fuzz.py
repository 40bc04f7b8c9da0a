"""Seeded cases of every kind against the command line, and faults that the fuzzer has to see.

The fuzzer runs in a process forked from a warm one, and forks the cases itself.
"""

import json
import os
from collections import Counter
from random import Random

import pytest

from tests.fuzz.__main__ import case_names, show
from tests.fuzz.files import BY_FORMAT, mutate_file
from tests.fuzz.judge import FAULTS
from tests.fuzz.kinds import KINDS
from tests.fuzz.mutations import LITERALS, dump_json, mutate_bytes, mutate_value
from tests.fuzz.planted import PLANTED
from tests.fuzz.runner import Result
from tests.helpers.command import run_python
from tests.helpers.paths import ROOT
from tests.helpers.processes import ALONE

CASES, CHUNKS = 300, 15


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Of this call of pytest: above the folders of the processes of xdist, which share the material."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "fuzz"


def run_cases(folder, cases, limit=30):
    words = [word for case in cases for word in ("--case", case)]
    done = run_python(
        *("-m", "tests.fuzz", "--json", "--out", folder, "--limit", limit, *words),
        cwd=ROOT,
        env=ALONE,
        timeout=290,
    )
    assert done.returncode == 0, done.stderr
    return [Result(**json.loads(line)) for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_case_has_a_fault(folder, chunk):
    results = run_cases(folder, list(case_names(CASES, seed=0))[chunk::CHUNKS])
    assert len(results) == CASES // CHUNKS
    found = {result.case: (result.arguments, result.faults) for result in results if result.faults}
    assert not found, f"python -m tests.fuzz --case {next(iter(found))}"


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_seen(folder, name):
    [result] = run_cases(folder, [f"{name}:0"], 2 if name == "sleeper" else 30)
    assert PLANTED[name][1] in result.faults


def test_every_kind_of_fault_was_planted():
    assert {fault for _, fault in PLANTED.values()} == set(FAULTS)


def test_cases_take_the_kinds_in_turn():
    names = list(case_names(5, 7, ["a", "b"]))
    assert names == ["a:7", "b:7", "a:8", "b:8", "a:9"]
    assert len(set(case_names(CASES, 0))) == CASES
    assert {name.partition(":")[0] for name in case_names(CASES, 0)} == set(KINDS)


def test_the_table_counts_what_was_found(capsys):
    fine = Result(case="a:0", code=2, seconds=0.1)
    faulty = Result(case="a:1", code=0, seconds=3, faults={"escape": "\x1b"}, arguments=["x"])
    assert show([fine]) == 0 and show([fine, faulty]) == 1
    printed = capsys.readouterr().out
    assert "--case a:1" in printed and "\x1b" not in printed and "slowest 3.0 s" in printed
    row = dict(zip(*(line.split() for line in printed.splitlines()[-4:-2]), strict=False))
    assert row["cases"] == "2" and row["refused"] == "1" and row["answered"] == "1"


VALUE = {"a": [1, 2.5, "text", None, True], "b": {"c": {"d": "x"}}, "e": []}


def test_mutations_hang_on_the_seed_alone_and_change_something():
    changed = Counter()
    for seed in range(300):
        one, again = (dump_json(mutate_value(Random(seed), VALUE)) for _ in range(2))
        assert one == again
        changed["value"] += one != dump_json(VALUE)
        data = mutate_bytes(Random(seed), b"some bytes of a file")
        assert data == mutate_bytes(Random(seed), b"some bytes of a file")
        changed["bytes"] += data != b"some bytes of a file"
    assert min(changed.values()) > 250
    assert VALUE["a"] == [1, 2.5, "text", None, True]


def test_markers_become_what_no_writer_takes():
    assert dump_json({"a": "<<digits>>"}) == b'{"a": ' + b"9" * 5000 + b"}"
    assert dump_json({"a": 1, "a<<twice>>": 2}) == b'{"a": 1, "a": 2}'
    assert dump_json("\ud800") == b'"\\ud800"'
    assert not any(marker.encode() in dump_json(list(LITERALS)) for marker in LITERALS)


@pytest.mark.parametrize("ending", sorted({*BY_FORMAT, ".bin"} - {".safetensors", ".parquet"}))
def test_a_file_is_changed_and_what_is_linked_to_it_is_not(tmp_path, ending):
    texts = {".jsonl": '{"a": 1}\n{"a": 2}\n', ".csv": "a,b\n1,2\n", ".yaml": "a: 1\nb: [2]\n"}
    original, linked = tmp_path / "original", tmp_path / f"linked{ending}"
    changed = 0
    for seed in range(60):
        original.write_text(texts.get(ending, '{"a": [1, 2]}'))
        linked.hardlink_to(original)
        mutate_file(Random(seed), linked)
        assert original.read_text() == texts.get(ending, '{"a": [1, 2]}')
        changed += not linked.is_file() or linked.read_bytes() != original.read_bytes()
        if linked.is_dir():
            linked.rmdir()
        linked.unlink(missing_ok=True)
    assert changed > 45
