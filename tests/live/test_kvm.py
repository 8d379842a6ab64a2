"""The auditor: what no other monitor reports, the kernel's own notifier does, and names it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from tests.live.raw import PAGE, PRIVATE, SHARED, Memory, libc
from tests.live.subject import as_nobody

from mmunotify import AddressSpace, RegistrationCache
from mmunotify.errors import CannotError, DiagnosticError
from mmunotify.kernel.kvm import Vm
from mmunotify.kernel.system_call import Syscall, system_call
from mmunotify.live import Guarantee, Need
from mmunotify.live.audit import Audit, Fault, Finding
from mmunotify.live.memory import Extent
from mmunotify.live.monitors import Kvm, Monitor, Userfaultfd
from mmunotify.live.operations import OPERATIONS, Agent, Kind
from mmunotify.live.scratch import scratch
from mmunotify.live.ways import WAYS, Way, perform

DONTNEED, FREE = 4, 8
HEARD = {operation.name for operation in OPERATIONS if operation.heard}
HARMFUL = ["madv_guard_install", "punch_hole", "ftruncate", "shmdt"]


class Anything:
    """A device that takes memory of every kind, and keeps nothing."""

    name = "anything"
    need = Need.PINNED

    def register(self, address: int, length: int) -> tuple[int, int]:
        """Say yes."""
        return address, length

    def deregister(self, key: tuple[int, int]) -> None:
        """Say yes."""

    def clear_young(self, key: tuple[int, int]) -> bool:
        """Say no."""
        return False


class Listener:
    """Subscribed for the sake of its ranges."""


class Deaf(Userfaultfd):
    """A monitor that lies: of what it is deaf to it hears nothing, and promises it all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.deaf: list[Extent] = []

    def watch(self, extent: Extent) -> None:
        """Watch it, or only seem to."""
        if extent not in self.deaf:
            super().watch(extent)

    def unwatch(self, extent: Extent) -> None:
        """Stop that."""
        if extent not in self.deaf:
            super().unwatch(extent)

    @contextlib.contextmanager
    def asleep(self, extent: Extent) -> Iterator[None]:
        """Hear nothing of a range for a while, which it watches."""
        super().unwatch(extent)
        try:
            yield
        finally:
            super().watch(extent)


@contextlib.contextmanager
def space(*monitors: str | Monitor) -> Iterator[AddressSpace]:
    """An address space with an auditor, if this machine lets it be."""
    try:
        found = AddressSpace(monitors=monitors)
    except CannotError as error:
        pytest.skip(str(error))
    with found:
        yield found


@pytest.fixture
def mm() -> Iterator[AddressSpace]:
    """An address space with all monitors of this process's own memory."""
    with space("explicit", "userfaultfd", "kvm") as found:
        yield found


def counts(audit: Audit) -> dict[str, tuple[int, int]]:
    """What was told and what was not, by operation."""
    return {row.operation: (row.told, row.untold) for row in audit.rows}


def test_guarantees(mm: AddressSpace) -> None:
    """The best of what the monitors promise."""
    assert mm.guarantee("munmap") is Guarantee.ORDERED
    assert mm.guarantee("punch_hole") is Guarantee.OBSERVED
    assert mm.guarantee("write") is Guarantee.NONE


def test_a_punched_hole_is_observed(mm: AddressSpace) -> None:
    """Some time after, the registration is gone; that is no guarantee for a cache."""
    cache = RegistrationCache(mm, Anything(), allow_uncovered=HARMFUL)
    fd = os.memfd_create("test")
    os.truncate(fd, 4 * PAGE)
    memory = Memory(4, SHARED, fd=fd)
    memory.fill()
    deadline = time.monotonic() + 20
    cache.get(memory.span).release()
    before = cache.statistics().invalidations
    system_call(Syscall.FALLOCATE, fd, 3, 0, 4 * PAGE)
    while cache.statistics().invalidations == before and time.monotonic() < deadline:
        time.sleep(0.005)
    assert cache.statistics().invalidations > before
    cache.close()
    os.close(fd)


def test_what_was_told_is_not_told_again(mm: AddressSpace) -> None:
    """The auditor has caches forget what nobody else told them, and nothing more."""
    cache = RegistrationCache(mm, Anything(), allow_uncovered=HARMFUL)
    memory = Memory(4, PRIVATE)
    memory.fill()
    with cache.get(memory.span):
        memory.advise(DONTNEED)
        memory.fill()
        mm.audit()
        told = cache.statistics().invalidations
        libc.mprotect(*memory.span, 1)
        mm.audit()
        cache.get(memory.span).release()  # not kept: the discard may still be under way
    assert told == 1
    assert counts(mm.audit()) == {"madv_dontneed": (1, 0), "mprotect": (0, 1)}


