"""Verdicts on the rows of an audit: judged by the rule, explained, and what a reader must know of it."""
