"""Is this text the right answer: graders for mathematics, choices, exact texts and code."""
