"""The parts of a manifest, each a record of its own."""
