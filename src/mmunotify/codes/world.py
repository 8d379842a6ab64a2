"""E2xx: types of the values in a body, and the world that set-up built.

Invariant: each text says which values can be part of a state, as far as the code is about that.
"""

from __future__ import annotations

from mmunotify.codes.entry import Code, entry

__all__ = ["WORLD"]

WORLD: tuple[Code, ...] = (
    entry(
        "E201",
        "an int without a bound",
        text="""
            Every int in the state has a range, so that the number of states is finite and a value
            that leaves its range can be reported. The range comes from a Counter, from the
            literals and ranges assigned to it, or from an annotation. Here an int grows from its
            own old value and none of these says how far.
            """,
        wrong="""
            def __init__(self, mm):
                super().__init__(mm)
                self.users = 0

            def get(self):
                self.users = self.users + 1
            """,
        right="""
            def __init__(self, mm):
                super().__init__(mm)
                self.users = Counter(high=3)

            def get(self):
                self.users += 1
            """,
    ),
    entry(
        "E202",
        "an int outside -128..127, or a range wider than that",
        text="""
            A cell of the state is one byte. Real addresses, frame numbers and sizes do not fit,
            and a check does not need them: two pages and three frames show the same bugs as two
            million. Use pages and frames as the objects they are, and small numbers for counts.
            """,
        wrong="""
            PAGE_SIZE = 4096

            def fault(self, page, write):
                address = page * PAGE_SIZE
            """,
        right="""
            def fault(self, page, write):
                frame = self.mm.get_user_page(page, write)
            """,
    ),
    entry(
        "E203",
        "values of different types in one place",
        text="""
            One attribute, table entry or local holds one kind of value: bool, int, members of one
            enum, or references (with None, and to objects of several classes if need be). This
            place is assigned values of two kinds that no cell can hold together, such as an int
            and a frame. The message lists the assignments.

            To mark "nothing here", use None and not 0 or -1.
            """,
        wrong="""
            self.spte[page] = 0
            ...
            self.spte[page] = frame
            """,
        right="""
            self.spte[page] = None
            ...
            self.spte[page] = frame
            """,
    ),
    entry(
        "E204",
        "an object that set-up never built",
        text="""
            The objects of a model are those that exist when set-up is done. A body cannot make a
            new lock, table or driver, as their number would have no bound. Tuples, frozen
            dataclasses and NamedTuples are values, not objects of the model, and may be made
            anywhere.

            Build as many objects as the scenario can need in `__init__` and keep the unused ones
            in a Queue or mark them free.
            """,
        wrong="""
            def fault(self, page, write):
                region = Region(page)
                self.regions.put(region)
            """,
        right="""
            def __init__(self, mm):
                super().__init__(mm)
                self.region = Table(mm.pages)
                for page in mm.pages:
                    self.region[page] = Region(page)

            def fault(self, page, write):
                self.regions.put(self.region[page])
            """,
    ),
    entry(
        "E205",
        "an object that this reference may mean lacks the attribute",
        text="""
            The reference can mean objects of several classes, found from everything that is ever
            assigned to it, and at least one of them has no such attribute. The message names the
            class, and a place where an object of it is assigned. None is not meant here: using an
            attribute of None is a violation that the search reports with its interleaving.
            """,
        wrong="""
            self.target = self.mm          # in one hook
            self.target = self.tlb         # in another
            self.target.flush()            # an address space has no flush
            """,
        right="""
            self.tlb.flush()
            """,
    ),
    entry(
        "E206",
        "a key that is not in the domain of the table",
        text="""
            The keys of a Table are fixed when it is built, and all of one type: pages, frames,
            members of an enum, or the ints of a range. This key has another type, so the entry it
            means cannot exist. A key of the right type that is missing in some state is no error
            of this kind: it is a violation, reported with its interleaving.
            """,
        wrong="""
            self.spte = Table(mm.pages)
            ...
            self.spte[frame] = page
            """,
        right="""
            self.spte = Table(mm.pages)
            self.rmap = Table(mm.frames)
            ...
            self.spte[page] = frame
            self.rmap[frame] = page
            """,
    ),
    entry(
        "E207",
        "an epoch is used as a number",
        text="""
            An Epoch is a counter that is only bumped, read, and compared with == or != to a
            snapshot taken earlier. Then the model needs one bit for each snapshot (fresh or stale)
            instead of a number, and a loop may bump it without a bound. Arithmetic, < and >, or
            comparing two snapshots with each other would need the number itself.

            If you need the number, use a Counter with a bound.
            """,
        wrong="""
            if self.epoch.read() - seen > 1:
                return RETRY
            """,
        right="""
            if self.epoch.read() != seen:
                return RETRY
            """,
    ),
    entry(
        "E208",
        "a value of set-up that cannot be part of a state",
        text="""
            A body uses an attribute that holds a string, a float, an open file or another Python
            value without a counterpart in the model. Such attributes may exist: set-up and
            reports can use them. Only the bodies cannot read or write them.

            Use an Enum in place of a string and a small int in place of a float.
            """,
        wrong="""
            def __init__(self, mm):
                super().__init__(mm)
                self.era = "2.6.27"

            def fault(self, page, write):
                if self.era == "2.6.27": ...
            """,
        right="""
            def __init__(self, mm):
                super().__init__(mm)
                self.has_retry = False

            def fault(self, page, write):
                if self.has_retry: ...
            """,
    ),
    entry(
        "E209",
        "set-up raised an exception",
        text="""
            The world is built by running your `__init__` and the code it calls, as plain Python.
            That code raised an exception, so there is no initial state to search from. The
            message gives the exception and the last of your lines that it passed; --debug prints
            the whole traceback.
            """,
        wrong="""
            def __init__(self, mm):
                self.spte = Table(mm.pages)     # mm.tlb is set up by Driver.__init__,
                self.tlb.flush()                # which was not called
            """,
        right="""
            def __init__(self, mm):
                super().__init__(mm)
                self.spte = Table(mm.pages)
            """,
    ),
)
