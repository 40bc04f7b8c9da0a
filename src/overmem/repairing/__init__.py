"""What to do about an over-memorized run."""