@pytest.mark.parametrize(
    "way", [w for w in WAYS if w.operation in HEARD], ids=lambda w: f"{w.operation} {w.how}"
)
def test_every_promise(way: Way) -> None:
    """A monitor that keeps its promise is clean, one that does not is named, on all memory."""
    for kind in sorted(way.memory, key=str):
        for lies in (False, True):
            found: list[Finding] = []
            deaf = Deaf()
            with space("explicit", deaf, Kvm(on_finding=found.append)) as mm:
                audit = _audited(way, kind, mm, deaf if lies else None)
            # What goes through the address space is told by it, whoever else lies.
            wrong = lies and way.agent not in (Agent.THROUGH, Agent.REMAP)
            assert audit.complete
            assert (audit.found > 0) is wrong, f"{kind}: {audit}"
            # What takes the scratch memory away is found, too, but after the audit.
            found = found[: audit.found]
            assert found == list(audit.findings)
            # The chain is the same.
            name = "mremap" if way.operation == "mremap_dontunmap" else way.operation
            for one in found:
                assert (one.fault, one.who) == (Fault.BROKEN, ("userfaultfd",))
                assert (one.operation, one.process) == (name, os.getpid())
                assert one.thread
                assert one.stack


def _audited(way: Way, kind: Kind, mm: AddressSpace, liar: Deaf | None) -> Audit:
    """Do it once to memory that is watched, truthfully or not."""
    with scratch(kind, way.shape) as memory:
        way.prepare(memory)
        memory.mm = mm
        if liar is not None:
            liar.deaf.append(memory.extent)
        mm.register(Listener(), ranges=[(memory.extent.address, memory.extent.length)])
        perform(way, memory)
        return mm.audit()


@pytest.mark.parametrize("how", ["anonymous", "shared"])
def test_single_lies_among_thousands(how: str) -> None:
    """Of thousands of discards of one range each one that is not reported is found, no other."""
    deaf = Deaf()
    found: list[Finding] = []
    chance = random.Random(how)
    with space("explicit", deaf, Kvm(on_finding=found.append)) as mm:
        memory = Memory(8, PRIVATE if how == "anonymous" else SHARED)
        extent = Extent(*memory.span)
        mm.register(Listener(), ranges=[memory.span])
        lies = 0
        for _ in range(3000):
            first = chance.randrange(8)
            pages = chance.randint(1, 8 - first)
            lie = chance.random() < 0.01
            lies += lie
            memory.fill()
            with deaf.asleep(extent) if lie else contextlib.nullcontext():
                memory.advise(DONTNEED, first, pages)
        audit = mm.audit()
    assert audit.complete
    assert lies > 10
    assert counts(audit)["madv_dontneed"] == (3000 - lies, lies)
    assert len(found) == audit.found == lies


