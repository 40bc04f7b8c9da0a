"""Sweeps: many fine-tunes of one recipe, each trained, audited and diagnosed, and what they say together."""
