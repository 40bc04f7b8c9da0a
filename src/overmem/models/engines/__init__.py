"""Who writes the answers of an audit: the model in memory, or a server that speaks OpenAI's completions API.

Likelihood, verbatim continuation and tasks of lm-evaluation-harness always use the model in memory: they
need log-probabilities or token ids of given texts, which servers do not give reliably.
"""
