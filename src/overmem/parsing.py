"""JSON and YAML that others wrote, read in one place: bounded in size and depth, one error for any fault.

A file may come from anywhere: nested a thousand deep, a few hundred bytes that stand for gigabytes, numbers
of a thousand digits, another encoding. Each is refused in words, before anybody walks through it.
"""

from __future__ import annotations

import json
import math
import stat
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

MAX_DEPTH = 100
"""Lists and objects inside one another; what people and tools write has less than ten."""
MAX_BYTES = 1 << 30
"""Of a JSON file; a manifest of a million problems has a tenth."""
MAX_YAML_BYTES = 1 << 20
MAX_BITS = 10_000
"""Of a whole number: about 3,000 digits; Python refuses to print more than 4,300."""
MAX_YAML_NODES = 100_000
"""Values of a YAML file, those that aliases stand for counted each time."""
_SHOWN = 120


class ParseError(ValueError):
    """A text that is not JSON or YAML as it is read here; its message is why, in one line."""

    def __init__(self, why: str, *, line: int | None = None, text_after: bool = False) -> None:
        """Keep the reason.

        Args:
            why: in one line.
            line: where, counted from 1, where that is known.
            text_after: whether a whole value stands there and other text after it.
        """
        super().__init__(why if len(why) <= _SHOWN else why[: _SHOWN - 3] + "...")
        self.line, self.text_after = line, text_after


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    NaN and infinities are taken, which Python's writers write; see `parse_json_object` for a file.

    Raises:
        ParseError: not JSON, not UTF-8, nested too deep, or with a number of thousands of digits.
    """
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ParseError(str(error), line=error.lineno, text_after=error.msg == "Extra data") from None
    except RecursionError:
        raise ParseError(_too_deep()) from None
    except ValueError as error:  # digits beyond Python's limit, bytes that are no UTF-8
        raise ParseError(_without_advice(error)) from None
    brackets = text.count("[") + text.count("{") if isinstance(text, str) else MAX_DEPTH + 1
    if brackets > MAX_DEPTH and _depth(found) > MAX_DEPTH:
        raise ParseError(_too_deep())
    return found


def read_json(path: Path) -> Any:
    """The value of a JSON file.

    Raises:
        ParseError: as `parse_json`, or the file is too large.
        OSError: it cannot be opened.
    """
    return parse_json(read_whole_text(path, MAX_BYTES))


def read_json_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        ParseError: as `read_json`, or it holds something else.
        OSError: it cannot be opened.
    """
    found = read_json(path)
    if not isinstance(found, dict):
        raise ParseError(f"it holds {_kind(found)}, not an object")
    return found


def read_json_or_empty(path: Path) -> dict[str, Any]:
    """A JSON object that one can do without: empty where the file is missing, damaged or something else."""
    try:
        return read_json_object(path)
    except (OSError, ParseError):
        return {}


def finite_number(value: object) -> float | None:
    """A number from a file that anything may stand in; None where it is none, or not finite as a float."""
    if type(value) is float:  # first, since nearly all are
        return value if math.isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # a whole number of hundreds of digits
        return None


def parse_yaml(text: str) -> Any:
    """The value of a YAML text, of what JSON has too: a date stays the text that it is.

    Raises:
        ParseError: not YAML; a tag that asks for an object; a key twice; half of a character; a number of
            thousands of digits; nested too deep; or aliases that stand for too much.
    """
    import yaml

    try:
        return yaml.load(text, Loader=_plain_loader())
    except RecursionError:
        raise ParseError(_too_deep()) from None
    except ParseError:
        raise
    except Exception as error:  # PyYAML lets through what int(), float() and hash() raise
        mark = getattr(error, "problem_mark", None)
        why = getattr(error, "problem", None) or _without_advice(error)
        place = "" if mark is None else f" in line {mark.line + 1}, column {mark.column + 1}"
        raise ParseError(f"{' '.join(str(why).split())}{place}") from None


def read_yaml(path: Path) -> Any:
    """The value of a YAML file.

    Raises:
        ParseError: as `parse_yaml`, or the file is too large or no UTF-8.
        OSError: it cannot be opened.
    """
    return parse_yaml(read_whole_text(path, MAX_YAML_BYTES))


def _refuse_tag(loader: Any, node: Any) -> Any:
    raise ParseError(f"the tag {node.tag} asks for an object, in line {node.start_mark.line + 1}")


