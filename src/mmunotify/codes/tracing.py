"""E32x: what was asked for of the running kernel: commands, processes, cases.

Invariant: examples that start with $ are command lines, all others are Python.
"""

from __future__ import annotations

from mmunotify.codes.entry import Code, entry

__all__ = ["TRACING"]

TRACING: tuple[Code, ...] = (
    entry(
        "E321",
        "there is no such program",
        text="""
            `mmunotify trace -- COMMAND` and `mmunotify live FILE -- COMMAND` start COMMAND as the
            shell would: by its path, or by its name if one of the directories in PATH has it.
            Aliases and functions of the shell are not known; run those by `sh -c`.
            """,
        wrong="$ mmunotify trace -- pyton train.py",
        right="$ mmunotify trace -- python train.py",
    ),
    entry(
        "E322",
        "there is no such process",
        text="""
            No process has the number given with --pid, or it has ended in the meantime. The number
            is that of a process (the first column of ps -e), not of one of its threads.
            """,
        wrong="$ mmunotify trace --pid 999999",
        right="$ mmunotify trace --pid $(pidof qemu-system-x86_64)",
    ),
    entry(
        "E323",
        "a process without a VM",
        text="""
            KVM registers its notifier on the address space of whoever creates a VM; without one
            nobody is told of the invalidations, and there is nothing to record. A process that
            runs a VM (QEMU, Firecracker, ...) can be recorded as it is.

            With --inject an empty VM is put into the process for the time of the trace. It is
            stopped by ptrace for some microseconds at the beginning and at the end; a debugger must
            not be attached.
            """,
        wrong="$ mmunotify trace --pid 4711",
        right="$ mmunotify trace --pid 4711 --inject",
    ),
    entry(
        "E324",
        "neither a command nor a process, or both",
        text="""
            `mmunotify trace` records a command that it starts, after two dashes, or a process that
            runs already, with --pid. One trace is of one of them.
            """,
        wrong="$ mmunotify trace",
        right="$ mmunotify trace -- python train.py",
    ),
    entry(
        "E325",
        "no operation or case of this name",
        text="""
            `mmunotify conform --only NAME` takes the name of an operation, and `mmunotify litmus`
            the name of a case or the path of a file with one. Names are written in full; --list
            shows them all.
            """,
        wrong="$ mmunotify conform --only munmapp",
        right="$ mmunotify conform --only munmap",
    ),
    entry(
        "E326",
        "a litmus case that cannot be used",
        text="""
            A case is a small TOML file with `init`, `host`, `guest` and `exists`; the message says
            which line of it is not understood. Pages are x and y, registers r0 to r9, everything
            else is a flag. A thread is a text with statements between semicolons; operations of
            the mm are for threads of the host only.
            """,
        wrong="""
            $ cat case.toml
            init = "x = 1"
            host = ["munmap x"]
            guest = ["munmap x; r0 = x"]
            exists = "r0 = 1"
            """,
        right="""
            $ cat case.toml
            init = "x = 1"
            host = ["munmap x; f = 1"]
            guest = ["r0 = f; r1 = x"]
            exists = "r0 = 1 and r1 != refused"
            """,
    ),
    entry(
        "E327",
        "live has nothing to run, or no bound that makes sense",
        text="""
            `mmunotify live FILE -- COMMAND` starts COMMAND, which follows two dashes after the
            driver's file; options stand before the file. --limit is a number of events,
            --hook-timeout a number of seconds greater than 0, --range START-END hexadecimal
            addresses of whole pages, as in /proc/PID/maps, or the name of a mapping.
            """,
        wrong="$ mmunotify live driver.py",
        right="$ mmunotify live --trace run.jsonl driver.py -- python train.py",
    ),
    entry(
        "E328",
        "a driver that cannot be told of a running program",
        text="""
            Live calls invalidate_range_start, invalidate_range_end, invalidate (of interval
            notifiers), and arch_invalidate_secondary_tlbs at the end of a section. A driver with
            none of them would never hear anything. `mm` has the pages, the locks and the notifiers
            of a driver, mm.pte, mm.pte_write, and the calls that get a frame. Whatever else of it
            belongs to the model alone, such as mm.frames, is not there when the pages are those of
            a program, and they have no number and no order: a constructor that asks for it fails.
            """,
        wrong="""
            class Mine(Driver):
                def release(self) -> None: ...
            """,
        right="""
            class Mine(Driver):
                def invalidate_range_start(self, rng: PageRange) -> None: ...
            """,
    ),
)
