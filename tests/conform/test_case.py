"""The memory of a case."""

from __future__ import annotations

from mmunotify.conform.case import CASES, PAGES, Case, Scene
from mmunotify.kernel.memory import PAGE, read64


def test_every_page_has_a_word_of_its_own() -> None:
    """So that nothing is merged that should not be."""
    case = Case("one", "one()", (), lambda scene: None)
    with case.scene() as scene:
        assert [scene.memory.read(n) for n in range(16)] == list(range(1, 17))


def test_child_acts_when_told() -> None:
    """And sees the memory as it was when it was forked."""
    case = Case("one", "one()", (), lambda scene: None, memory="shared")
    with case.scene() as scene:
        child = scene.fork(lambda: scene.memory.write(PAGES[0], 77))
        assert read64(scene.page(PAGES[0])) == PAGES[0] + 1
        child.act()
        assert read64(scene.page(PAGES[0])) == 77
        child.end()
        child.end()


def test_undone_in_reverse() -> None:
    """What a case has to undo is undone while its memory is still there."""
    order: list[str] = []

    def prepare(scene: Scene) -> None:
        scene.undo.callback(order.append, "first")
        scene.undo.callback(lambda: order.append(f"second {read64(scene.memory.end - PAGE)}"))

    case = Case("one", "one()", (), lambda scene: None, prepare)
    with case.scene():
        pass
    assert order == ["second 16", "first"]


def test_names_are_kept() -> None:
    """A case is found by its name."""
    assert all(name == case.name for name, case in CASES.items())
    assert len(CASES) > 40
