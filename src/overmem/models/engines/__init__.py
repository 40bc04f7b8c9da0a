"""Who writes the answers of an audit: the model in memory, or a server that speaks OpenAI's completions API.

Likelihood uses the model in memory too, unless vLLM is asked for it. Verbatim continuation, divergence from
the base model and tasks of lm-evaluation-harness always do: they need token ids or whole distributions.
"""
