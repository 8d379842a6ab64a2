"""A trace of the kernel for the reports, by hand."""

from __future__ import annotations

from mmunotify.trace.record import Activity, Header, Lane, Mapping, Notified, Omitted, Trace

PAGE = 4096
HEAP, FILE, ANONYMOUS = 0x1000_0000, 0x2000_0000, 0x3000_0000


def notified(
    milliseconds: int, start: int, pages: int, cause: str, kind: str = "unmap", lane: int = 0
) -> Notified:
    """One notification."""
    time = milliseconds * 1_000_000
    end = start + pages * PAGE
    return Notified(time=time, lane=lane, kind=kind, start=start, end=end, cause=cause, by=1)


def sample(*, lost: int = 0, omitted: int = 0) -> Trace:
    """Two processes, three causes, one second."""
    return Trace(
        header=Header(
            source="kernel",
            subject="python <train>.py",
            lanes=[Lane(name="python 10"), Lane(name="sh 11")],
        ),
        notified=[
            notified(0, HEAP, 1, "COW"),
            notified(1, HEAP + 8 * PAGE, 1, "COW"),
            notified(10, ANONYMOUS, 512, "madvise"),
            notified(500, FILE, 2, "munmap", lane=1),
            notified(999, HEAP, 1, "DAMON", kind="age"),
        ],
        mappings=[
            Mapping(lane=0, start=HEAP, end=HEAP + 64 * PAGE, name="[heap]"),
            Mapping(lane=0, start=ANONYMOUS, end=ANONYMOUS + 1024 * PAGE),
            Mapping(lane=1, start=FILE, end=FILE + 2 * PAGE, name="/usr/lib/libc.so.6"),
        ],
        activity=Activity(
            machine="Linux 6.18.0",
            seconds=1.0,
            lost=lost,
            omitted=[Omitted(kind="unmap", cause="COW", calls=omitted, pages=omitted)]
            if omitted
            else [],
            page=PAGE,
            notes=["the command exited with 0"],
        ),
    )
