"""What a verdict, a repair and a sweep look like in a terminal of 80 columns."""
