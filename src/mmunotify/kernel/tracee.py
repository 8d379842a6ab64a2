"""`Tracee`: a process under ptrace, into which single system calls are put.

Invariant: after `calls` its memory and registers are as before, and its code was never changed, so
its other threads may go on meanwhile; what the calls themselves leave behind is the caller's
business. x86-64 only, as is the guest's program.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from mmunotify.kernel.maps import areas_of
from mmunotify.kernel.system_call import Syscall, system_call

__all__ = ["Event", "Tracee", "shares_memory", "trace_me"]

_TRACEME, _CONT, _SINGLESTEP, _GETREGS, _SETREGS = 0, 7, 9, 12, 13
_ATTACH, _DETACH, _SYSCALL, _SETOPTIONS, _GETEVENTMSG = 16, 17, 24, 0x4200, 0x4201
_SEIZE, _LISTEN, _GET_SYSCALL_INFO = 0x4206, 0x4208, 0x420E
# TRACESYSGOOD, TRACEFORK, TRACEVFORK, TRACECLONE, TRACEEXEC, TRACEEXIT
_OPTIONS: Final = 1 | 2 | 4 | 8 | 16 | 64
_TRACESECCOMP, _EXITKILL = 128, 1 << 20
_INFO: Final = struct.Struct("=BxxxIQQ7Q")  # struct ptrace_syscall_info, a call that begins
_KCMP, _KCMP_VM = 312, 1
_ALL: Final = 0x40000000  # __WALL
_INSTRUCTION: Final = b"\x0f\x05"  # syscall
_RAX, _RDX, _RSI, _RDI, _ORIG_RAX, _RIP, _RSP, _R10, _R8, _R9 = 10, 12, 13, 14, 15, 16, 19, 7, 9, 8


class Event(IntEnum):
    """Why a tracee has stopped, in the status that is waited for from bit 16 on."""

    FORK = 1
    VFORK = 2
    CLONE = 3
    EXEC = 4
    EXIT = 6
    SECCOMP = 7
    STOP = 128


def trace_me() -> None:
    """Make the calling process a tracee of its parent; for a child before it executes."""
    system_call(Syscall.PTRACE, _TRACEME, 0, 0, 0)


class Tracee:
    """Process `pid`, which is stopped under ptrace by this thread."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._pending: list[int] = []

    @classmethod
    def attach(cls, pid: int) -> Tracee:
        """Stop a running process and trace it."""
        _ptrace(_ATTACH, pid)
        tracee = cls(pid)
        tracee.wait_for(signal.SIGSTOP)
        return tracee

    @classmethod
    def seize(cls, pid: int) -> Tracee:
        """Trace a running process and what it starts; stop as `follow` says, and by seccomp.

        They are killed when the tracer ends. Raises OSError where that is not permitted.
        """
        _ptrace(_SEIZE, pid, 0, _OPTIONS | _TRACESECCOMP | _EXITKILL)
        return cls(pid)

    def follow(self) -> None:
        """Stop at exec, at exit, and with every child and thread, which is traced too."""
        _ptrace(_SETOPTIONS, self.pid, 0, _OPTIONS)

    def go_on(self, signal_number: int = 0, *, to_end_of_call: bool = False) -> None:
        """Let it run; deliver a signal, and those that came meanwhile.

        `to_end_of_call`: it stops when the system call that it is in has ended.
        """
        for pending in self._pending:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, pending)
        self._pending = []
        _ptrace(_SYSCALL if to_end_of_call else _CONT, self.pid, 0, signal_number)

    def listen(self) -> None:
        """Have it stay stopped by the signal that has stopped it, until it is continued."""
        _ptrace(_LISTEN, self.pid)

    def call(self) -> tuple[int, list[int]]:
        """The system call that a filter has stopped it in: its number and six arguments."""
        buffer = ctypes.create_string_buffer(_INFO.size)
        _ptrace(_GET_SYSCALL_INFO, self.pid, _INFO.size, ctypes.addressof(buffer))
        _, _, _, _, number, *arguments = _INFO.unpack(buffer.raw)
        return number, arguments

    def detach(self) -> None:
        """Let it run, no longer traced."""
        for pending in self._pending:
            os.kill(self.pid, pending)
        _ptrace(_DETACH, self.pid)

    def finish_call(self) -> None:
        """Run until the system call it is in returns: results are written to registers there."""
        _ptrace(_SYSCALL, self.pid)
        self.wait_for(signal.SIGTRAP | 0x80)

    def event_message(self) -> int:
        """What the kernel says with the last event: a new child's pid, an exit status."""
        message = ctypes.create_string_buffer(8)
        _ptrace(_GETEVENTMSG, self.pid, 0, ctypes.addressof(message))
        return int.from_bytes(message.raw, "little")

    def wait_for(self, wanted: int) -> None:
        """Wait until it stops with `wanted`; other signals are kept until it goes on."""
        while True:
            _, status = os.waitpid(self.pid, _ALL)
            if not os.WIFSTOPPED(status):
                raise ProcessLookupError(f"process {self.pid} has ended")
            if os.WSTOPSIG(status) == wanted:
                return
            if os.WSTOPSIG(status) not in (signal.SIGTRAP, signal.SIGSTOP):
                self._pending.append(os.WSTOPSIG(status))
            _ptrace(_SINGLESTEP if wanted == signal.SIGTRAP else _SYSCALL, self.pid)

    @contextlib.contextmanager
    def calls(self) -> Iterator[_Calls]:
        """Put system calls in; everything is put back afterwards."""
        registers = self._registers()
        memory = os.open(f"/proc/{self.pid}/mem", os.O_RDWR | os.O_CLOEXEC)
        scratch = (registers[_RSP] - 1024) & ~15  # below what the interrupted function may use
        try:
            borrowed = [*registers]
            borrowed[_RIP] = self._instruction(memory)
            saved = os.pread(memory, 64, scratch)
            try:
                yield _Calls(self, borrowed, memory, scratch)
            finally:
                with contextlib.suppress(OSError):
                    os.pwrite(memory, saved, scratch)
                    self._set_registers(registers)
        finally:
            os.close(memory)

    def _instruction(self, memory: int) -> int:
        """Where a `syscall` instruction is: other threads may run, so no code is changed."""
        for start, end, name in areas_of(self.pid):
            if name == "[vdso]":
                found = os.pread(memory, end - start, start).find(_INSTRUCTION)
                if found >= 0:
                    return start + found
        raise OSError(errno.ENOSYS, "the process has no vdso to make system calls from")

    def _registers(self) -> list[int]:
        buffer = ctypes.create_string_buffer(27 * 8)
        _ptrace(_GETREGS, self.pid, 0, ctypes.addressof(buffer))
        return list(struct.unpack("=27Q", buffer.raw))

    def _set_registers(self, registers: list[int]) -> None:
        buffer = ctypes.create_string_buffer(struct.pack("=27Q", *registers))
        _ptrace(_SETREGS, self.pid, 0, ctypes.addressof(buffer))

    def step(self, registers: list[int]) -> list[int]:
        """Execute one instruction with other registers; return them afterwards."""
        self._set_registers(registers)
        _ptrace(_SINGLESTEP, self.pid)
        self.wait_for(signal.SIGTRAP)
        return self._registers()


