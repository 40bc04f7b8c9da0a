"""The JSON records among a run's artifacts: `RUN/overmem/manifest.json`, `verdict.json` and others.

It imports no tables, so that a log is read and judged before they could be imported.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from overmem.artifacts.files import write_text_atomic
from overmem.boundary import reason
from overmem.errors import ArtifactError, RunError
from overmem.parsing import ParseError, read_json, read_json_or_empty

READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
"""What writing into a folder that may only be read fails with."""


class RunRecords:
    """The records of one run."""

    def __init__(self, root: Path) -> None:
        """Open (without creating) the artifact folder `root`, normally `RUN/overmem`."""
        self.root = root

    @classmethod
    def of_run(cls, run_path: Path, out: Path | None = None) -> Self:
        """The artifacts of a run, those in `out`, or `run_path` itself when that is an artifact folder."""
        if out is not None:
            return cls(out)
        manifest = run_path / "manifest.json"
        # Other tools name a file so, too; a damaged one counts as ours, and reading it says what is wrong.
        found = read_json_or_empty(manifest)
        is_store = manifest.is_file() and (not found or str(found.get("schema")).startswith("overmem."))
        return cls(run_path if is_store else run_path / "overmem")

    def write_record(self, name: str, record: Mapping[str, Any]) -> Path:
        """Write a JSON record that carries its own `schema`."""
        path = self.root / f"{name}.json"
        write_text_atomic(path, json.dumps(record, indent=1, allow_nan=False) + "\n")
        return path

    def read_record(self, name: str, schema: str) -> dict[str, Any]:
        """Read a JSON record and check its schema.

        Raises:
            ArtifactError: the file is missing, is not JSON, or has another schema.
        """
        path = self.root / f"{name}.json"
        try:
            record = read_json(path)
        except FileNotFoundError:
            raise ArtifactError(
                f"no {name}.json in {self.root}", next_step="run `overmem audit` on the run first"
            ) from None
        except (ParseError, OSError) as error:
            raise ArtifactError(
                f"{path} cannot be read",
                got=reason(error),
                expected="the JSON that overmem wrote",
                next_step="move it away and run the stage again",
            ) from None
        if not isinstance(record, dict) or record.get("schema") != schema:
            got = record.get("schema") if isinstance(record, dict) else type(record).__name__
            raise ArtifactError(
                f"{path} has another schema",
                got=got,
                expected=schema,
                next_step="run the stage again with this version of overmem",
            )
        return record

    def remove_record(self, name: str) -> None:
        """Remove a record that no longer describes what was measured."""
        (self.root / f"{name}.json").unlink(missing_ok=True)

    def has_record(self, name: str) -> bool:
        """Whether `name.json` exists."""
        return (self.root / f"{name}.json").is_file()

    def save_record(self, name: str, record: Mapping[str, Any]) -> str | None:
        """Write a record; returns why not where the folder may only be read."""
        try:
            self.write_record(name, record)
        except OSError as error:
            if error.errno not in READ_ONLY:
                raise
            return f"{self.root} cannot be written to ({error.strerror})"
        return None


def is_unaudited(path: Path) -> bool:
    """Whether nothing was measured of what lies at a path, so that its training log is all there is.

    Raises:
        RunError: nothing lies there.
    """
    if not path.exists():
        raise RunError("the run folder does not exist", got=path, next_step="check the path")
    return not RunRecords.of_run(path).has_record("manifest")
