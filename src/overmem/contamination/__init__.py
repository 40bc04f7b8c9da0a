"""Val against training data: copied, reworded and renumbered problems. Never imports torch."""
