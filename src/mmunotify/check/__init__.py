"""Checking: worlds, scenarios, and the search through every interleaving."""
