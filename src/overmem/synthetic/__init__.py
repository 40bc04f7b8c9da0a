"""Tasks whose problems are drawn by rule, so that the truth about them is known."""
