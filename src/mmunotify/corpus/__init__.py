"""Bugs that Linux had, each in a file: a model with the bug, one without, and what is known of it.

Importing the package imports none of them; `registry` finds them.
"""

__all__: list[str] = []
