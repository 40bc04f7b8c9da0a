"""The exhibits of a report: figures made from the saved rows, one module each."""
