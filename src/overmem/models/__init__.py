"""Models in memory: loading checkpoints and adapters, scoring references, writing answers."""
