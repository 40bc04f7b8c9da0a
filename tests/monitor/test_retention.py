"""Which checkpoints a monitor keeps on disk."""

from overmem.monitor.retention import CheckpointRetention


def test_checkpoints_come_back_without_the_optimizer(tmp_path):
    def save(step):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        for name in ("model.safetensors", "optimizer.pt", "trainer_state.json"):
            (folder / name).write_text(str(step))

    for step in (1, 2, 3):
        save(step)
    before = (tmp_path / "checkpoint-1").stat().st_mtime_ns
    retention = CheckpointRetention(tmp_path)
    retention.keep([1, 2])
    for step in (1, 2):
        rotated = tmp_path / f"checkpoint-{step}"
        for path in rotated.iterdir():
            path.unlink()
        rotated.rmdir()
    retention.keep([1])
    assert retention.steps() == {1, 3}
    back = tmp_path / "checkpoint-1"
    assert {path.name for path in back.iterdir()} == {"model.safetensors", "trainer_state.json"}
    assert back.stat().st_mtime_ns == before
    assert (back / "model.safetensors").stat().st_nlink == 2
    retention.finish()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-1", "checkpoint-3"]
