"""`Guest`: a small 64-bit virtual machine in user mode that accesses host memory as it is told.

The program runs at privilege level 3 behind page tables of its own. A guest in real mode or in
kernel mode is interpreted by some back ends, without any second translation, and a test would be
vacuous; `require_translations` makes sure that KVM has built some (its statistic `pf_fixed`).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import struct
import threading
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mmunotify.errors import CannotError, Diagnostic
from mmunotify.kernel import guest_program as program
from mmunotify.kernel.closing import Closing
from mmunotify.kernel.kvm import Exit, Vcpu, Vm
from mmunotify.kernel.memory import PAGE, Memory, read64, write64

__all__ = ["REFUSED", "Access", "Guest"]

REFUSED: Final = 0xDEAD_0000_0000_DEAD
"""What an access reads that the host's page table does not permit."""

_GIB: Final = 1 << 30
_HUGE: Final = 1 << 21
_MEMORY: Final = _GIB  # where the memory under test begins, in guest addresses
_BOX_PAGES: Final = program.SIZE // PAGE
_TABLES, _CODE, _MAILBOXES = 0x1000, 0x10000, 0x11000  # within the guest's private memory
_STOP: Final = signal.SIGRTMAX - 3
_ENTRY: Final = 0x67  # present, writable, user, accessed, dirty
_LARGE: Final = 0x80


@dataclass(frozen=True, slots=True)
class Access:
    """One access of the guest: `kind` is "read", "write", "exchange" or "await".

    `page` counts from the start of the memory under test, `word` from the start of the page;
    `delay` before the access is in turns of an empty loop.
    """

    kind: str
    page: int
    value: int = 0
    delay: int = 0
    word: int = 0


