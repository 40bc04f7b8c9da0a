"""Records and rows on disk.

Covers: overmem.artifacts.files, overmem.artifacts.tables
"""

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from overmem.artifacts.files import check_folder, named_output, write_text_atomic
from overmem.artifacts.store import Store
from overmem.artifacts.tables import SCHEMAS, TEXT_SCHEMA, check_rows
from overmem.errors import ArtifactError, StorageError


def row(example_id, key="k", value=1.0):
    return {
        "row_key": key,
        "split": "val",
        "example_id": example_id,
        "example_sha": "s",
        "n_tokens": 2,
        "nll_nats": value,
        "logprob": [-0.5, -0.5],
        "entropy": [0.1, 0.1],
        "is_top1": [True, False],
        "top1_logprob": [-0.5, -0.1],
        "mu": [-0.1, -0.1],
        "sigma": [0.1, 0.1],
        "logprob_at_temperature": [[-0.5, -0.4], [-0.5, -0.4]],
    }


def test_parts_and_folded_rows_are_the_same(tmp_path):
    store = Store(tmp_path)
    store.append_rows("c", "likelihood", [row("b"), row("a")])
    store.append_rows("c", "likelihood", [row("c")])
    before = store.read_rows("c", "likelihood").sort("example_id")
    store.compact_parts("c", "likelihood")
    after = store.read_rows("c", "likelihood")
    assert after.equals(before)
    assert not (tmp_path / "c" / "likelihood.parts").exists()
    assert dict(after.schema) == SCHEMAS["likelihood"]


def test_settings_never_mix(tmp_path):
    store = Store(tmp_path)
    store.append_rows("c", "likelihood", [row("a", "old", 1.0), row("a", "new", 2.0)])
    store.compact_parts("c", "likelihood")
    assert store.read_rows("c", "likelihood", "new")["nll_nats"].to_list() == [2.0]


def test_a_kill_between_fold_and_clean_up_leaves_no_double_rows(tmp_path):
    store = Store(tmp_path)
    store.append_rows("c", "likelihood", [row("a")])
    store.compact_parts("c", "likelihood")
    store.append_rows("c", "likelihood", [row("a")])
    assert len(store.read_rows("c", "likelihood")) == 1


def test_what_a_process_killed_while_writing_left_is_cleared(tmp_path):
    store = Store(tmp_path)
    store.append_rows("c", "likelihood", [row("a")])
    (tmp_path / "c" / ".likelihood.parquet.123.tmp").write_bytes(b"half a tab")
    store.compact_parts("c", "likelihood")
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["likelihood.parquet"]


def test_only_asked_columns_are_read(tmp_path):
    store = Store(tmp_path)
    store.append_rows("c", "likelihood", [row("a")])
    assert "logprob" not in store.read_rows("c", "likelihood", columns=["nll_nats"]).columns


@pytest.mark.parametrize("damage", [b"", b"not parquet at all, not even near it"])
def test_damaged_rows_are_named(tmp_path, damage):
    store = Store(tmp_path)
    store.append_rows("c", "likelihood", [row("a")])
    file = tmp_path / "c" / "likelihood.parts" / "000000.parquet"
    file.write_bytes(damage)
    with pytest.raises(ArtifactError, match=r"000000\.parquet"):
        store.read_rows("c", "likelihood")


def test_rows_of_another_schema_are_refused(tmp_path):
    store = Store(tmp_path)
    (tmp_path / "c").mkdir()
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "c" / "likelihood.parquet")
    with pytest.raises(ArtifactError, match="another schema"):
        store.read_rows("c", "likelihood")


