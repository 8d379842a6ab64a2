"""E41x: what the live side refuses, at the caller's own object.

Invariant: each text says what real memory makes impossible, not which class raised it.
"""

from __future__ import annotations

from mmunotify.codes.entry import Code, entry

__all__ = ["LIVE"]

LIVE: tuple[Code, ...] = (
    entry(
        "E411",
        "the object has no memory to rely on",
        text="""
            Live needs an address and a length: an mmap object, a NumPy array, a memoryview, any
            object with a contiguous buffer, or a tuple (address, length).

            A bytearray is refused: it moves when it grows, its old memory goes back to the
            allocator, and the allocator need not unmap it, so that no monitor could tell. A
            memoryview of it is accepted: a bytearray cannot change its size while a view of it
            lives. What is empty has no pages and is refused too.
            """,
        wrong="""
            registration = cache.get(bytearray(4096))
            """,
        right="""
            view = memoryview(bytearray(4096))
            registration = cache.get(view)
            """,
    ),
    entry(
        "E412",
        "the memory cannot be watched",
        text="""
            A monitor was asked to report what happens to a range, and the kernel refused: a part
            of it is not mapped, it is memory of a device, or another userfaultfd watches it. A
            mapping has one userfaultfd at most. A second AddressSpace in the process, CRIU, a JVM,
            a virtual machine monitor and libfabric are others that use one.
            """,
        wrong="""
            one = AddressSpace()
            two = AddressSpace()
            one.register(mine, ranges=[array])
            two.register(mine, ranges=[array])
            """,
        right="""
            mm = AddressSpace()
            mm.register(mine, ranges=[array])
            mm.register(theirs, ranges=[array])
            """,
    ),
    entry(
        "E413",
        "there is no monitor or operation of that name",
        text="""
            Monitors are chosen by name, and so are the operations that a cache is to do without
            (allow_uncovered). The message lists the names there are.
            """,
        wrong="""
            mm = AddressSpace(monitors=["uffd"])
            """,
        right="""
            mm = AddressSpace(monitors=["userfaultfd"])
            """,
    ),
    entry(
        "E414",
        "the monitors do not cover what the device needs",
        text="""
            A device says what kind of second translation it keeps: pinned, translating or copying.
            From that follows which operations it must hear of, or it is stale. The monitors of the
            address space do not report some of them; the message names each.

            Choose a monitor that does, or name the operations that do not happen to this memory
            in your program: a buffer that nobody truncates need not be guarded against ftruncate.
            What is named there is not guarded against.
            """,
        wrong="""
            cache = RegistrationCache(mm, device)
            """,
        right="""
            cache = RegistrationCache(mm, device, allow_uncovered=["madv_guard_install"])
            """,
    ),
    entry(
        "E415",
        "the address space is closed, or belongs to another process",
        text="""
            An AddressSpace works from its construction to close(), in the process it was made in.
            After fork() the child has the object but neither its threads nor its monitors: its
            caches serve no hits, and everything else raises this. Make a new one there. When the
            monitor of a living AddressSpace has died, caches refuse as well, since nobody would
            tell them what to forget.
            """,
        wrong="""
            mm = AddressSpace()
            if os.fork() == 0:
                mm.register(mine, ranges=[array])
            """,
        right="""
            if os.fork() == 0:
                mm = AddressSpace()
                mm.register(mine, ranges=[array])
            """,
    ),
    entry(
        "E416",
        "the subscriber or the operation is used in a way that has no meaning",
        text="""
            A notifier is registered once and unregistered once; a registration is released as often
            as it was taken. A hook runs inside of a section and can neither begin an operation of
            the same address space nor register and unregister its subscribers: it would wait for
            itself. Nor can a signal's handler that comes into the middle of one. Memory that
            belongs to an allocator, such as that of an array, cannot be unmapped under it.
            """,
        wrong="""
            mm.unmap(array)
            """,
        right="""
            memory = mmap.mmap(-1, 1 << 20)
            array = memoryview(memory)
            array.release()
            mm.unmap(memory)
            """,
    ),
    entry(
        "E417",
        "the device takes no more registrations",
        text="""
            The cache has given back every registration that nobody uses, and the device still
            refuses: what is in use at this moment is more than the device, or RLIMIT_MEMLOCK,
            permits. Use less at a time, or raise the limit.
            """,
        wrong="""
            held = [cache.get(buffer) for buffer in buffers]
            """,
        right="""
            for buffer in buffers:
                with cache.get(buffer) as registration: ...
            """,
    ),
)
