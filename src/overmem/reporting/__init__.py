"""A verdict for a person: one self-contained HTML page, or 80 columns of terminal."""
