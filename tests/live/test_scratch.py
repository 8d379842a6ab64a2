"""Scratch memory, and the children that share it."""

from __future__ import annotations

from tests.live.subject import run


def test_a_child_by_hand_needs_no_other_thread() -> None:
    """Whoever asks for the interpreter's lock when the process is forked is not in the child."""
    outcome = run(
        """
        import sys, threading
        from mmunotify.live.scratch import Child

        sys.setswitchinterval(1e-6)
        stop = threading.Event()

        def work():
            while not stop.is_set():
                pass

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads: thread.start()
        for _ in range(200):
            child = Child()
            child.fork(by_hand=True)
            child.end()
        stop.set()
        for thread in threads: thread.join()
        print("done")
        """
    )
    assert (outcome.code, outcome.output) == (0, "done\n"), outcome
