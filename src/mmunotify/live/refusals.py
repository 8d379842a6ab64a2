"""What the live side refuses to do, and why: one function a diagnostic.

Invariant: each names the caller's object and a way that works.
"""

from __future__ import annotations

from collections.abc import Iterable

from mmunotify.errors import Diagnostic
from mmunotify.terms import nearest

__all__ = [
    "closed",
    "dead_monitor",
    "interrupted",
    "nameless",
    "no_auditor",
    "not_a_mapping",
    "not_registered",
    "other_process",
    "recursion",
    "registered_twice",
    "released_twice",
    "second_validating",
    "too_many",
    "uncovered",
    "unknown_operation",
]


def registered_twice(notifier: object) -> Diagnostic:
    """A notifier subscribes a second time."""
    return Diagnostic(
        "E416",
        None,
        f"this {type(notifier).__name__} is registered already",
        "a notifier has one place on the list, with all its ranges",
        "mm.register(notifier, ranges=[one, two])",
    )


def not_registered(notifier: object) -> Diagnostic:
    """A notifier leaves that is not there."""
    return Diagnostic(
        "E416",
        None,
        f"this {type(notifier).__name__} is not registered",
        "unregister ends a subscription that register has begun",
        "mm.register(notifier, ranges=[memory])",
    )


def not_a_mapping(memory: object) -> Diagnostic:
    """Memory is to be unmapped that somebody else owns."""
    return Diagnostic(
        "E416",
        None,
        f"{type(memory).__name__} is no mapping that could be unmapped",
        "its memory belongs to an allocator, which would hand it out again",
        "mm.discard(memory)  # or unmap an mmap object, or (address, length)",
    )


def recursion(operation: str) -> Diagnostic:
    """A hook begins an operation."""
    return Diagnostic(
        "E416",
        None,
        f"{operation} inside of a section",
        "a hook is called while an operation is under way and must not begin another one",
        "do it after the hook has returned, in a thread of your own",
    )


def released_twice() -> Diagnostic:
    """A registration is given back more often than it was taken."""
    return Diagnostic(
        "E416",
        None,
        "this registration has no users",
        "each get() is answered by one release()",
        "with cache.get(memory) as registration: ...",
    )


def second_validating() -> Diagnostic:
    """A second cache would validate the same pages."""
    return Diagnostic(
        "E416",
        None,
        "this address space has a cache that validates",
        "pages are remembered once, not for each cache",
        "AddressSpace(monitors=...)  # one for each cache, or the monitor userfaultfd",
    )


def no_auditor() -> Diagnostic:
    """An audit is asked for, and nobody audits."""
    return Diagnostic(
        "E416",
        None,
        "this address space has no auditor",
        "what monitors miss is known to the kernel, which tells KVM",
        'AddressSpace(monitors=["explicit", "userfaultfd", "kvm"])  # as root',
    )


def nameless(stacks: bool) -> Diagnostic:
    """An audit is asked for of an auditor that cannot tell operations apart."""
    return Diagnostic(
        "E416",
        None,
        "this auditor does not know which operation an invalidation comes from",
        "the kernel hides the names of its functions (kernel.kptr_restrict)"
        if stacks
        else "it was asked to do without call chains",
        "sysctl kernel.kptr_restrict=1" if stacks else "Kvm()  # not Kvm(stacks=False)",
    )


def interrupted() -> Diagnostic:
    """A signal's handler comes into the middle of what its own thread is at."""
    return Diagnostic(
        "E416",
        None,
        "a signal's handler needs what the thread that it interrupts is changing",
        "the handler cannot wait for the thread that it runs on",
        "note the signal in the handler, and do the work outside of it",
    )


def other_process(process: int) -> Diagnostic:
    """A child uses what its parent has made."""
    return Diagnostic(
        "E415",
        None,
        f"this address space is that of process {process}",
        "fork() copies the object, not its monitors",
        "AddressSpace()  # in the child",
    )


def closed() -> Diagnostic:
    """It was closed."""
    return Diagnostic(
        "E415", None, "the address space is closed", "close() was called", "AddressSpace()"
    )


def dead_monitor() -> Diagnostic:
    """The monitor is gone."""
    return Diagnostic(
        "E415",
        None,
        "the monitor of this address space has died",
        "its descriptor was closed behind its back, so nothing more would be heard of what "
        "happens to the memory",
        "close the address space and make a new one",
    )


def uncovered(
    device: str, need: str, operations: Iterable[str], monitors: Iterable[str]
) -> Diagnostic:
    """The monitors do not report what the device must hear of."""
    names = list(operations)
    return Diagnostic(
        "E414",
        None,
        f"{device} is {need}, and {', '.join(monitors)} would not tell it of {', '.join(names)}",
        "after one of these a cached registration leads to the wrong pages",
        f"allow_uncovered={names!r}  # if none of them happens to this memory",
    )


def unknown_operation(name: str, known: Iterable[str]) -> Diagnostic:
    """An operation is named that there is not."""
    names = list(known)
    close = nearest(name, names)
    return Diagnostic(
        "E413",
        None,
        f"there is no operation {name!r}",
        f"the operations are {', '.join(names)}",
        f"did you mean {close}?" if close else "",
    )


def too_many(device: str, problem: str) -> Diagnostic:
    """The device refuses although everything that could be given back was."""
    return Diagnostic(
        "E417",
        None,
        f"{device} takes no more registrations: {problem}",
        "every registration that nobody uses was given back already",
        "release registrations sooner, or raise the limit (ulimit -l)",
    )
