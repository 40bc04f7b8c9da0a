"""Export the rows of an audited run, as tables or as another tool's files."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from overmem.artifacts.files import named_output, whole_file
from overmem.artifacts.manifest_parts.model_rows import CheckpointRows
from overmem.errors import RunError
from overmem.formatting import visible
from overmem.results.exporting.as_inspect import write_inspect
from overmem.results.exporting.as_lm_eval import write_lm_eval
from overmem.results.exporting.rows import TEXT_COLUMNS, Exported, read_exported
from overmem.verdict.diagnose import open_audit

FORMATS = ("lm-eval", "inspect", "csv", "parquet", "lm-eval-task")


def export_rows(format: str, run: str | Path, out: str | Path) -> list[Path]:
    """Write the val rows of every checkpoint.

    Args:
        format: `csv` or `parquet` (one file; the texts are in the second), `lm-eval` or `inspect` (a folder).
        run: folder of the run, or its artifacts.
        out: file or folder.

    Returns:
        The files written.

    Raises:
        OvermemError: an unknown format, no audit, or nothing to export.
    """
    if format not in FORMATS[:-1]:
        raise RunError("unknown format of an export", got=format, expected=", ".join(FORMATS))
    run_path, target = Path(run), Path(out)
    store, manifest = open_audit(run_path)
    found = read_exported(store, manifest)
    home = run_path.parent if run_path == store.root and run_path.name == "overmem" else run_path
    if format == "lm-eval":
        return write_lm_eval(found, manifest, home, target)
    if format == "inspect":
        return write_inspect(found, manifest, home, target)
    table = _table(found)
    with whole_file(named_output(target, f".{format}")) as temporary:
        if format == "csv":
            _without_formulas(table.drop(TEXT_COLUMNS)).write_csv(temporary)
        else:
            table.write_parquet(temporary)
    return [target]


def _table(found: list[Exported]) -> pl.DataFrame:
    """All rows as one table, in the columns that `overmem import` reads."""
    return pl.concat(
        item.rows.select(
            pl.lit(item.model.name).alias("checkpoint"),
            pl.lit(item.model.step if isinstance(item.model, CheckpointRows) else 0).alias("step"),
            pl.all(),
        )
        for item in found
    )


def _without_formulas(table: pl.DataFrame) -> pl.DataFrame:
    """Ids as a spreadsheet shows them: none is taken for a formula or hides what it holds."""
    column = pl.col("example_id").map_elements(_plain, return_dtype=pl.String)
    return table.with_columns(column)


def _plain(text: str) -> str:
    shown = visible(text)
    return f"'{shown}" if shown[:1] in ("=", "+", "-", "@") and not shown[1:2].isdigit() else shown
