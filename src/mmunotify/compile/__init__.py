"""The front end: from Python classes and the objects set-up built to an IR program."""

from mmunotify.compile.world import World, compile_world

__all__ = ["World", "compile_world"]
