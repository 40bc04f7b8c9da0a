"""The page of a sweep: its figure, its template, and what stands around the figure."""
