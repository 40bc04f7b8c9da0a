"""Which training rows a run memorized, and the training data without them. Never imports torch."""
