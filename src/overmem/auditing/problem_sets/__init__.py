"""The sets of problems of an audit: loaded, rendered, halved, and what they have of one another."""
