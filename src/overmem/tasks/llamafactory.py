"""Data as LLaMA-Factory's `dataset_info.json` describes them: which columns and tags mean what.

Such data were trained as chats, whatever their columns; so a row becomes `messages`, `text` (pretraining)
or a preference row, and the readers take it from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overmem.errors import DataError
from overmem.parsing import ParseError, parse_json
from overmem.tasks.columns import has_content
from overmem.tasks.fields import read_text
from overmem.tasks.formats.opening import read_text as text_of

FILE_NAME = "dataset_info.json"

_COLUMNS = {"prompt": "instruction", "query": "input", "response": "output", "messages": "conversations"}
_TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
_ROLES = {
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "tool",
    "function_tag": "function_call",
    "system_tag": "system",
}
_FORMATS = ("alpaca", "sharegpt", "openai")


def is_description(location: str) -> bool:
    """Whether a location is a `dataset_info.json` that is there."""
    path = Path(location)
    return path.name == FILE_NAME and path.is_file()


@dataclass(frozen=True)
class Description:
    """One data set of the file."""

    name: str
    file: Path
    """Its file or folder, where it is not on the hub."""
    hub_id: str | None
    config: str | None
    split: str
    formatting: str
    ranking: bool
    columns: Mapping[str, str | None]
    """What LLaMA-Factory calls a column, and what the file calls it."""
    tags: Mapping[str, str]
    note: str

    def standard_row(self, row: Any, where: str) -> dict[str, Any]:
        """A row under the names that the readers know.

        Raises:
            DataError: a turn of an unknown role, content that is not text, or nothing to learn from.
        """
        if not isinstance(row, Mapping):
            raise DataError(f"{where} is not a record", got=type(row).__name__, expected="named fields")
        found = {} if row.get("id") is None else {"id": row["id"]}
        for key in (f"{kind}s" for kind in ("image", "video", "audio")):
            if has_content(self._value(row, key)):
                found[key] = self._value(row, key)
        if has_content(tools := self._value(row, "tools")):
            found["tools"] = tools
        asked = self._asked_in_columns(row, where) if self.formatting == "alpaca" else self._asked(row, where)
        if isinstance(self._value(row, "kto_tag"), bool):
            found["label"] = self._value(row, "kto_tag")
        if self.ranking:
            chosen, rejected = (self._answer(row, key, where) for key in ("chosen", "rejected"))
            return {**found, "prompt": asked, "chosen": [chosen], "rejected": [rejected]}
        if self.formatting != "alpaca":
            return {**found, "messages": asked}
        if self.columns["response"] is None:
            return {**found, "text": asked[-1]["content"]}
        return {**found, "messages": [*asked, self._answer(row, "response", where)]}

    def _value(self, row: Mapping[str, Any], key: str) -> Any:
        column = self.columns.get(key)
        return None if column is None else row.get(column)

    def _required(self, row: Mapping[str, Any], key: str, where: str) -> Any:
        value = self._value(row, key)
        if value is None:
            raise DataError(
                f"{where} lacks the column `{self.columns.get(key)}`, which is to be the {key}",
                expected=f"one of {', '.join(map(str, row)) or '(none)'}",
                next_step=f"name the right one in `columns` of `{self.name}`",
            )
        return value

    def _asked_in_columns(self, row: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
        """The prompt of alpaca rows: system message, earlier turns, then instruction and input."""
        asked = self._system(row, where)
        for turn in self._value(row, "history") or ():
            if not isinstance(turn, list | tuple) or len(turn) != 2:
                raise DataError(f"{where}, history is not pairs of question and answer", got=repr(turn)[:100])
            asked += [
                {"role": role, "content": read_text(text, f"{where}, history")}
                for role, text in zip(("user", "assistant"), turn, strict=True)
            ]
        self._required(row, "prompt", where)
        parts = [self._value(row, key) for key in ("prompt", "query")]
        texts = [read_text(part, f"{where}, prompt") for part in parts if part]
        return [*asked, {"role": "user", "content": "\n".join(texts)}]

    def _asked(self, row: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
        """The turns of a conversation."""
        turns = self._required(row, "messages", where)
        if not isinstance(turns, list | tuple):
            raise DataError(f"{where} is not a list of messages", got=type(turns).__name__)
        asked = [self._turn(turn, f"{where}, turn {index}") for index, turn in enumerate(turns)]
        return asked if asked and asked[0]["role"] == "system" else [*self._system(row, where), *asked]

    def _system(self, row: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
        system = self._value(row, "system")
        return [{"role": "system", "content": read_text(system, f"{where}, system")}] if system else []

    def _answer(self, row: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
        value = self._required(row, key, where)
        if isinstance(value, Mapping):
            return self._turn(value, f"{where}, {key}")
        return {"role": "assistant", "content": read_text(value, f"{where}, {key}")}

    def _turn(self, turn: Any, where: str) -> dict[str, Any]:
        role, content = (
            turn.get(self.tags[tag]) if isinstance(turn, Mapping) else None
            for tag in ("role_tag", "content_tag")
        )
        kind = next((tag for tag in _ROLES if self.tags[tag] == role), None)
        if kind is None or not isinstance(turn, Mapping):
            raise DataError(
                f"{where} has an unknown role",
                got=repr(role),
                expected=", ".join(self.tags[tag] for tag in _ROLES),
                next_step=f"name it in `tags` of `{self.name}`",
            )
        return {"role": _ROLES[kind], "content": content}


def read_description(path: Path, name: str | None) -> Description:
    """Read what the file says of one data set.

    Args:
        path: a `dataset_info.json`.
        name: which data set of it.

    Raises:
        DataError: no such data set, none named, or one of a kind that is not read here.
    """
    entries = _entries(path)
    if name is None or name not in entries:
        raise DataError(
            f"which data set of {path}?" if name is None else f"{path} describes no data set `{name}`",
            expected=", ".join(entries)[:1000],
            next_step=f"write {path}#{next(iter(entries))}",
        )
    entry = entries[name]
    where = f"{path}, `{name}`"
    formatting = entry.get("formatting", "alpaca")
    if formatting not in _FORMATS:
        raise DataError(f"{where}: unknown formatting", got=repr(formatting), expected=", ".join(_FORMATS))
    hub_id, file_name = entry.get("hf_hub_url"), entry.get("file_name")
    if hub_id is None and not isinstance(file_name, str):
        raise DataError(
            f"{where} names neither a file nor a data set of the Hugging Face hub",
            got=f"keys {', '.join(entry)}",
            expected="file_name or hf_hub_url",
            next_step="fetch it, and give it a file_name",
        )
    file = path.parent / str(file_name)
    if hub_id is None and not file.exists():
        raise DataError(
            f"{where}: its file is missing",
            got=f"nothing at {file}",
            next_step="put it there, or name another",
        )
    # A description with columns has those alone, as LLaMA-Factory reads it.
    columns = entry.get("columns", _COLUMNS)
    tags = entry.get("tags")
    for key, value in (("columns", columns), ("tags", tags)):
        if value is not None and not isinstance(value, Mapping):
            raise DataError(f"{where}: `{key}` is not a record", got=repr(value)[:100])
        for known, said in (value or {}).items():
            if said is not None and not isinstance(said, str):
                raise DataError(
                    f"{where}: `{known}` of `{key}` is no text", got=repr(said)[:100], expected="a name"
                )
    count = entry.get("num_samples")
    drawn = "" if count is None else f"; all rows, of which LLaMA-Factory drew {count} at random"
    return Description(
        name=name,
        file=file,
        hub_id=hub_id,
        config=entry.get("subset"),
        split=entry.get("split", "train"),
        formatting=formatting,
        ranking=bool(entry.get("ranking", False)),
        columns={key: columns.get(key) for key in (*_COLUMNS, *columns)},
        tags={tag: (tags or {}).get(tag, default) for tag, default in _TAGS.items()},
        note=f"as `{name}` of {FILE_NAME} ({formatting}){drawn}",
    )


def _entries(path: Path) -> dict[str, dict[str, Any]]:
    try:
        held = parse_json(text_of(path))
    except ParseError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path} is not JSON ({error})", expected="the file in which LLaMA-Factory describes data sets"
        ) from error
    places = {"file_name", "hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name"}
    found = held if isinstance(held, dict) else {}
    entries = {
        name: entry for name, entry in found.items() if isinstance(entry, dict) and places & entry.keys()
    }
    if not entries:
        raise DataError(
            f"{path} describes no data set",
            got=f"keys {', '.join(found)[:200]}" if found else type(held).__name__,
            expected='{"NAME": {"file_name": "..."}}, as LLaMA-Factory has it',
        )
    return entries
