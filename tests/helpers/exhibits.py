"""Rows of tokens, as an audit saves them."""

import polars as pl


def token_rows(logprobs: list[list[float]], top1: list[list[bool]], sure: list[list[float]]) -> pl.DataFrame:
    return pl.DataFrame({"logprob": logprobs, "is_top1": top1, "top1_logprob": sure})
