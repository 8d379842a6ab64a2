"""KVM by its ioctls: `Vm` and `Vcpu`, as little as a test of notifiers needs.

Creating a VM registers KVM's notifier on the mm of the caller, even if the VM stays empty
(virt/kvm/kvm_main.c, kvm_init_mmu_notifier). Invariant: a `Vm` owns its file descriptors, and
`close` gives them all back; the notifier is gone with the last of them.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import struct
from typing import Final

from mmunotify.errors import CannotError, Diagnostic
from mmunotify.kernel.closing import Closing

__all__ = ["Exit", "Statistics", "Vcpu", "Vm"]

_CREATE_VM: Final = 0xAE01
_GET_SUPPORTED_CPUID: Final = 0xC008AE05
_GET_VCPU_MMAP_SIZE: Final = 0xAE04
_CREATE_VCPU: Final = 0xAE41
_SET_USER_MEMORY_REGION: Final = 0x4020AE46
_SET_TSS_ADDR: Final = 0xAE47
_RUN: Final = 0xAE80
_GET_REGS: Final = 0x8090AE81
_SET_REGS: Final = 0x4090AE82
_GET_SREGS: Final = 0x8138AE83
_SET_SREGS: Final = 0x4138AE84
_SET_SIGNAL_MASK: Final = 0x4004AE8B
_SET_CPUID2: Final = 0x4008AE90
_GET_STATS_FD: Final = 0xAECE
_TSS: Final = 0x7FFBD000  # three pages that the guest does not use
_CPUID_ENTRIES: Final = 100
_CPUID_ENTRY_SIZE: Final = 40


class Exit:
    """Why KVM_RUN returned (`kvm_run.exit_reason`); INTERRUPTED and FAULT are errnos of it."""

    IO = 2
    MMIO = 6
    SHUTDOWN = 8
    FAIL_ENTRY = 9
    INTERNAL_ERROR = 17
    INTERRUPTED = -errno.EINTR
    FAULT = -errno.EFAULT


class Vm(Closing):
    """A virtual machine of this process. Without memory and vCPUs it is a notifier and no more.

    Raises `CannotError` where /dev/kvm is missing or may not be opened.
    """

    def __init__(self) -> None:
        self._kvm = _open_kvm()
        try:
            self.fd = _create_vm(self._kvm)
        except OSError as error:
            os.close(self._kvm)
            raise _cannot(f"KVM cannot create a VM: {error.strerror}") from None
        self.slots = 0
        self.vcpus: list[Vcpu] = []

    def add_memory(self, guest: int, host: int, size: int) -> int:
        """Put `size` bytes at `host` into the guest at physical address `guest`; return the slot.

        All three are multiples of the page size. The memory stays the caller's.
        """
        slot = self.slots
        self.slots += 1
        self.set_memory(slot, guest, host, size)
        return slot

    def set_memory(self, slot: int, guest: int, host: int, size: int) -> None:
        """Put memory into a slot of the caller's choice; a size of 0 takes out what is there."""
        region = struct.pack("=IIQQQ", slot, 0, guest, size, host)
        fcntl.ioctl(self.fd, _SET_USER_MEMORY_REGION, region)

    def add_vcpu(self) -> Vcpu:
        """Create the next virtual CPU, with every CPUID feature that KVM supports."""
        if not self.vcpus:
            fcntl.ioctl(self.fd, _SET_TSS_ADDR, _TSS)
        vcpu = Vcpu(fcntl.ioctl(self.fd, _CREATE_VCPU, len(self.vcpus)), self._run_size())
        vcpu.set_cpuid(self._supported_cpuid())
        self.vcpus.append(vcpu)
        return vcpu

    def statistics(self) -> Statistics:
        """Open the statistics of the VM; those of a vCPU are the vCPU's."""
        return Statistics(self.fd)

    def close(self) -> None:
        """Destroy the VM; its vCPUs must have stopped."""
        for vcpu in self.vcpus:
            vcpu.close()
        self.vcpus = []
        for fd in (self.fd, self._kvm):
            if fd >= 0:
                os.close(fd)
        self.fd = self._kvm = -1

    def _run_size(self) -> int:
        return fcntl.ioctl(self._kvm, _GET_VCPU_MMAP_SIZE, 0)

    def _supported_cpuid(self) -> bytearray:
        table = bytearray(8 + _CPUID_ENTRIES * _CPUID_ENTRY_SIZE)
        struct.pack_into("=I", table, 0, _CPUID_ENTRIES)
        fcntl.ioctl(self._kvm, _GET_SUPPORTED_CPUID, table)
        return table


