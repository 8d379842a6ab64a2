"""Checking: worlds, scenarios, and the search through every interleaving."""

__all__: list[str] = []
