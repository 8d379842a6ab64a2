"""E1xx: what the subset of Python in which bodies are written does not have.

Invariant: each text gives the reason for the rule and a way to write the same thing.
"""

from __future__ import annotations

from mmunotify.codes.entry import Code, entry

__all__ = ["SUBSET"]

SUBSET: tuple[Code, ...] = (
    entry(
        "E101",
        "the file is not valid Python",
        text="""
            Python itself cannot read the file, so nothing in it was looked at. The place is where
            Python gave up, which is often one line after the mistake: look for a missing colon or
            an open bracket above it.
            """,
        wrong="""
            def invalidate_range_start(self, rng)
                self.tlb.flush()
            """,
        right="""
            def invalidate_range_start(self, rng):
                self.tlb.flush()
            """,
    ),
    entry(
        "E102",
        "the source of this code cannot be read",
        text="""
            A body is compiled from its source text, and a report shows your own lines. Code typed
            at the Python prompt, given to python -c, or made by exec() has no file that the text
            could be read from.

            Put the class into a file. A notebook cell works, because the notebook keeps its text.
            """,
        wrong="""
            $ python -c 'from mmunotify import check, Driver
            > class Mine(Driver): ...
            > check(Mine)'
            """,
        right="""
            $ mmunotify check mine.py
            """,
    ),
    entry(
        "E103",
        "a statement that the subset does not have",
        text="""
            Hooks and everything they call are compiled into a finite model whose steps the search
            interleaves. That leaves out what has no meaning there: nested classes and functions,
            imports, async, global, yield, comprehensions, `del` of anything but a local name, a
            lambda anywhere but in wait_until(), and `with` on anything but atomic(), a lock or an
            object whose `__enter__` and `__exit__` are themselves in the subset.

            Set-up (`__init__` and whatever it calls) is plain Python and may use all of these. Move
            the work there if its result does not change during the run.
            """,
        wrong="""
            def invalidate_range_start(self, rng):
                doomed = [page for page in rng if self.spte[page]]
                for page in doomed:
                    self.spte[page] = None
            """,
        right="""
            def invalidate_range_start(self, rng):
                for page in rng:
                    if self.spte[page] is not None:
                        self.spte[page] = None
            """,
    ),
    entry(
        "E104",
        "an expression that the subset does not have",
        text="""
            A value in a body is a bool, a small int, an enum member, None, a reference to an object
            that set-up built, or a tuple of these. Strings, floats, lists, dicts and sets cannot be
            part of a state. Strings are accepted as the message of an assert and in require(),
            nowhere else.

            For a collection that changes, build a Table, a Set or a Queue in set-up. For a label,
            use an Enum.
            """,
        wrong="""
            def fault(self, page, write):
                self.mode = "retry"
            """,
        right="""
            class Mode(Enum):
                IDLE = 0
                RETRY = 1

            def fault(self, page, write):
                self.mode = Mode.RETRY
            """,
    ),
    entry(
        "E105",
        "a function that calls itself",
        text="""
            Calls are inlined, so that every local has a fixed place in the state. A function that
            reaches itself, directly or through others, would need a stack without a bound.

            Kernel code of this kind walks something of fixed depth. Write the walk as a loop, or
            one function for each level, as p4d, pud, pmd and pte have.
            """,
        wrong="""
            def zap(self, page, last):
                self.spte[page] = None
                if page != last:
                    self.zap(page + 1, last)
            """,
        right="""
            def zap(self, rng):
                for page in rng:
                    self.spte[page] = None
            """,
    ),
    entry(
        "E106",
        "a call of something outside the subset",
        text="""
            A body can call methods of objects that set-up built, functions written in the subset,
            the intrinsics (atomic, wait_until, choose, current, might_sleep, require) and a few
            builtins: range, len, min, max, any, all. A library function or another builtin is
            Python that the search cannot interleave, undo or compare.

            To print while debugging, use `mmunotify check FILE --replay STRING --pdb`: it runs
            the same interleaving as plain Python.
            """,
        wrong="""
            def fault(self, page, write):
                time.sleep(0.1)
                print("fault", page)
            """,
        right="""
            def fault(self, page, write):
                might_sleep()
            """,
    ),
    entry(
        "E107",
        "a loop that never lets another thread run",
        text="""
            A loop may go round for ever, because the state space is finite and a state seen before
            is not searched again. But each round must touch shared state at least once: that is
            where other threads may run. A loop that only computes with locals, or a loop inside
            atomic() whose number of rounds is not fixed, would be one step without an end.

            To wait for a condition, use wait_until(). Inside atomic(), loop over a range or a
            collection of fixed size.
            """,
        wrong="""
            with atomic():
                while self.in_progress:
                    pass
            """,
        right="""
            wait_until(lambda: not self.in_progress)
            """,
    ),
    entry(
        "E108",
        "a call with the wrong arguments",
        text="""
            The function called takes another number of arguments, or has no parameter of that
            name. The message names the function and its parameters as they are defined. Arguments
            in the form *args and **kwargs are not in the subset, because the call is compiled for
            the parameters it names.
            """,
        wrong="""
            def zap(self, page, flush): ...

            def invalidate_range_start(self, rng):
                self.zap(rng.start)
            """,
        right="""
            def invalidate_range_start(self, rng):
                self.zap(rng.start, flush=True)
            """,
    ),
    entry(
        "E109",
        "a name that is not defined here",
        text="""
            The name is no local, no parameter, no global of the file and no builtin of the subset.
            A local also counts as undefined where some path reaches the line without assigning
            it: Python would raise UnboundLocalError there, on an interleaving you may never meet
            in a test.
            """,
        wrong="""
            if self.in_progress:
                seq = self.seq.read()
            return seq
            """,
        right="""
            seq = self.seq.read()
            return seq
            """,
    ),
    entry(
        "E110",
        "an attribute that the object does not have",
        text="""
            The state of the model is the object graph that set-up leaves behind. An attribute that
            no set-up code ever assigned has no place in it, and a body cannot add one. Assign it
            in `__init__`, with None or 0 if there is nothing to put there yet.

            The message gives the names that the object has and that are closest to yours.
            """,
        wrong="""
            def __init__(self, mm):
                super().__init__(mm)
                self.mmu_lock = SpinLock()

            def release(self):
                with self.mmulock:
                    self.dead = True
            """,
        right="""
            def __init__(self, mm):
                super().__init__(mm)
                self.mmu_lock = SpinLock()
                self.dead = False

            def release(self):
                with self.mmu_lock:
                    self.dead = True
            """,
    ),
    entry(
        "E111",
        "something is raised that is no declared failure",
        text="""
            A body raises what a kernel function would return as an error: EFAULT, EAGAIN, or a
            class of yours derived from Failure. Callers can catch these, so both paths are
            searched. Any other exception class belongs to Python and has no counterpart in the
            kernel.

            If the line must never be reached, say so with assert: reaching it is then reported
            as a violation, with the interleaving that leads there.
            """,
        wrong="""
            raise ValueError("no such page")
            """,
        right="""
            class ENOENT(Failure):
                \"\"\"No translation is there.\"\"\"

            raise ENOENT
            """,
    ),
    entry(
        "E112",
        "a counter is given another name instead of being read",
        text="""
            `seq = self.seq` makes a second name for the same counter; it takes no copy. A later
            comparison of the two would compare the counter with itself and always find them equal,
            which is exactly the retry check that a notifier driver must not lose.

            read() takes the value at this moment, in one step.
            """,
        wrong="""
            seq = self.seq
            frame = self.mm.get_user_page(page, write)
            if self.seq != seq:
                return RETRY
            """,
        right="""
            seq = self.seq.read()
            frame = self.mm.get_user_page(page, write)
            if self.seq.read() != seq:
                return RETRY
            """,
    ),
    entry(
        "E113",
        "a collection without an order is iterated",
        text="""
            A Python set has no order that could be relied on: the order in which a body would meet
            its elements, and with it the model, would differ from run to run. A tuple or a list
            has an order, a Table has that of its keys; all three may be iterated.

            Where the order must not matter, use choose() to take any element: every choice is
            explored.
            """,
        wrong="""
            self.slots = {0, 1}             # in __init__

            for slot in self.slots:         # in a body
                self.busy[slot] = False
            """,
        right="""
            self.slots = (0, 1)             # in __init__

            for slot in self.slots:         # in a body
                self.busy[slot] = False
            """,
    ),
    entry(
        "E114",
        "an assignment to something that set-up fixes",
        text="""
            Tables, locks, counters and queues are part of the shape of the model: set-up builds
            them once, and bodies change what is in them. A new lock in the place of an old one, or
            a whole table replaced, would move the state to another place while threads hold
            references to the old one.

            Change the contents: t.fill(v) sets a whole table in one step, c.set(v) a counter.
            """,
        wrong="""
            def release(self):
                self.spte = Table(self.mm.pages)
            """,
        right="""
            def release(self):
                self.spte.fill(None)
            """,
    ),
    entry(
        "E115",
        "an intrinsic where it has no meaning",
        text="""
            atomic(), wait_until(), choose(), current(), might_sleep() and require() speak about
            the interleaving of threads. Set-up runs before there are threads, so they have no
            meaning in `__init__` or at the level of the module. atomic() takes no argument and is
            used as `with atomic():`; wait_until() takes one lambda without parameters, whose body
            only reads.

            These are fine: atomic() inside atomic(), which is still one step; `with lock:` inside
            atomic(), where the whole step happens only when the lock is free; wait_until() inside
            atomic(), also after effects, for the same reason.
            """,
        wrong="""
            def __init__(self, mm):
                super().__init__(mm)
                wait_until(lambda: mm.ready)
            """,
        right="""
            def fault(self, page, write):
                wait_until(lambda: self.mm.ready)
            """,
    ),
)
