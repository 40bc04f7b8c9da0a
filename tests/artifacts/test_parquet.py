"""Parquet files: damage of every kind is one error and no other figure, and parts are read apart."""

from random import Random

import polars as pl
import pytest

from overmem.artifacts import parquet
from overmem.artifacts.parquet import read_table, spans_of, write_table
from overmem.errors import ArtifactError

COLUMNS = {"name": pl.String, "values": pl.List(pl.Float32), "right": pl.List(pl.Boolean), "n": pl.Int64}
TABLE = pl.DataFrame(
    {
        "name": [f"name {i}" for i in range(40)],
        "values": [[i / 7, -i] for i in range(40)],
        "right": [[True, i % 3 == 0] for i in range(40)],
        "n": range(40),
    },
    schema=COLUMNS,
)


def damaged(rng, data):
    """Other bytes here and there, a few of them gone."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(4, len(changed) - 8)
        length = rng.randint(1, 6)
        changed[at : at + length] = rng.randbytes(length if rng.random() < 0.8 else 0)
    return bytes(changed)


@pytest.mark.parametrize("writer", ["polars", "overmem"])
def test_damage_anywhere_is_one_error_and_nothing_is_printed(tmp_path, capfd, writer):
    path = tmp_path / "t.parquet"
    if writer == "polars":
        TABLE.write_parquet(path, metadata={"schema": "s"}, compression="uncompressed")
    else:
        write_table([TABLE], path, COLUMNS, "s")
    data, read = path.read_bytes(), 0
    # A zero in the head of a page of lists makes a thread of Polars panic.
    zeros = [data[:at] + b"\0" + data[at + 1 :] for at in range(430, 480)]
    for changed in [*zeros, *(damaged(Random(seed), data) for seed in range(150))]:
        path.write_bytes(changed)
        try:
            table = read_table(path, "s", COLUMNS)
        except ArtifactError as error:
            assert "t.parquet" in str(error)
        else:
            read += 1
            assert writer == "polars" or table.equals(TABLE)
    assert read
    assert capfd.readouterr() == ("", "")


def test_of_a_span_only_the_groups_that_hold_it_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "GROUP_BYTES", TABLE.estimated_size() // 8)
    path = tmp_path / "t.parquet"
    write_table([TABLE[:20], TABLE[20:]], path, COLUMNS, "s")
    whole = path.read_bytes()
    spans = spans_of(path)
    assert len(spans) > 7
    assert pl.concat(read_table(path, "s", COLUMNS, span) for span in spans).equals(TABLE)
    for start in range(0, 40, 3):
        for n in (0, 1, 7):
            assert read_table(path, "s", COLUMNS, (start, n)).equals(TABLE[start : start + n])
    path.write_bytes(b"PAR1" + bytes(100) + whole[104:])
    assert read_table(path, "s", COLUMNS, (30, 4)).equals(TABLE[30:34])
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_table(path, "s", COLUMNS, (0, 4))