class _Calls:
    """System calls of a tracee, while its registers are borrowed."""

    def __init__(self, tracee: Tracee, registers: list[int], memory: int, scratch: int) -> None:
        self._tracee = tracee
        self._registers = registers
        self._memory = memory
        self._scratch = scratch

    def text(self, value: bytes) -> int:
        """Put a text of at most 63 bytes into its memory; return the address."""
        os.pwrite(self._memory, value.ljust(64, b"\0"), self._scratch)
        return self._scratch

    def __call__(self, number: int, *arguments: int) -> int:
        """Make one call; raise `OSError` if it fails."""
        registers = list(self._registers)
        places = (_RDI, _RSI, _RDX, _R10, _R8, _R9)
        for place, value in zip(places, arguments, strict=False):
            registers[place] = value & (2**64 - 1)
        registers[_RAX] = number
        registers[_ORIG_RAX] = 2**64 - 1  # no system call that a signal could restart
        result = int(self._tracee.step(registers)[_RAX])
        if result > 2**64 - 4096:
            raise OSError(2**64 - result, os.strerror(2**64 - result))
        return result


def shares_memory(one: int, other: int, otherwise: bool) -> bool:
    """Tell whether two tracees have one address space; `otherwise` where that cannot be asked."""
    try:
        return system_call(_KCMP, one, other, _KCMP_VM, 0, 0) == 0
    except OSError:
        return otherwise


def _ptrace(request: int, pid: int, address: int = 0, data: int = 0) -> None:
    system_call(Syscall.PTRACE, request, pid, address, data)
