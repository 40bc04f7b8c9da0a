"""Results that other evaluation tools measured: read as an audit's rows, and written from them."""
