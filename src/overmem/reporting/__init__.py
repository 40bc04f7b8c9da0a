"""A verdict for a person: one self-contained HTML page, Markdown, JSON, or a table in a notebook."""
