"""`Exporter`: memory of this process that others attach, in the manner of XPMEM.

A segment is memory of a memfd whose descriptor goes to other processes through a Unix socket. When
the owner unmaps it through its `AddressSpace`, the start hook has every attacher let go and waits.
Invariant: when `unmap` has returned, no attacher has the segment mapped, but those that were
reported as stuck; what these still see are the old pages, never what is mapped there next.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mmunotify.lang.page_range import Event
from mmunotify.live.address_space import AddressSpace
from mmunotify.live.devices.connection import Connection, Message, Verb
from mmunotify.live.devices.segment_files import SegmentFiles, is_mapped
from mmunotify.live.guarantee import Need
from mmunotify.live.memory import MemoryRange

__all__ = ["Exporter", "Segment", "Stuck"]


@dataclass(frozen=True)
class Stuck:
    """An attacher that did not let go in time: its process, the segment, how long it was given."""

    pid: int
    token: int
    seconds: float

    def __str__(self) -> str:
        return f"process {self.pid} has not let go of segment {self.token} in {self.seconds:g} s"


@dataclass(eq=False)
class Segment:
    """Exported memory, known to attachers by its `token`. A registration's key."""

    exporter: Exporter
    token: int
    address: int
    length: int
    file: int
    offset: int
    peers: set[Connection] = field(default_factory=set)
    open: bool = True
    ended: bool = False
    used: bool = False

    def invalidate_range_start(self, rng: MemoryRange) -> None:
        """The hook: what unmaps any of it waits until nobody has it attached."""
        if rng.event is Event.UNMAP:
            self.exporter.revoke(self)

    def invalidate_range_end(self, rng: MemoryRange) -> None:
        """The hook: if the memory is still there, it can be attached again.

        It is there when the unmap has failed, or was another one: what is reported afterwards may
        have happened to the memory that was at the addresses before.
        """
        if rng.event is Event.UNMAP:
            self.exporter.reopen(self)

    def release(self) -> None:
        """The hook: the address space is closed."""
        self.exporter.revoke(self)