class Guest(Closing):
    """A VM whose virtual CPUs access `memory`, each in a thread of its own.

    What a CPU may not reach is refused and counted in `refused`.
    """

    def __init__(self, memory: Memory, cpus: int = 1) -> None:
        self.memory = memory
        self.refused = [0] * cpus
        self.error: Exception | None = None
        self._private = Memory(_MAILBOXES // PAGE + cpus * _BOX_PAGES)
        self._rounds = [0] * cpus
        self._threads: list[threading.Thread] = []
        self._work = threading.Condition()
        self._stopping = False
        self.vm = Vm()
        try:
            self._set_up(cpus)
        except BaseException:
            self.close()
            raise

    # -- what it is told ------------------------------------------------------------------------

    def load(self, accesses: Sequence[Access], cpu: int = 0, *, repeat: bool = False) -> None:
        """Say what a round of `cpu` does; with `repeat`, over and over."""
        if len(accesses) > program.MAX_ACCESSES:
            raise ValueError(f"a round has at most {program.MAX_ACCESSES} accesses")
        box = self._mailbox(cpu)
        words = array("Q")
        for access in accesses:
            address = _MEMORY + access.page * PAGE + 8 * access.word
            kind = program.KINDS.index(access.kind)
            words.extend((kind, address, access.value, access.delay))
        ctypes.memmove(box + program.ACCESSES, words.tobytes(), 8 * len(words))
        write64(box + program.COUNT, len(accesses))
        write64(box + program.REPEAT, int(repeat))

    def go(self, cpu: int = 0) -> None:
        """Start a round."""
        self._rounds[cpu] += 1
        write64(self._mailbox(cpu) + program.GO, self._rounds[cpu])
        with self._work:
            self._work.notify_all()

    def finished(self, cpu: int = 0) -> bool:
        """Tell whether the round that was started last is over."""
        return read64(self._mailbox(cpu) + program.DONE) == self._rounds[cpu]

    def wait(self, cpu: int = 0, seconds: float = 30.0) -> None:
        """Wait for the end of the round; raise what stopped the guest, if anything did."""
        deadline = time.monotonic() + seconds
        turns = 0
        while not self.finished(cpu):
            turns += 1
            if turns % 32 == 0:
                # The guest may need the processor that we run on.
                time.sleep(0.00005 if turns > 1000 else 0.0)
                os.sched_yield()
                self._require_running(time.monotonic() < deadline)

    def run(self, accesses: Sequence[Access], cpu: int = 0) -> list[int]:
        """Run one round and return what its accesses read."""
        self.load(accesses, cpu)
        self.go(cpu)
        self.wait(cpu)
        return self.results(len(accesses), cpu)

    def results(self, count: int, cpu: int = 0) -> list[int]:
        """What the first `count` accesses of the last round read."""
        at = self._mailbox(cpu) + program.RESULTS
        return list((ctypes.c_uint64 * count).from_address(at))

    def rounds(self, cpu: int = 0) -> int:
        """How many rounds `cpu` has run, repeated ones included."""
        return read64(self._mailbox(cpu) + program.ROUNDS)

    def pin(self, cpu: int, processor: int) -> None:
        """Let the thread of a virtual CPU run on one processor only."""
        os.sched_setaffinity(self._threads[cpu].native_id or 0, {processor})

    # -- what KVM says --------------------------------------------------------------------------

    def translations_built(self) -> int:
        """How many faults KVM answered by a translation of its own (`pf_fixed`)."""
        return sum(vcpu.statistics["pf_fixed"] for vcpu in self.vm.vcpus)

    def require_translations(self, before: int = 0) -> int:
        """Return `pf_fixed`; raise `CannotError` if it has not moved since `before`."""
        now = self.translations_built()
        if now <= before:
            what = "KVM runs the guest here without a second translation (pf_fixed stands still)"
            raise CannotError(Diagnostic("E401", None, what))
        return now

    # -- the end --------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop the CPUs and destroy the VM; the memory under test stays."""
        with self._work:
            self._stopping = True
            self._work.notify_all()
        for vcpu in self.vm.vcpus:
            vcpu.stop()
        for thread in self._threads:
            while thread.is_alive():
                with contextlib.suppress(ProcessLookupError):
                    signal.pthread_kill(thread.ident or 0, _STOP)
                thread.join(0.05)
        self._threads = []
        self.vm.close()
        self._private.close()

    # -- set-up ---------------------------------------------------------------------------------

    def _set_up(self, cpus: int) -> None:
        self._private.touch(0)
        self._write_tables(self._private.start + _TABLES)
        ctypes.memmove(self._private.start + _CODE, program.CODE, len(program.CODE))
        self.vm.add_memory(0, self._private.start, self._private.size)
        self.vm.add_memory(_MEMORY, self.memory.start, self.memory.size)
        for cpu in range(cpus):
            vcpu = self.vm.add_vcpu()
            self._set_registers(vcpu, cpu)
            thread = threading.Thread(target=self._run, args=(vcpu, cpu), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _write_tables(self, host: int) -> None:
        """Map the first 4 GiB to themselves: one table, one of 1 GiB steps, four of 2 MiB pages."""
        write64(host, (_TABLES + PAGE) | _ENTRY)
        for gib in range(4):
            directory = _TABLES + (2 + gib) * PAGE
            write64(host + PAGE + 8 * gib, directory | _ENTRY)
            for entry in range(512):
                address = gib * _GIB + entry * _HUGE
                write64(host + (2 + gib) * PAGE + 8 * entry, address | _ENTRY | _LARGE)

    def _set_registers(self, vcpu: Vcpu, cpu: int) -> None:
        special = vcpu.special_registers
        code = struct.pack("=QIHBBBBBBBBBB", 0, 0xFFFFFFFF, 0x33, 11, 1, 3, 0, 1, 1, 1, 0, 0, 0)
        data = struct.pack("=QIHBBBBBBBBBB", 0, 0xFFFFFFFF, 0x2B, 3, 1, 3, 1, 1, 0, 1, 0, 0, 0)
        special[0:24] = code
        for segment in range(1, 6):  # ds es fs gs ss
            special[24 * segment : 24 * (segment + 1)] = data
        control = 224
        struct.pack_into("=Q", special, control, 0x80010033)  # cr0: PE MP ET NE WP PG
        struct.pack_into("=QQ", special, control + 16, _TABLES, 0x20)  # cr3; cr4: PAE
        struct.pack_into("=Q", special, control + 40, 0xD01)  # efer: SCE LME LMA NX
        vcpu.special_registers = special
        registers = [0] * 18
        registers[5] = _MAILBOXES + cpu * program.SIZE  # rdi
        registers[16] = _CODE  # rip
        registers[17] = 0x3002  # rflags: IOPL 3
        vcpu.registers = registers

    def _mailbox(self, cpu: int) -> int:
        return self._private.start + _MAILBOXES + cpu * program.SIZE

    # -- the threads ----------------------------------------------------------------------------

    def _run(self, vcpu: Vcpu, cpu: int) -> None:
        # Blocked here and let in by KVM: the signal ends KVM_RUN and is never delivered.
        signal.pthread_sigmask(signal.SIG_BLOCK, {_STOP})
        try:
            vcpu.allow_signal(_STOP)
            while self._handle(vcpu, cpu, vcpu.run()):
                pass
        except Exception as error:
            self.error = error

    def _handle(self, vcpu: Vcpu, cpu: int, reason: int) -> bool:
        """Deal with an exit; tell whether to go on."""
        if reason == Exit.INTERRUPTED:
            return False
        if reason == Exit.IO:
            with self._work:
                while self.finished(cpu) and not self._stopping:
                    self._work.wait()
            return not self._stopping
        if reason == Exit.FAULT:
            # The host's page table refuses the access: the program goes on behind it.
            registers = vcpu.registers
            self.refused[cpu] += 1
            registers[0], registers[16] = REFUSED, _CODE + program.SKIP
            vcpu.registers = registers
            return True
        if reason == Exit.MMIO:
            _address, write = vcpu.mmio()
            self.refused[cpu] += 1
            if not write:
                vcpu.answer_mmio(REFUSED)
            return True
        at = vcpu.registers[16]
        raise RuntimeError(f"the guest stopped with KVM exit {reason} at {at:#x}")

    def _require_running(self, in_time: bool) -> None:
        if self.error:
            raise self.error
        if not in_time:
            raise TimeoutError("the guest does not finish its round")
