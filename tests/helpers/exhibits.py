"""Rows of tokens, as an audit saves them."""

import polars as pl

from overmem.artifacts.token_sums import with_sums


def token_rows(logprobs: list[list[float]], top1: list[list[bool]], sure: list[list[float]]) -> pl.DataFrame:
    lengths = [len(row) for row in logprobs]
    lists = {"logprob": logprobs, "is_top1": top1, "top1_logprob": sure}
    return with_sums(pl.DataFrame({"n_tokens": lengths} | lists))
