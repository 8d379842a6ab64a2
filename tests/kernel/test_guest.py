"""A guest that accesses host memory through a second translation."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

import pytest

from mmunotify.errors import CannotError
from mmunotify.kernel.guest import REFUSED, Access, Guest
from mmunotify.kernel.memory import PAGE, PROT_NONE, PROT_READ, Memory, read64, write64
from mmunotify.kernel.system_call import Syscall, system_call


@pytest.fixture
def guest(memory: Memory) -> Iterator[Guest]:
    """A guest with two virtual CPUs."""
    try:
        guest = Guest(memory, cpus=2)
    except CannotError as error:
        pytest.skip(str(error))
    with guest:
        yield guest


def test_accesses_reach_host_memory(guest: Guest, memory: Memory) -> None:
    """Reads, writes and exchanges are of the host's own words, by translations of KVM."""
    write64(memory.page(2), 11)
    accesses = [Access("read", 2), Access("exchange", 2, 12), Access("write", 3, 13)]
    assert guest.run(accesses) == [11, 11, 13]
    assert (read64(memory.page(2)), read64(memory.page(3))) == (12, 13)
    assert guest.require_translations() > 0


def test_dropped_page_is_translated_anew(guest: Guest, memory: Memory) -> None:
    """After MADV_DONTNEED the guest sees the new page, and KVM had to translate again."""
    guest.run([Access("read", 4)])
    before = guest.translations_built()
    system_call(Syscall.MADVISE, memory.page(4), PAGE, mmap.MADV_DONTNEED)
    assert guest.run([Access("read", 4)]) == [0]
    assert guest.require_translations(before) > before


def test_refused_accesses(guest: Guest, memory: Memory) -> None:
    """What the host's page table forbids is forbidden to the guest."""
    guest.run([Access("write", 5, 5)])
    system_call(Syscall.MPROTECT, memory.page(5), PAGE, PROT_READ)
    assert guest.run([Access("read", 5), Access("write", 5, 6)]) == [5, REFUSED]
    system_call(Syscall.MPROTECT, memory.page(5), PAGE, PROT_NONE)
    assert guest.run([Access("read", 5)]) == [REFUSED]
    assert guest.refused == [2, 0]


def test_two_cpus_and_repetition(guest: Guest) -> None:
    """Each CPU has its own work; repeated rounds go on by themselves."""
    guest.load([Access("read", 0)], 1, repeat=True)
    guest.go(1)
    assert guest.run([Access("write", 1, 9)], 0) == [9]
    seen = guest.rounds(1)
    while guest.rounds(1) == seen:
        guest.run([Access("read", 1)], 0)
    guest.load([Access("read", 0)], 1)
    guest.wait(1)


def test_vacuous_run_is_refused(guest: Guest) -> None:
    """A test that KVM did nothing for is no test."""
    guest.run([Access("read", 0)])
    with pytest.raises(CannotError, match="pf_fixed stands still"):
        guest.require_translations(guest.translations_built())


def test_too_many_accesses(guest: Guest) -> None:
    """A round that does not fit is refused."""
    with pytest.raises(ValueError, match="at most 1024"):
        guest.load([Access("read", 0)] * 1025)


def test_guest_that_stops_is_reported(guest: Guest) -> None:
    """An access outside of all memory ends in an exit that is dealt with, not in a hang."""
    assert guest.run([Access("read", 10**5)]) == [REFUSED]
