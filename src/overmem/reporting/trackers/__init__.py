"""A verdict in the trackers that a team already looks at, and on the hub's model card; each an extra."""
