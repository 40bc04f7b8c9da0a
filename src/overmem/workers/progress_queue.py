"""Where the workers of a cluster post their progress: a process of its own, which imports nothing heavy."""

from __future__ import annotations

News = tuple[str, str, int, int]
"""What `overmem.auditing.session.Progress` is called with."""


class Board:
    """Holds news until they are taken; should it be lost, nothing else is."""

    def __init__(self) -> None:
        """Start empty."""
        self._news: list[News] = []

    def post(self, news: News) -> None:
        """Add news."""
        self._news.append(news)

    def take(self) -> list[News]:
        """Hand the news over, each once."""
        news, self._news = self._news, []
        return news
