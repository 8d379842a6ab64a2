"""Lines that no state executed: whose they are, and which do not count."""

from __future__ import annotations

import inspect

from tests.api.drivers import Forgetful, Right

from mmunotify import always
from mmunotify.check.unused import unused_lines


class Base(Right):
    """A driver to derive from."""

    def fault(self, page: int, write: bool) -> None:
        """Overridden below: what it does is not missed."""
        page += 1

    def other(self) -> None:
        """Not overridden."""
        if self.open > 0:
            self.seq += 1
            self.seq += 1
        else:
            self.seq -= 1


class Derived(Base):
    """What is checked."""

    def fault(self, page: int, write: bool) -> None:
        """Two lines."""
        frame = self.mm.get_user_page(
            page,
            write,
        )
        frame.put()

    def walk(self, page: int) -> None:
        """Evaluated by the hardware, not executed by a thread."""
        return

    @always
    def holds(self) -> bool:
        """Evaluated in states."""
        return True


def line_of(text: str) -> int:
    """Return the number of the only line of this file that is `text`, indent aside."""
    source = inspect.getsource(inspect.getmodule(Base) or Base).splitlines()
    (found,) = (n for n, line in enumerate(source, 1) if line.strip() == text)
    return found


def ranges(executed: set[int]) -> list[tuple[str, int, int]]:
    """Return function, first and last line of what is unused."""
    found = unused_lines(Derived, "mine.py", executed)
    assert {one.file for one in found} <= {"mine.py"}
    return [(one.function, one.first, one.last) for one in found]


def test_runs_of_lines() -> None:
    """Statements in a row are one entry, a statement of several lines counts whole."""
    first, put = line_of("frame = self.mm.get_user_page("), line_of("frame.put()")
    test, otherwise = line_of("if self.open > 0:"), line_of("self.seq -= 1")
    assert ranges(set()) == [("other", test, otherwise), ("fault", first, put)]
    assert ranges({first, test}) == [("other", test + 1, otherwise), ("fault", put, put)]
    assert ranges(set(range(test, put + 1))) == []


def test_text_is_there() -> None:
    """The lines as they are written."""
    found = unused_lines(Derived, "mine.py", set())[0]
    assert found.text.startswith("        if self.open > 0:\n            self.seq += 1")


def test_other_files_do_not_count() -> None:
    """Methods of a class that is derived from in another file are not this file's lines."""

    class Elsewhere(Forgetful):
        pass

    assert unused_lines(Elsewhere, "mine.py", set()) == []