class Exporter:
    """The owner's side: a device whose registrations other processes attach.

    `path` is that of its Unix socket; who may connect is decided by the permissions of its
    directory. An attacher that has not let go after `timeout` seconds is reported to `on_stuck` and
    cut off; a dead one has let go. `hook_timeout` of the address space must be longer.
    Only memory from `allocate` can be exported.
    """

    name = "attachment"
    need = Need.PINNED
    covers = frozenset({"madv_guard_install", "punch_hole", "ftruncate"})
    """After these the owner's and the attachers' mappings are still of one file."""
    whole = True
    """A segment is attached as a whole, or not at all."""

    def __init__(
        self,
        mm: AddressSpace,
        path: str | Path,
        *,
        timeout: float = 5.0,
        on_stuck: Callable[[Stuck], None] = lambda stuck: print(stuck, file=sys.stderr),
    ) -> None:
        self.mm = mm
        self.path = Path(path)
        self.timeout = timeout
        self.on_stuck = on_stuck
        self._changed = threading.Condition()
        self._files = SegmentFiles()
        self._segments: dict[int, Segment] = {}
        self._peers: set[Connection] = set()
        self._threads: set[threading.Thread] = set()
        self._next = 0
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._listener.bind(str(self.path))
            self._listener.listen()
        except BaseException:
            self._listener.close()
            raise
        self._acceptor = self._start(self._accept)

    def allocate(self, length: int) -> mmap.mmap:
        """Return new memory that can be exported, of whole pages."""
        with self._changed:
            return self._files.allocate(length)

    # -- what a cache calls ---------------------------------------------------------------------

    def register(self, address: int, length: int) -> Segment:
        """Export whole pages of what `allocate` returned; anything else is OSError EINVAL."""
        with self._changed:
            file, offset = self._files.at(address, length)
            segment = Segment(self, self._next, address, length, os.dup(file), offset)
            self._next += 1
            self._segments[segment.token] = segment
        try:
            self.mm.register(segment, ranges=[(address, length)])
        except BaseException:
            self._forget(segment)
            raise
        return segment

    def deregister(self, key: Segment) -> None:
        """Have every attacher let go, waiting for `timeout` seconds at most."""
        key.ended = True
        self.revoke(key)
        if self.mm.alive:
            self.mm.unregister(key)
        self._forget(key)

    def clear_young(self, key: Segment) -> bool:
        """Tell whether the segment was attached since the last time, or is."""
        young, key.used = key.used or bool(key.peers), False
        return young

    def revoke(self, segment: Segment) -> list[Stuck]:
        """Let nobody attach any more, and wait until everybody has let go; report who has not."""
        with self._changed:
            segment.open = False
            for peer in segment.peers:
                # If it does not even read, it is stuck.
                peer.send(Message(Verb.LET_GO, segment.token), wait=False)
            self._changed.wait_for(lambda: not segment.peers, self.timeout)
            stuck = [one for peer in list(segment.peers) for one in self._cut_off(peer)]
        for found in stuck:
            self.on_stuck(found)
        return stuck

    def reopen(self, segment: Segment) -> None:
        """Let a segment be attached again, if its memory is where it was exported."""
        with self._changed:
            segment.open = not segment.ended and is_mapped(
                segment.file, segment.offset, segment.address, segment.length
            )

    def close(self) -> None:
        """Revoke everything, and end the connections; close the cache before."""
        for segment in list(self._segments.values()):
            self.deregister(segment)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()  # whoever it has just accepted is among the peers
        with self._changed:
            for peer in self._peers:
                peer.end()
        for thread in list(self._threads):
            thread.join()
        self._listener.close()
        self.path.unlink(missing_ok=True)
        self._files.close()

    def __enter__(self) -> Exporter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- segments -------------------------------------------------------------------------------

    def _cut_off(self, peer: Connection) -> list[Stuck]:
        """End a connection; what the attacher has mapped it has from now on by itself."""
        peer.end()
        left = [segment for segment in self._segments.values() if peer in segment.peers]
        for segment in left:
            segment.peers.discard(peer)
        return [Stuck(peer.pid, segment.token, self.timeout) for segment in left]

    def _forget(self, segment: Segment) -> None:
        with self._changed:
            del self._segments[segment.token]
            os.close(segment.file)
            self._files.sweep()

    # -- connections ----------------------------------------------------------------------------

    def _start(self, target: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(
            target=target, args=arguments, name="mmunotify-export", daemon=True
        )
        self._threads.add(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            peer = Connection(connection)
            with self._changed:
                self._peers.add(peer)
            self._start(self._serve, peer)

    def _serve(self, peer: Connection) -> None:
        """Read what an attacher says, until it has closed the connection or is dead."""
        while received := peer.receive():
            self._take(peer, received[0])
        with self._changed:
            for segment in self._segments.values():
                segment.peers.discard(peer)
            self._peers.discard(peer)
            peer.close()
            self._threads.discard(threading.current_thread())
            self._changed.notify_all()

    def _take(self, peer: Connection, message: Message) -> None:
        with self._changed:
            segment = self._segments.get(message.token)
            if message.verb is Verb.ATTACH:
                self._answer(peer, message.token, segment)
            elif message.verb is Verb.GONE and segment is not None:
                segment.peers.discard(peer)
                self._changed.notify_all()

    def _answer(self, peer: Connection, token: int, segment: Segment | None) -> None:
        if segment is None or not segment.open:
            peer.send(Message(Verb.REFUSED, token), wait=False)
            return
        # Before the descriptor leaves: from then on the peer may have it mapped.
        segment.peers.add(peer)
        segment.used = True
        answer = Message(Verb.ATTACHED, token, segment.offset, segment.length)
        if not peer.send(answer, segment.file, wait=False):
            segment.peers.discard(peer)
