"""E3xx: what the user asked for: files, names, options, and the form of a driver.

Invariant: examples that start with $ are command lines, all others are Python.
"""

from __future__ import annotations

from mmunotify.codes.entry import Code, entry

__all__ = ["REQUEST"]

REQUEST: tuple[Code, ...] = (
    entry(
        "E301",
        "there is no such Python file",
        text="""
            The argument of `mmunotify check` is the path of a file with Python source, or
            FILE:Class for one class of it. The path does not exist, is a directory, cannot be
            read, or the file is not text in Python's encoding.
            """,
        wrong="$ mmunotify check kvm",
        right="$ mmunotify check src/mmunotify/drivers/kvm.py",
    ),
    entry(
        "E302",
        "the file defines no driver",
        text="""
            A driver is a class derived from Driver and defined in the file itself; one that is
            only imported does not count. The file is empty, or none of its classes is derived
            from Driver.
            """,
        wrong="""
            class KvmLike:
                def invalidate_range_start(self, rng): ...
            """,
        right="""
            from mmunotify import Driver

            class KvmLike(Driver):
                def invalidate_range_start(self, rng): ...
            """,
    ),
    entry(
        "E303",
        "the file has no class of this name",
        text="""
            FILE:Class selects one driver of a file. Case counts. The message lists the drivers
            that the file defines; without :Class all of them are checked.
            """,
        wrong="$ mmunotify check kvm_like.py:kvmlike",
        right="$ mmunotify check kvm_like.py:KvmLike",
    ),
    entry(
        "E304",
        "no scenario, property, protocol or bug has this name",
        text="""
            Names are written in full, with underscores; the message gives the closest ones. A
            property or scenario of your own is known only together with the file that defines it.
            """,
        wrong="$ mmunotify check kvm_like.py --property no_stale_translations",
        right="$ mmunotify check kvm_like.py --property no_stale_translation",
    ),
    entry(
        "E305",
        "a number of pages, frames or devices that makes no sense",
        text="""
            The message gives the values that are possible. At least one page and one device are
            needed, and usually one frame more than pages, so that a freed frame can get a new
            owner while another is in use. Large numbers are refused because no search would end:
            the number of states grows steeply with each page and each thread.

            Start with two pages, three frames and one device.
            """,
        wrong="$ mmunotify check kvm_like.py --pages 4096",
        right="$ mmunotify check kvm_like.py --pages 2",
    ),
    entry(
        "E306",
        "the driver cannot be built from an address space alone",
        text="""
            A scenario builds the driver as Class(mm), as a kernel driver is registered on one mm.
            Its `__init__` must not require other arguments. Parameters with a default are fine;
            for a variant with other values derive a class.
            """,
        wrong="""
            def __init__(self, mm, name, slots):
                super().__init__(mm)
            """,
        right="""
            def __init__(self, mm, slots=2):
                super().__init__(mm)
            """,
    ),
    entry(
        "E307",
        "a hook with the wrong parameters",
        text="""
            Hooks have the kernel's names and fixed parameters: invalidate_range_start(self, rng),
            invalidate_range_end(self, rng), invalidate(self, sub, rng, cur_seq),
            clear_flush_young(self, rng), clear_young(self, rng), test_young(self, rng),
            release(self), fault(self, page, write), walk(self, page). The protocol calls them by
            position. `rng` carries start, end, event and blockable, where older kernels passed mm,
            start and end one by one.
            """,
        wrong="""
            def invalidate_range_start(self, start, end):
                ...
            """,
        right="""
            def invalidate_range_start(self, rng):
                for page in rng: ...
            """,
    ),
    entry(
        "E308",
        "the driver has no translation that a device could walk",
        text="""
            The checks ask what a device can reach: its translation cache first, then the driver's
            table. By default that table is `self.spte`, a Table from page to frame or None. This
            driver has no attribute of that name and no method walk() of its own, so every property
            would hold for want of anything to look at.

            Name the table spte, or define walk(self, page) to return the frame that the device
            would find. walk() is part of one step and must not change anything.
            """,
        wrong="""
            def __init__(self, mm):
                super().__init__(mm)
                self.shadow = Table(mm.pages)
            """,
        right="""
            def __init__(self, mm):
                super().__init__(mm)
                self.shadow = Table(mm.pages)

            def walk(self, page):
                return self.shadow[page]
            """,
    ),
    entry(
        "E309",
        "the protocol cannot serve the driver or the scenario",
        text="""
            Some hooks came late: arch_invalidate_secondary_tlbs with the list of today's Linux,
            invalidate with the interval notifier of Linux 5.5. A driver that hears of invalidations
            by such a hook alone would hear of none under a protocol that never calls it, and its
            translations would all be stale. Without --protocol the first one that can serve the
            driver is used. And some early protocols have no way to unsubscribe, so there is no
            scenario in which a driver does.
            """,
        wrong="$ mmunotify check odp_like.py --protocol take_all_locks",
        right="$ mmunotify check odp_like.py --protocol interval",
    ),
    entry(
        "E310",
        "invalidate() and interval notifiers come together",
        text="""
            invalidate() is called for each MmuIntervalNotifier of the driver whose range an
            operation touches. Without one it is never called, and one without it drops nothing.
            Build the notifier in __init__, after the base class is set up; it belongs to the driver
            that is its first argument.
            """,
        wrong="""
            def __init__(self, mm):
                super().__init__(mm)

            def invalidate(self, sub, rng, cur_seq): ...
            """,
        right="""
            def __init__(self, mm):
                super().__init__(mm)
                self.notifier = MmuIntervalNotifier(self)

            def invalidate(self, sub, rng, cur_seq): ...
            """,
    ),
    entry(
        "E311",
        "a scenario of one's own that cannot be used",
        text="""
            A file may have a list SCENARIOS of Scenario. Each has a name of its own, operations
            (registered names, or classes derived from Operation), sizes that a search can manage,
            and as many frames as it populates pages at least. The message says what is wrong with
            which one.
            """,
        wrong="""
            SCENARIOS = [Scenario("discard", operations="discard", pages=1, populated=(0, 1))]
            """,
        right="""
            SCENARIOS = [Scenario("discard", operations=(Discard,), pages=2, populated=(0, 1))]
            """,
    ),
    entry(
        "E312",
        "a hook returns a value that nothing looks at",
        text="""
            Failures are exceptions here: where a hook of the kernel returns -EAGAIN, one of a
            driver raises EAGAIN. A returned error code would have no effect, and the section would
            go on as if the driver had dropped its translations. invalidate_range_start,
            invalidate_range_end, arch_invalidate_secondary_tlbs and release return nothing (0 is
            accepted: success). fault returns None or RETRY; it fails by raising EFAULT or ENOMEM.
            """,
        wrong="""
            def invalidate_range_start(self, rng):
                if not rng.blockable:
                    return -errno.EAGAIN
            """,
        right="""
            def invalidate_range_start(self, rng):
                if not rng.blockable:
                    raise EAGAIN
            """,
    ),
)
