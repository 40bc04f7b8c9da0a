"""What a checkpoint writes verbatim."""

from overmem.reporting.exhibits.build import Exhibits


def test_it_counts_what_became_verbatim(exhibits: Exhibits) -> None:
    found = exhibits.verbatim
    rows = {(name, example): exact for name, example, _, _, _, exact in found.rows}
    ids = {example for _, example in rows}
    became = {i for i in ids if rows["checkpoint-600", i] and not rows["checkpoint-300", i]}
    assert found.became == len(became) > 5
    ceased = {i for i in ids if rows["checkpoint-300", i] and not rows["checkpoint-600", i]}
    assert found.ceased == len(ceased)
