"""Rows of an audit as other tools write them."""
