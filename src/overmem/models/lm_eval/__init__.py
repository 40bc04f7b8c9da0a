"""Tasks of lm-evaluation-harness, asked and judged by that library."""