_KINDS = ("null", "bool", "int", "float", "str", "seq", "map")


@cache
def _plain_loader() -> Any:
    """A loader that reads maps, lists, texts, numbers, true, false and null.

    Made when it is first used: importing overmem imports nothing that the current folder could stand in
    for, until it is off the path (`python -m overmem`).
    """
    import yaml

    class PlainLoader(yaml.SafeLoader):
        """Reads maps, lists, texts, numbers, true, false and null."""

        def __init__(self, stream: str) -> None:
            super().__init__(stream)
            self._depth = 0
            self._sizes: dict[int, int] = {}
            """Values under a node, aliases counted each time."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            is_alias = self.check_event(yaml.AliasEvent)
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise ParseError(_too_deep())
            found = super().compose_node(parent, index)
            self._depth -= 1
            if isinstance(found, yaml.ScalarNode):
                found.value = _whole_characters(found.value, found.start_mark.line + 1)
            if is_alias and id(found) not in self._sizes:
                raise ParseError("an alias stands inside what it is an alias of")
            if not is_alias:
                self._sizes[id(found)] = 1 + sum(self._sizes[id(child)] for child in _children(found))
            if self._sizes[id(found)] > MAX_YAML_NODES:
                raise ParseError(f"it stands for more than {MAX_YAML_NODES:,} values, by aliases of aliases")
            return found

        def compose_mapping_node(self, anchor: Any) -> Any:
            found = super().compose_mapping_node(anchor)
            seen: set[str] = set()
            for key, _ in found.value:
                if isinstance(key, yaml.ScalarNode) and key.value in seen:
                    raise ParseError(
                        f"the key `{key.value}` stands there again in line {key.start_mark.line + 1}"
                    )
                seen.add(str(key.value))
            return found

        def construct_yaml_int(self, node: Any) -> int:
            found = super().construct_yaml_int(node)
            if found.bit_length() > MAX_BITS:
                raise ParseError(f"a number of thousands of digits stands in line {node.start_mark.line + 1}")
            return found

    PlainLoader.yaml_constructors = {
        f"tag:yaml.org,2002:{kind}": yaml.SafeLoader.yaml_constructors[f"tag:yaml.org,2002:{kind}"]
        for kind in _KINDS
    } | {None: _refuse_tag}
    PlainLoader.add_constructor("tag:yaml.org,2002:int", PlainLoader.construct_yaml_int)
    PlainLoader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in found if not tag.endswith(":timestamp")]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return PlainLoader


def _whole_characters(text: str, line: int) -> str:
    """A text of YAML without surrogates: JSON writes a character beyond 16 bits as two escapes.

    Raises:
        ParseError: half of a character stands alone, which can be written nowhere.
    """
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        pass
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise ParseError(f"half of a character (a lone surrogate) stands in line {line}") from None


def _children(node: Any) -> Iterator[Any]:
    if node.id == "sequence":
        yield from node.value
    elif node.id == "mapping":
        for pair in node.value:
            yield from pair


def read_whole_text(path: Path, most_bytes: int = MAX_YAML_BYTES) -> str:
    """The text of a file that anything may stand in place of.

    Args:
        path: the file.
        most_bytes: of it.

    Raises:
        ParseError: it is no ordinary file, too large or no UTF-8.
        OSError: it cannot be opened.
    """
    try:
        known = path.stat()
    except ValueError as error:  # a NUL in its name, which came from another file
        raise ParseError(str(error)) from None
    size = known.st_size
    # Reading a pipe waits for a writer, a device may have no end; the shell's own pipes lie under /dev/fd.
    if not (stat.S_ISREG(known.st_mode) or stat.S_ISDIR(known.st_mode)) and path.parent.name != "fd":
        raise ParseError("it is a pipe, a socket or a device, not a file")
    if size > most_bytes:
        raise ParseError(f"it has {size:,} bytes, more than {most_bytes:,}")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ParseError(
            f"it is no UTF-8 text: byte {error.object[error.start]:#04x} at {error.start}"
        ) from None


def _depth(value: Any) -> int:
    """How deep lists and objects are nested, without recursion."""
    depth, level = 0, [value]
    while level:
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
        depth += 1
    return depth


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _too_deep() -> str:
    return f"it is nested more than {MAX_DEPTH} deep"


def _without_advice(error: Exception) -> str:
    """The text of an error, without Python's advice to a programmer."""
    return str(error).partition(";")[0] or type(error).__name__
