"""What is checked of a case: the exit code, what was printed, and the files that are there afterwards."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

FAULTS = (
    "traceback",
    "over time",
    "half-written",
    "lost",
    "leftover",
    "escape",
    "message",
    "exit code",
    "json",
    "not made",
)
_TRACE = re.compile(
    r"Traceback \(most recent|^\s*File \"|panicked at|PanicException|Exception ignored"
    r"|^\S+(Error|Exception|Warning): "
    r"|\b(polars|jinja2|pydantic(_core)?|safetensors|yaml|json|http)\.[a-z_.]*[A-Z]\w+(Error|Exception)",
    re.MULTILINE,
)
"""What a library or Python prints of an error that nobody caught, or its class by its module."""
_OBEYED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What a terminal would obey, or that turns a line around."""
_LEFTOVER = re.compile(r"\..+\.\d+\.tmp|\.lock")
_PARTS = re.compile(r"^ +(got|expected|next): ", re.MULTILINE)
_USAGE = re.compile(r"\AUsage: .*^Error: ", re.MULTILINE | re.DOTALL)

Snapshot = dict[str, bytes]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What a case left: how it ended, what it printed, and its files before and after."""

    code: int | None
    """Of its exit; below 0 the signal that ended it; None where it was ended after the limit."""
    stdout: bytes
    stderr: bytes
    folder: Path
    before: Snapshot
    arguments: list[str] = field(default_factory=list)


def snapshot(folder: Path) -> Snapshot:
    """The bytes of every ordinary file under a folder, by its name in it.

    Of the material that is linked here and was not touched, a name for its bytes stands there, except of what
    an audit saved.
    """
    found = {}
    for path in _files(folder):
        known = path.stat()
        name = str(path.relative_to(folder))
        untouched = known.st_nlink > 1 and "/overmem/" not in name
        found[name] = f"{known.st_ino} {known.st_mtime_ns}".encode() if untouched else path.read_bytes()
    return found


def faults(ended: Ended) -> dict[str, str]:
    """What is wrong with a case, by name, with a few words; empty where nothing is.

    Whether Parquet files can be read is looked at apart: see `unreadable`.
    """
    if ended.code is None:
        return {"over time": "ended by the fuzzer"}
    found: dict[str, str] = {}
    out, err = (data.decode("utf-8", "backslashreplace") for data in (ended.stdout, ended.stderr))
    for name, text in (("stdout", out), ("stderr", err)):
        if match := _TRACE.search(text):
            found["traceback"] = f"{name}: {_around(text, match)} ... {text[-700:]}"
        if match := _OBEYED.search(text):
            found["escape"] = f"{name}: {_around(text, match)!r}"
    if ended.code not in (0, 1, 2):
        found["exit code"] = f"{ended.code}: {err[-300:]}"
    if ended.code == 2 and (why := _no_message(err)):
        found["message"] = f"{why}: {err[-600:]}"
    if ended.code == 0 and "--json" in ended.arguments and (why := _not_json(out)):
        found["json"] = why
    after = snapshot(ended.folder)
    found |= _of_files(ended, after)
    return found


def changed_files(ended: Ended) -> list[Path]:
    """Files that are new or have other bytes than before."""
    after = snapshot(ended.folder)
    return [ended.folder / name for name, data in after.items() if ended.before.get(name) != data]


def unreadable(files: list[Path]) -> str:
    """Why a file that was written cannot be read by the reader it was written for; empty where all can."""
    from overmem.artifacts.manifest import read_manifest
    from overmem.artifacts.store import Store
    from overmem.artifacts.tables import SCHEMAS, TEXTS
    from overmem.contamination.record import read_contamination
    from overmem.records import VERDICT_SCHEMA, Verdict

    for path in files:
        store = Store(path.parent)
        try:
            if path.name == TEXTS:
                store.read_texts()
            elif path.suffix == ".parquet":
                parts = path.parent.suffix == ".parts"
                rows = path.parent.stem if parts else path.stem
                home = path.parent.parent if parts else path.parent
                if rows in SCHEMAS:
                    Store(home.parent).read_rows(home.name, rows)  # type: ignore[arg-type]
            elif path.name == "manifest.json":
                read_manifest(store)
            elif path.name == "verdict.json":
                Verdict.from_dict(store.read_record("verdict", VERDICT_SCHEMA))
            elif path.name == "contamination.json":
                read_contamination(store)
        except Exception as error:
            return f"{path}: {type(error).__name__}: {error}"
    return ""


def _of_files(ended: Ended, after: Snapshot) -> dict[str, str]:
    found = {}
    copied = set(ended.before.values())
    for name, data in after.items():
        if _LEFTOVER.fullmatch(Path(name).name) and name not in ended.before:
            found["leftover"] = name
        if data not in copied and not _is_whole(Path(name), data):
            found["half-written"] = f"{name}: {data[-100:]!r}"
    if ended.code == 2:
        for name, data in ended.before.items():
            is_measured = "/overmem/" in name and name.endswith((".parquet", "manifest.json", "verdict.json"))
            if is_measured and after.get(name) != data:
                found["lost"] = f"{name} is {'another' if name in after else 'gone'} after a refusal"
    return found


def _is_whole(path: Path, data: bytes) -> bool:
    """Whether a file that was written has its end."""
    try:
        if path.suffix == ".json":
            json.loads(data)
        elif path.suffix == ".jsonl":
            [json.loads(line) for line in data.splitlines()]
            return data.endswith(b"\n") or not data
        elif path.suffix == ".html":
            return data.rstrip().endswith(b"</html>")
        elif path.suffix == ".parquet":
            return data[:4] == data[-4:] == b"PAR1"
        elif path.suffix == ".safetensors":
            length = int.from_bytes(data[:8], "little")
            header = json.loads(data[8 : 8 + length])
            ends = [value["data_offsets"][1] for key, value in header.items() if key != "__metadata__"]
            return 8 + length + max(ends, default=0) == len(data)
    except (ValueError, KeyError):
        return False
    return True


def _no_message(err: str) -> str:
    """Why what was printed is not one message for a person; empty where it is."""
    if _USAGE.search(err):
        return ""
    count = len(re.findall(r"^overmem: ", err, re.MULTILINE))
    if count != 1:
        return f"{count} messages"
    message = err[re.search(r"^overmem: ", err, re.MULTILINE).start() :]  # type: ignore[union-attr]
    return "" if _PARTS.search(message) else "none of got, expected and next"


def _not_json(out: str) -> str:
    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    try:
        json.loads(out, parse_constant=refuse)
    except ValueError as error:
        return f"{error}: {out[:200]}"
    return ""


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        try:
            if stat.S_ISREG(path.lstat().st_mode):
                yield path
        except OSError:
            continue


def _around(text: str, match: re.Match[str]) -> str:
    return text[max(0, match.start() - 60) : match.end() + 200]
