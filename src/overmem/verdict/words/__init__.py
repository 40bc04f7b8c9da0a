"""A verdict in plain sentences, made from its record alone."""
