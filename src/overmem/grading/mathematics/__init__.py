"""Are two answers mathematically the same: exactly for numbers, part by part, by math-verify for the rest."""
