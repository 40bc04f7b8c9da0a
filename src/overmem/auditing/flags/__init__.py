"""Options of an audit on the command line: which there are, read from there, and written again."""
