"""`Attacher`: the other side of an `Exporter`, which has segments of another process mapped.

Invariant: a segment that the owner wants back is unmapped as soon as nobody here uses it, and the
owner is told.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from mmunotify.live.devices.connection import Connection, Message, Verb

__all__ = ["Attacher", "Attachment", "DetachedError"]


class DetachedError(Exception):
    """The owner takes the memory back or has it, or there is no such segment.

    It may be to be had again: ask the owner for a token, which looks it up in the cache.
    """


class Attachment:
    """A segment of another process, mapped here until its owner takes it back."""

    def __init__(self, attacher: Attacher, token: int, memory: mmap.mmap) -> None:
        self.token = token
        self._attacher = attacher
        self._memory: mmap.mmap | None = memory
        self._users = 0
        self._leaving = False

    @contextlib.contextmanager
    def use(self) -> Iterator[memoryview]:
        """The memory, which stays attached while the block runs: the owner's unmap waits for it.

        Raises `DetachedError` if the owner wants it back or has it. A part of the view that
        outlives the block keeps the memory attached, and the owner will report it.
        """
        with self._attacher.changed:
            if self._leaving or self._memory is None:
                raise DetachedError(f"segment {self.token} was taken back by its owner")
            self._users += 1
            view = memoryview(self._memory)
        try:
            yield view
        finally:
            with self._attacher.changed:
                view.release()
                self._users -= 1
                self.leave(self._leaving)

    def detach(self) -> None:
        """Let go as soon as nobody uses it."""
        with self._attacher.changed:
            self.leave(True)

    @property
    def attached(self) -> bool:
        """Whether it is mapped."""
        return self._memory is not None

    @property
    def usable(self) -> bool:
        """Whether `use` would work."""
        return self._memory is not None and not self._leaving

    def leave(self, wanted: bool) -> None:
        """If it is wanted and nobody uses the memory, unmap it and say so. Needs the lock."""
        self._leaving = wanted
        if not wanted or self._memory is None or self._users:
            return
        try:
            self._memory.close()
        except BufferError:  # a part of a view is left
            return
        self._memory = None
        self._attacher.gone(self)


class Attacher:
    """The other side: a connection to an `Exporter`, with a thread that lets go when told to.

    `timeout`: how many seconds the owner's answers and the end of all use are waited for.
    """

    def __init__(self, path: str | Path, *, timeout: float = 10.0) -> None:
        self.timeout = timeout
        self.changed = threading.Condition()
        self._attachments: dict[int, Attachment] = {}
        self._answers = 0  # counted: what was attached may be gone again before it is looked at
        self._asking = threading.Lock()
        self._lost = False
        self._owner = Connection.to(path)
        self._thread = threading.Thread(target=self._listen, name="mmunotify-attach", daemon=True)
        self._thread.start()

    def attach(self, token: int) -> Attachment:
        """Map a segment; while it is attached a second time is the same `Attachment`.

        Raises `DetachedError` if the owner has none of that token any more, TimeoutError if it does
        not answer.
        """
        with self._asking, self.changed:
            if token not in self._attachments:
                before = self._answers
                self._owner.send(Message(Verb.ATTACH, token))
                if not self.changed.wait_for(lambda: self._answered(before), self.timeout):
                    raise TimeoutError(f"the owner of segment {token} does not answer")
            found = self._attachments.get(token)
            if found is None or not found.usable:
                raise DetachedError(f"there is no segment {token}")
            return found

    def close(self) -> None:
        """Let go of everything and end the connection; TimeoutError if something is in use."""
        with self.changed:
            for attachment in list(self._attachments.values()):
                attachment.leave(True)
            # The end of the connection says that nothing is mapped any more.
            if not self.changed.wait_for(lambda: not self._attachments, self.timeout):
                raise TimeoutError(f"segments {sorted(self._attachments)} are in use")
        self._owner.end()
        self._thread.join()
        self._owner.close()

    def __enter__(self) -> Attacher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def gone(self, attachment: Attachment) -> None:
        """Tell the owner that a segment is not mapped here any more. Needs the lock."""
        self._attachments.pop(attachment.token, None)
        self._owner.send(Message(Verb.GONE, attachment.token))
        self.changed.notify_all()

    def _answered(self, before: int) -> bool:
        return self._answers > before or self._lost

    def _listen(self) -> None:
        try:
            while received := self._owner.receive(files=1):
                with self.changed:
                    self._take(*received)
                    self.changed.notify_all()
        finally:
            with self.changed:
                self._lost = True
                for attachment in list(self._attachments.values()):
                    attachment.leave(True)
                self.changed.notify_all()

    def _take(self, message: Message, files: list[int]) -> None:
        if message.verb is Verb.LET_GO:
            found = self._attachments.get(message.token)
            if found is not None:
                found.leave(True)
            return
        self._answers += 1
        if message.verb is Verb.ATTACHED:
            try:
                memory = mmap.mmap(files[0], message.length, offset=message.offset)
                # A child would have it mapped when this process has let go.
                memory.madvise(mmap.MADV_DONTFORK)
            finally:
                os.close(files[0])
            self._attachments[message.token] = Attachment(self, message.token, memory)
