"""The audit's verbs for Python beside `audit` itself, and the typed keywords that they take."""