def test_records_check_their_schema(tmp_path):
    store = Store(tmp_path)
    store.write_record("verdict", {"schema": "overmem.verdict/0"})
    with pytest.raises(ArtifactError, match="another schema"):
        store.read_record("verdict", "overmem.verdict/1")
    (tmp_path / "verdict.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"verdict\.json cannot be read"):
        store.read_record("verdict", "overmem.verdict/1")
    with pytest.raises(ArtifactError, match="overmem audit"):
        store.read_record("manifest", "overmem.manifest/1")


def test_a_failed_write_leaves_the_old_record(tmp_path):
    store = Store(tmp_path)
    store.write_record("verdict", {"schema": "s", "x": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        store.write_record("verdict", {"schema": "s", "x": float("nan")})
    assert json.loads((tmp_path / "verdict.json").read_text())["x"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["verdict.json"]


def test_a_lock_ends_with_a_killed_process_and_leaves_no_file(tmp_path):
    killed = (
        "import os, pathlib, sys; from overmem.artifacts.store import Store\n"
        "with Store(pathlib.Path(sys.argv[1])).locked(): os.kill(os.getpid(), 9)"
    )
    store = Store(tmp_path / "overmem")
    assert subprocess.run([sys.executable, "-c", killed, str(store.root)]).returncode == -9
    with store.locked(), pytest.raises(ArtifactError, match="another overmem is measuring"), store.locked():
        pass
    with store.locked():
        pass
    assert not list(store.root.iterdir())


LITERAL = [
    "run[1]",
    "run*",
    "a?b",
    "[!a]",
    "~",
    "p%20q",
    "s3:",
    "new\nline",
    "h#x",
    "-d",
    "e\u0301",
    "r\udce9",
]


@pytest.mark.parametrize("name", LITERAL)
def test_a_folders_name_is_no_pattern(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for other in ("run1", "run2", "aXb", "b", "x"):
        Store(Path(other)).append_rows("c", "likelihood", [row("of another run")])
    store = Store(Path(name))
    store.append_rows("c", "likelihood", [row("a")])
    store.compact_parts("c", "likelihood")
    store.append_rows("c", "likelihood", [row("b")])
    store.write_texts(pl.DataFrame([dict.fromkeys(TEXT_SCHEMA, name[:1])]))
    assert store.read_rows("c", "likelihood")["example_id"].to_list() == ["a", "b"]
    assert len(store.read_texts()) == 1


DAMAGED = {
    "another type": ({"nll_nats": pl.String}, "`nll_nats` is of another type"),
    "no list": ({"logprob": pl.Float32}, "`logprob` is of another type"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_columns_of_another_type_are_one_message(tmp_path, name):
    types, message = DAMAGED[name]
    table = pl.DataFrame([row("a")], schema=SCHEMAS["likelihood"])
    table = table.with_columns(pl.lit(None).cast(kind).alias(column) for column, kind in types.items())
    (tmp_path / "c").mkdir()
    table.write_parquet(tmp_path / "c" / "likelihood.parquet", metadata={"schema": "overmem.likelihood/2"})
    with pytest.raises(ArtifactError, match=rf"{message}[\s\S]*move it away"):
        Store(tmp_path).read_rows("c", "likelihood")


@pytest.mark.parametrize("field", [{"nll_nats": None}, {"n_tokens": 3}, {"example_id": None}])
def test_rows_without_a_figure_or_of_other_tokens_are_one_message(tmp_path, field):
    Store(tmp_path).append_rows("c", "likelihood", [row("a"), row("b") | field])
    with pytest.raises(ArtifactError, match=rf"{next(iter(field))}|a list in"):
        Store(tmp_path).read_rows("c", "likelihood")


def test_a_full_disk_is_one_message_and_leaves_no_file(tmp_path, monkeypatch):
    def full(*arguments, **more):
        raise OSError(errno.ENOSPC, "No space left on device")

    class Full(io.BytesIO):
        write = full

    opened = Path.open
    store = Store(tmp_path)
    store.append_rows("c", "likelihood", [row("a")])
    monkeypatch.setattr(Path, "write_text", full)
    monkeypatch.setattr(
        Path, "open", lambda path, mode="r", *a: Full() if "w" in mode else opened(path, mode, *a)
    )
    for work in (
        lambda: store.append_rows("c", "likelihood", [row("b")]),
        lambda: store.compact_parts("c", "likelihood"),
        lambda: store.write_record("verdict", {"schema": "s"}),
    ):
        with pytest.raises(StorageError, match=r"disk is full[\s\S]*run it again"):
            work()
    assert store.read_rows("c", "likelihood")["example_id"].to_list() == ["a"]
    assert not list(tmp_path.rglob("*.tmp"))


def test_rows_without_what_every_row_has_are_refused(tmp_path):
    store = Store(tmp_path)
    answer = {"row_key": "k", "split": "val", "example_id": "1", "example_sha": "s", "n_tokens": 0}
    answer |= {"variant": "clean", "sample": 0, "temperature": 0.0, "text": "", "finished": True}
    store.append_rows("checkpoint-1", "generations", [answer])
    assert len(store.read_rows("checkpoint-1", "generations", columns=["finished"])) == 1
    store.append_rows("checkpoint-1", "generations", [answer | {"example_id": "2", "finished": None}])
    with pytest.raises(ArtifactError, match="the column `finished` has empty fields"):
        store.read_rows("checkpoint-1", "generations", columns=["finished"])


def test_rows_of_which_some_lack_lists_of_their_tokens_are_refused(tmp_path):
    store = Store(tmp_path)
    store.append_rows("whole", "likelihood", [row("1"), row("2")])
    assert len(store.read_rows("whole", "likelihood")) == 2
    store.append_rows("some rows", "likelihood", [row("1"), row("2") | {"mu": None}])
    store.append_rows("one list", "likelihood", [row("1") | {"is_top1": None}])
    for damaged in ("some rows", "one list"):
        with pytest.raises(ArtifactError, match="some rows lack lists of their tokens"):
            store.read_rows(damaged, "likelihood")


def test_a_problem_whose_texts_are_there_twice_is_one_message(tmp_path):
    texts = pl.DataFrame({name: ["val", "ood"] for name in TEXT_SCHEMA}).with_columns(example_id=pl.lit("p"))
    store = Store(tmp_path)
    store.write_texts(texts)
    assert len(store.read_texts()) == 2
    store.write_texts(pl.concat([texts, texts[:1]]))
    with pytest.raises(ArtifactError, match=r"has a problem twice[\s\S]*p of val"):
        store.read_texts()


WRONG = {
    "a gap in a list": {"logprob": [-0.5, None]},
    "not a number in a list": {"logprob": [-0.5, float("nan")]},
    "infinite in a list": {"entropy": [0.1, float("inf")]},
    "a gap in a list of truths": {"is_top1": [True, None]},
    "not a number": {"nll_nats": float("nan")},
    "infinite": {"nll_nats": float("inf")},
}


@pytest.mark.parametrize("name", WRONG)
def test_values_that_no_model_gives_are_one_message(tmp_path, name):
    column, kinds = next(iter(WRONG[name])), SCHEMAS["likelihood"]
    unknown = {"entropy": [float("nan")] * 2, "mu": [float("nan")] * 2, "sigma": [float("nan")] * 2}
    rows = [{name: value for name, value in (row("a") | unknown).items() if name in kinds}] * 2
    check_rows(pl.DataFrame(rows, schema=kinds), tmp_path)
    table = pl.DataFrame([*rows, rows[0] | WRONG[name]], schema=kinds)
    with pytest.raises(ArtifactError, match=rf"`{column}` has values that no model or grader gives"):
        check_rows(table, tmp_path)


@pytest.mark.parametrize("correct", [1.5, -1.0, float("nan")])
def test_correctness_beyond_0_and_1_is_one_message(tmp_path, correct):
    table = pl.DataFrame({"row_key": ["k"], "correct": [correct]})
    with pytest.raises(ArtifactError, match=r"`correct`[\s\S]*1 of them[\s\S]*from 0 to 1"):
        check_rows(table, tmp_path)


@pytest.mark.parametrize("name", ["folder", "pipe", "stream", "", "/", "folder/.."])
def test_what_a_file_cannot_take_the_place_of_is_left_as_it_is(tmp_path, monkeypatch, name):
    # For root, a rename would put an ordinary file in the place of /dev/null.
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    os.mkfifo("pipe")
    Path("stream").symlink_to("/proc/self/fd/1")
    before = {path.name: path.lstat() for path in Path().iterdir()}
    with pytest.raises(StorageError, match=r"cannot be written as a file[\s\S]*got: +a (folder|device)"):
        write_text_atomic(Path(name), "x")
    assert {path.name: path.lstat() for path in Path().iterdir()} == before


def test_a_link_in_a_shared_folder_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "mine").write_text("kept")
    for name, target in (("report.html", "mine"), ("loop", "loop")):
        (tmp_path / name).symlink_to(target)
        write_text_atomic(tmp_path / name, "x")
        assert not (tmp_path / name).is_symlink() and (tmp_path / name).read_text() == "x"
    assert (tmp_path / "mine").read_text() == "kept"


def test_a_slip_in_the_name_of_an_output_costs_no_file(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    for name, why in (("val.jsonl", "ending in .jsonl"), ("manifest.json", "a file of the audit")):
        with pytest.raises(StorageError, match=rf"not written over[\s\S]*{why}"):
            named_output(tmp_path / name, ".json")
    for name in ("report.json", "new.json", "page", "page.txt"):
        assert named_output(tmp_path / name, ".json") == tmp_path / name


def test_a_row_twice_in_one_file_is_not_answered_by_either(tmp_path):
    store = Store(tmp_path)
    store.append_rows("c", "likelihood", [row("a"), row("a", value=9.0)])
    with pytest.raises(ArtifactError, match="has a row twice"):
        store.read_rows("c", "likelihood")


def test_a_folder_that_can_hold_no_results_is_refused_before_there_are_any(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to("missing")
    for free in (tmp_path, tmp_path / "new" / "run"):
        check_folder(free)
    monkeypatch.chdir(tmp_path)
    check_folder(Path("new"))
    for barred in ("file", "file/run", "nowhere/run"):
        with pytest.raises(StorageError, match=f"{barred.split('/')[0]} is no folder"):
            check_folder(tmp_path / barred)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "nowhere"]
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)  # root may write anywhere
    with pytest.raises(StorageError, match=f"no permission to write into {tmp_path}"):
        check_folder(tmp_path / "new" / "run")