class Vcpu(Closing):
    """A virtual CPU. `run` blocks; `stop` from another thread, with a signal, ends it."""

    def __init__(self, fd: int, run_size: int) -> None:
        self.fd = fd
        self._run = mmap.mmap(fd, run_size)
        # The statistics' ioctl waits for KVM_RUN to return: open them while nothing runs.
        self.statistics = Statistics(fd)

    def run(self) -> int:
        """Run until the guest leaves; return an `Exit`."""
        try:
            fcntl.ioctl(self.fd, _RUN, 0)
        except OSError as error:
            if error.errno in (errno.EINTR, errno.EFAULT):
                return -error.errno
            raise
        return int(struct.unpack_from("=I", self._run, 8)[0])

    def stop(self) -> None:
        """Have the next entry of the guest return at once; a signal ends one that is under way."""
        self._run[1:2] = b"\1"  # kvm_run.immediate_exit

    def allow_signal(self, signal: int) -> None:
        """Let `signal`, blocked in the running thread, end KVM_RUN without being delivered."""
        blocked = ~(1 << (signal - 1)) & (2**64 - 1)
        fcntl.ioctl(self.fd, _SET_SIGNAL_MASK, struct.pack("=IQ", 8, blocked))

    def set_cpuid(self, table: bytearray) -> None:
        """Tell the guest what CPUID says."""
        fcntl.ioctl(self.fd, _SET_CPUID2, table)

    @property
    def registers(self) -> list[int]:
        """The general registers: rax rbx rcx rdx rsi rdi rsp rbp r8..r15 rip rflags."""
        buffer = bytearray(144)
        fcntl.ioctl(self.fd, _GET_REGS, buffer)
        return list(struct.unpack("=18Q", buffer))

    @registers.setter
    def registers(self, values: list[int]) -> None:
        fcntl.ioctl(self.fd, _SET_REGS, struct.pack("=18Q", *values))

    @property
    def special_registers(self) -> bytearray:
        """`struct kvm_sregs`, as bytes."""
        buffer = bytearray(312)
        fcntl.ioctl(self.fd, _GET_SREGS, buffer)
        return buffer

    @special_registers.setter
    def special_registers(self, buffer: bytearray) -> None:
        fcntl.ioctl(self.fd, _SET_SREGS, bytes(buffer))

    def mmio(self) -> tuple[int, bool]:
        """After `Exit.MMIO`: the physical address, and whether the guest wrote."""
        address, _data, _size, write = struct.unpack_from("=QQIB", self._run, 32)
        return int(address), bool(write)

    def answer_mmio(self, value: int) -> None:
        """What the guest's read of `Exit.MMIO` shall get when it goes on."""
        struct.pack_into("=Q", self._run, 40, value)

    def close(self) -> None:
        """Give the descriptors back."""
        self.statistics.close()
        self._run.close()
        os.close(self.fd)


class Statistics(Closing):
    """The counters of a VM or vCPU by name, read from its statistics descriptor."""

    def __init__(self, fd: int) -> None:
        self.fd = fcntl.ioctl(fd, _GET_STATS_FD, 0)
        name_size, count, _id, descriptors, self._data = struct.unpack("=5I", self._read(20, 4))
        size = 16 + name_size
        table = self._read(size * count, descriptors)
        self._offsets: dict[str, int] = {}
        for at in range(0, size * count, size):
            offset = struct.unpack_from("=I", table, at + 8)[0]
            name = table[at + 16 : at + size].split(b"\0")[0].decode()
            self._offsets[name] = offset

    def __getitem__(self, name: str) -> int:
        """The present value of a counter; KeyError if this kernel has none of that name."""
        data = self._read(8, self._data + self._offsets[name])
        return int(struct.unpack("=Q", data)[0])

    def __contains__(self, name: str) -> bool:
        return name in self._offsets

    def close(self) -> None:
        """Give the descriptor back; while it is open the VM and its notifier stay."""
        os.close(self.fd)

    def _read(self, size: int, offset: int) -> bytes:
        return os.pread(self.fd, size, offset)


def _create_vm(kvm: int) -> int:
    """Create a VM, however often a signal comes in between (`mm_take_all_locks` gives up then)."""
    while True:
        try:
            return fcntl.ioctl(kvm, _CREATE_VM, 0)
        except InterruptedError:
            continue


def _open_kvm() -> int:
    try:
        return os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        raise _cannot("there is no /dev/kvm", "modprobe kvm_intel   # or kvm_amd") from None
    except OSError as error:
        what = f"/dev/kvm cannot be opened by user {os.getuid()}: {error.strerror}"
        raise _cannot(what, "sudo usermod -aG kvm $USER   # then log in again") from None


def _cannot(what: str, fix: str = "") -> CannotError:
    return CannotError(Diagnostic("E401", None, what, fix=fix))