def test_truthful_monitors_are_clean() -> None:
    """Thousands of operations at random, by four threads and through caches: nothing is found."""
    found: list[Finding] = []
    with space("explicit", "userfaultfd", Kvm(on_finding=found.append)) as mm:
        caches = [RegistrationCache(mm, Anything(), allow_uncovered=HARMFUL) for _ in range(4)]
        workers = [
            threading.Thread(target=_at_random, args=(mm, cache, seed, 1000))
            for seed, cache in enumerate(caches)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
        audit = mm.audit()
        for cache in caches:
            cache.close()
    assert not found, "\n".join(map(str, found))
    assert audit.clean, str(audit)
    told = counts(audit)
    names = ("munmap", "mmap_fixed", "madv_dontneed", "mremap")
    assert min(told.get(name, (0, 0))[0] for name in names) > 50, str(told)
    assert told["mprotect"][1] > 50


def _at_random(mm: AddressSpace, cache: RegistrationCache, seed: int, steps: int) -> None:
    """What a program does to memory that it has registered: past mmunotify, and through it."""
    chance = random.Random(seed)
    memory = Memory(8, PRIVATE)

    def again() -> None:
        nonlocal memory
        memory.unmap()
        memory = Memory(8, PRIVATE)

    def moved() -> None:
        nonlocal memory
        target = Memory(8, PRIVATE)
        size = memory.length
        with cache.get(memory.span):  # all of it: a part that is watched is a mapping of its own
            system_call(Syscall.MREMAP, memory.address, size, size, 3, target.address)
        memory = target

    def through() -> None:
        nonlocal memory
        mm.unmap(memory.span)
        memory = Memory(8, PRIVATE)

    def part() -> None:
        first = chance.randrange(8)
        memory.advise(DONTNEED, first, chance.randint(1, 8 - first))

    acts: list[Callable[[], object]] = [
        again,
        moved,
        through,
        part,
        lambda: Memory(8, PRIVATE, memory.address),
        lambda: memory.advise(FREE),
        lambda: mm.discard(memory.span),
        lambda: libc.mprotect(memory.address, memory.length, 1),
    ]
    for _ in range(steps):
        libc.mprotect(memory.address, memory.length, 3)
        memory.fill()
        first = chance.randrange(8)
        span = memory.address + first * PAGE, chance.randint(1, 8 - first) * PAGE
        with cache.get(span):
            chance.choice(acts)()
    memory.unmap()


def test_a_wrong_allowance(mm: AddressSpace, capfd: pytest.CaptureFixture[str]) -> None:
    """What is allowed since it never happens, and happens, is a finding: of that cache alone."""
    wrong = RegistrationCache(mm, Anything(), allow_uncovered=HARMFUL)
    right = RegistrationCache(mm, Anything(), allow_uncovered=HARMFUL)
    fd = os.memfd_create("test")
    os.truncate(fd, 8 * PAGE)
    punched, other = Memory(8, SHARED, fd=fd), Memory(8, PRIVATE)
    with wrong.get(punched.span), right.get(other.span):
        punched.fill()
        system_call(Syscall.FALLOCATE, fd, 3, 0, 4 * PAGE)
        (finding,) = mm.audit().findings
    assert finding.fault is Fault.ALLOWED
    assert (finding.operation, finding.who) == ("punch_hole", ("anything",))
    assert (finding.start, finding.end) == (punched.address, punched.address + 4 * PAGE)
    assert finding.thread == threading.get_native_id()
    assert 0 <= time.monotonic_ns() - finding.time < 60e9
    assert "shmem_fallocate" in finding.stack
    assert "allowed, and happened: punch_hole of [" in capfd.readouterr().err
    assert not mm.audit().clean
    os.close(fd)


def test_before_and_after_registration(mm: AddressSpace) -> None:
    """What happened before the memory was registered, or after, is nobody's fault."""
    cache = RegistrationCache(mm, Anything(), allow_uncovered=HARMFUL)
    fd = os.memfd_create("test")
    os.truncate(fd, 8 * PAGE)
    memory = Memory(8, SHARED, fd=fd)
    memory.fill()
    system_call(Syscall.FALLOCATE, fd, 3, 0, 4 * PAGE)
    cache.get(memory.span).release()
    cache.close()
    memory.fill()
    system_call(Syscall.FALLOCATE, fd, 3, 0, 4 * PAGE)
    assert mm.audit().clean, str(mm.audit())
    os.close(fd)


def test_a_hole_through_another_mapping(mm: AddressSpace) -> None:
    """MADV_REMOVE of one mapping of a file is a punched hole in its other mappings."""
    cache = RegistrationCache(mm, Anything(), allow_uncovered=HARMFUL)
    fd = os.memfd_create("test")
    os.truncate(fd, 8 * PAGE)
    one, two = Memory(8, SHARED, fd=fd), Memory(8, SHARED, fd=fd)
    one.fill()
    two.fill()
    with cache.get(one.span), cache.get(two.span):
        two.advise(9)  # MADV_REMOVE
        audit = mm.audit()
    assert counts(audit) == {"madv_remove": (1, 0), "punch_hole": (0, 1)}
    (finding,) = audit.findings
    assert (finding.fault, finding.start) == (Fault.ALLOWED, one.address)
    os.close(fd)


def test_the_same_hole_twice() -> None:
    """The second may be a part of the first call; caches forget it each time."""
    everything = [operation.name for operation in OPERATIONS]
    with space("kvm") as mm, RegistrationCache(mm, Anything(), allow_uncovered=everything) as cache:
        memory = Memory(4, SHARED)
        for _ in range(3):
            memory.fill()
            with cache.get(memory.span) as registration:
                assert registration.valid(memory.span)
                memory.advise(9)  # MADV_REMOVE
                mm.audit()
                assert not registration.valid(memory.span)


def test_a_fork_is_told(mm: AddressSpace) -> None:
    """By os.fork or by hand; the copy that a write makes afterwards is nobody's promise."""
    memory = Memory(4, PRIVATE)
    memory.fill()
    mm.register(Listener(), ranges=[memory.span])
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    memory.fill()
    os.close(write)
    os.waitpid(child, 0)
    os.close(read)
    assert counts(mm.audit()) == {"cow": (0, 4), "fork": (1, 0)}
    assert mm.audit().clean


def test_a_fork_without_userfaultfd() -> None:
    """The address space tells of it by itself."""
    with space("explicit", "kvm") as mm:
        memory = Memory(4, PRIVATE)
        memory.fill()
        mm.register(Listener(), ranges=[memory.span])
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        memory.advise(DONTNEED)
        mm.unmap(memory.span)
        assert counts(mm.audit()) == {
            "fork": (1, 0),
            "madv_dontneed": (0, 1),
            "munmap": (1, 0),
        }
        assert mm.audit().clean  # nobody has promised it


def test_other_virtual_machines(mm: AddressSpace) -> None:
    """The kernel tells every VM of the process; each operation is counted once."""
    memory = Memory(4, PRIVATE)
    mm.register(Listener(), ranges=[memory.span])
    done = 0
    for vms in (1, 0, 2):
        with contextlib.ExitStack() as stack:
            for _ in range(vms):
                stack.enter_context(Vm())
            mm.audit()
            for _ in range(200):
                memory.fill()
                memory.advise(DONTNEED)
                done += 1
            assert counts(mm.audit()) == {"madv_dontneed": (done, 0)}
    assert mm.audit().clean


def test_lost_events_are_said() -> None:
    """What the rings had no room for makes the audit incomplete, and caches forget everything."""
    auditor = Kvm(pages=1)
    with space("explicit", "userfaultfd", auditor) as mm:
        cache = RegistrationCache(mm, Anything(), allow_uncovered=HARMFUL)
        memory, other = Memory(4, PRIVATE), Memory(4, PRIVATE)
        with cache.get(memory.span), cache.get(other.span) as kept:
            assert kept.valid(other.span)
            with auditor._looking:  # as if its thread got no processor meanwhile
                for _ in range(500):
                    memory.fill()
                    memory.advise(DONTNEED)
            audit = mm.audit()
            assert not kept.valid(other.span)
        assert audit.lost > 0
        assert not audit.complete
        assert not audit.clean
        assert not audit.findings, str(audit)
        assert f"INCOMPLETE: {audit.lost:,} notifications lost" in str(audit)
        memory.fill()
        mm.register(Listener(), ranges=[memory.span])
        memory.unmap()
        assert mm.audit().lost == audit.lost
        assert counts(mm.audit())["munmap"] == (1, 0)


def test_a_dead_monitor_promises_nothing(mm: AddressSpace) -> None:
    """Its caches serve nothing any more, and say so."""
    memory = Memory(4, PRIVATE)
    memory.fill()
    mm.register(Listener(), ranges=[memory.span])
    monitor = next(one for one in mm.monitors if isinstance(one, Userfaultfd))
    assert monitor._native is not None
    os.close(monitor._native.fd)
    deadline = time.monotonic() + 20
    while mm.alive and time.monotonic() < deadline:
        time.sleep(0.01)
    memory.advise(DONTNEED)
    assert not mm.alive
    audit = mm.audit()
    assert counts(audit)["madv_dontneed"] == (0, 1)
    assert not audit.findings


def test_an_auditor_that_fails_to_tell() -> None:
    """Whoever is told may raise, or ask for an audit; the auditor goes on."""
    told: list[int] = []

    def tell(_: Finding) -> None:
        told.append(audited.audit().found)
        raise ValueError

    deaf = Deaf()
    with space("explicit", deaf, Kvm(on_finding=tell)) as audited:
        memory = Memory(4, PRIVATE)
        deaf.deaf.append(Extent(*memory.span))
        audited.register(Listener(), ranges=[memory.span])
        for round_ in (1, 2):
            memory.fill()
            memory.advise(DONTNEED)
            assert audited.audit().found == round_
    assert sorted(told) == [1, 2]


def test_without_an_auditor() -> None:
    """An audit needs one, and one that knows the names of operations."""
    with AddressSpace() as mm, pytest.raises(DiagnosticError) as caught:
        mm.audit()
    assert caught.value.diagnostics[0].what == "this address space has no auditor"
    with space("explicit", "userfaultfd", Kvm(stacks=False)) as mm:
        memory = Memory(4, PRIVATE)
        memory.fill()
        cache = RegistrationCache(mm, Anything(), allow_uncovered=HARMFUL)
        with pytest.raises(DiagnosticError) as caught:
            mm.audit()
        with cache.get(memory.span) as kept:
            deadline = time.monotonic() + 20
            libc.madvise(ctypes.c_void_p(memory.address), memory.length, 102)  # a guard
            while kept.valid(memory.span) and time.monotonic() < deadline:
                time.sleep(0.005)
            assert not kept.valid(memory.span)
    assert "does not know which operation" in caught.value.diagnostics[0].what


def test_without_privilege() -> None:
    """User nobody is told what it lacks."""
    outcome = as_nobody(
        """
        from tests.live.subject import become_nobody
        from mmunotify import AddressSpace
        from mmunotify.errors import CannotError

        become_nobody()
        try:
            AddressSpace(monitors=["explicit", "userfaultfd", "kvm"])
        except CannotError as error:
            print(error.diagnostics[0].code, error.diagnostics[0].what)
        """,
        seconds=60,
    )
    assert outcome.output.startswith("E401 "), outcome
