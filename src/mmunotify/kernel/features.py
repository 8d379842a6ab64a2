"""What mmunotify can use of a kernel, feature by feature: the probes behind `mmunotify doctor`.

Invariant: features are tried; no version is compared and no setting is changed.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import platform
import resource
import struct
from collections.abc import Iterator
from ctypes import create_string_buffer
from functools import partial
from pathlib import Path
from typing import Final

from mmunotify.kernel.feature import Feature, Permit, Refusal, permit
from mmunotify.kernel.guest import Access, Guest
from mmunotify.kernel.kvm import Vm
from mmunotify.kernel.memory import PAGE, Memory
from mmunotify.kernel.notifications import Notifications
from mmunotify.kernel.symbols import Symbols
from mmunotify.kernel.system_call import Syscall, system_call
from mmunotify.kernel.tracefs import Tracefs
from mmunotify.kernel.userfaultfd import FEATURES, Userfaultfd

__all__ = ["permits"]

_HUGE: Final = 1 << 21
_KSM: Final = Path("/sys/kernel/mm/ksm/run")
_THP: Final = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_PAGEMAP_SCAN: Final = 0xC0606610
_PROCMAP_QUERY: Final = 0xC0686611
_SOFT_DIRTY: Final = 55  # bit of an entry of /proc/PID/pagemap


def permits() -> Iterator[Permit]:
    """Try everything, in the order of the report."""
    yield from map(permit, _FEATURES)


# The kernel and KVM -------------------------------------------------------------------------------


def _kernel() -> str:
    if platform.machine() != "x86_64":
        raise Refusal(f"the processor is {platform.machine()}, the guest's program is for x86_64")
    return f"Linux {platform.release()}, {os.cpu_count()} processors, user {os.getuid()}"


def _kvm() -> str:
    with Vm():
        return "/dev/kvm opens, and a VM can be created"


def _guest() -> str:
    with Memory(1) as memory, Guest(memory) as guest:
        guest.run([Access("write", 0, 1)])
        return (
            f"a guest runs on translations of KVM's own (pf_fixed {guest.require_translations()})"
        )


def _tracefs() -> str:
    with Tracefs():
        mounted = Path("/sys/kernel/tracing/events").is_dir()
    return "mounted" if mounted else "not mounted, but can be mounted for one process alone"


def _tracepoints() -> str:
    with Vm(), Memory(1) as memory, Notifications(memory.start, memory.end) as found:
        memory.touch()
        system_call(Syscall.MADVISE, memory.start, PAGE, mmap.MADV_DONTNEED)
        if not found.take():
            raise Refusal("an invalidation of this process was not reported")
    return "kvm:kvm_unmap_hva_range and its sisters report this process's invalidations"


def _symbols() -> str:
    if not Symbols():
        raise Refusal("/proc/kallsyms hides the addresses")
    return "/proc/kallsyms names the functions of call chains"


def _bpf() -> str:
    # The smallest program there is: return 0.
    code = create_string_buffer(struct.pack("=QQ", 0x00000000000000B7, 0x0000000000000095), 16)
    license_ = create_string_buffer(b"GPL")
    attributes = create_string_buffer(72)
    struct.pack_into(
        "=IIQQ", attributes, 0, 5, 2, ctypes.addressof(code), ctypes.addressof(license_)
    )
    os.close(system_call(Syscall.BPF, 5, attributes, len(attributes)))
    return "programs for tracepoints can be loaded"


def _kprobes() -> str:
    if not Path("/sys/bus/event_source/devices/kprobe/type").exists():
        raise Refusal("this kernel has no kprobe events")
    return "perf has kprobe events"


# Memory of a process ------------------------------------------------------------------------------


def _userfaultfd() -> str:
    with Userfaultfd(user_mode_only=False) as fd:
        return f"with faults of the kernel, too; {len(fd.features)} of {len(FEATURES)} features"


def _userfaultfd_user() -> str:
    with Userfaultfd(user_mode_only=True) as fd:
        missing = sorted(set(FEATURES) - fd.features)
    return f"faults of user mode; lacks {', '.join(missing) or 'nothing'}"


def _needs_feature(name: str) -> str:
    with Userfaultfd(user_mode_only=os.geteuid() != 0, features=(name,)):
        return "offered and granted"


def _pagemap_scan() -> str:
    with Memory(1) as memory, Path("/proc/self/pagemap").open("rb") as file:
        memory.touch()
        argument = bytearray(96)
        struct.pack_into("=QQQQ", argument, 0, 96, 0, memory.start, memory.end)
        # Without a place for results: the call says how far it came.
        struct.pack_into("=QQQQQQ", argument, 40, 0, 0, 0, 0, 0, 0)
        fcntl.ioctl(file, _PAGEMAP_SCAN, argument)
    return "asks what was written or unmapped, page by page"


def _procmap_query() -> str:
    with Path("/proc/self/maps").open("rb") as file:
        argument = bytearray(104)
        struct.pack_into("=QQQ", argument, 0, 104, 0x10, 0)  # the mapping there or the next
        fcntl.ioctl(file, _PROCMAP_QUERY, argument)
    return "asks for one mapping, without text"


def _pagemap_entry() -> int:
    with Memory(1) as memory, Path("/proc/self/pagemap").open("rb") as file:
        memory.touch()
        file.seek(memory.start // PAGE * 8)
        return int.from_bytes(file.read(8), "little")


def _frames() -> str:
    if not _pagemap_entry() & (2**_SOFT_DIRTY - 1):
        raise Refusal("/proc/PID/pagemap hides the frame numbers")
    return "/proc/PID/pagemap has the frame numbers"


def _soft_dirty() -> str:
    if not _pagemap_entry() >> _SOFT_DIRTY & 1:
        raise Refusal("this kernel does not track soft-dirty pages")
    return "/proc/PID/pagemap has the soft-dirty bit"


def _seccomp() -> str:
    action = create_string_buffer(struct.pack("=I", 0x7FC00000), 4)  # SECCOMP_RET_USER_NOTIF
    system_call(Syscall.SECCOMP, 2, 0, action)
    return "system calls of a child can be held until a supervisor agrees"


def _io_uring() -> str:
    os.close(system_call(Syscall.IO_URING_SETUP, 2, create_string_buffer(120)))
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    bound = "no limit" if limit == resource.RLIM_INFINITY else f"at most {limit >> 10} KiB"
    return f"buffers can be registered; locked memory: {bound}"


# The machine's own activity -----------------------------------------------------------------------


def _ksm() -> str:
    with Memory(1) as memory:
        system_call(Syscall.MADVISE, memory.start, PAGE, mmap.MADV_MERGEABLE)
    run = _KSM.read_text().strip()
    if run == "1":
        return "ksmd runs"
    if os.access(_KSM, os.W_OK):
        return f"ksmd is off (run {run}), and this user may run it for a while"
    raise Refusal(f"ksmd is off (run {run})")


def _thp() -> str:
    with Memory(_HUGE // PAGE, align=_HUGE) as memory:
        memory.touch()
        system_call(Syscall.MADVISE, memory.start, _HUGE, 25)  # MADV_COLLAPSE
    return f"2 MiB can be collapsed on demand; enabled: {_THP.read_text().strip()}"


def _compaction() -> str:
    if not os.access("/proc/sys/vm/compact_memory", os.W_OK):
        raise Refusal("this user may not start it")
    return "can be started"


def _swap() -> str:
    areas = len(Path("/proc/swaps").read_text().splitlines()) - 1
    if areas:
        return f"{areas} areas"
    raise Refusal("there is no swap area: anonymous pages cannot be reclaimed")


def _config(option: str) -> str:
    return f"a kernel built with {option}=y"


_ROOT: Final = "run it as root"
_FEATURES: Final = (
    Feature("kernel", "trace, conform, litmus", _kernel, "an x86-64 machine"),
    Feature("kvm", "trace, conform, litmus", _kvm, "modprobe kvm_intel   # or kvm_amd"),
    Feature("kvm_guest", "litmus", _guest, "a machine or back end with a second translation"),
    Feature(
        "tracefs",
        "trace, conform",
        _tracefs,
        "sudo mount -t tracefs tracefs /sys/kernel/tracing",
    ),
    Feature("tracepoints", "trace, conform", _tracepoints, _ROOT),
    Feature("symbols", "causes in trace", _symbols, "sudo sysctl kernel.kptr_restrict=0"),
    Feature("bpf", "nothing yet", _bpf, "run it as root, or with the capability CAP_BPF"),
    Feature("kprobes", "nothing yet", _kprobes, _config("CONFIG_KPROBES")),
    Feature(
        "userfaultfd",
        "live, conform",
        _userfaultfd,
        "sudo sysctl vm.unprivileged_userfaultfd=1",
    ),
    Feature("userfaultfd_user", "live", _userfaultfd_user, _config("CONFIG_USERFAULTFD")),
    *(
        Feature(
            f"uffd_{name}",
            "live, conform" if name in ("move", "wp_async") else "live",
            partial(_needs_feature, name),
            "sudo setcap cap_sys_ptrace+ep $(readlink -f $(command -v python3))"
            if name == "event_fork"
            else "a newer kernel",
        )
        for name in ("event_fork", "event_remap", "event_remove", "event_unmap", "wp_async", "move")
    ),
    Feature("pagemap_scan", "live, conform", _pagemap_scan, _config("CONFIG_PROC_PAGE_MONITOR")),
    Feature("procmap_query", "live", _procmap_query, "a newer kernel"),
    Feature("frame_numbers", "tests", _frames, _ROOT),
    Feature("soft_dirty", "conform", _soft_dirty, _config("CONFIG_MEM_SOFT_DIRTY")),
    Feature("seccomp_notify", "live", _seccomp, _config("CONFIG_SECCOMP_FILTER")),
    Feature("io_uring", "live", _io_uring, "sudo sysctl kernel.io_uring_disabled=0"),
    Feature("ksm", "conform, litmus", _ksm, "echo 1 | sudo tee /sys/kernel/mm/ksm/run"),
    Feature("thp", "conform", _thp, _config("CONFIG_TRANSPARENT_HUGEPAGE")),
    Feature("compaction", "conform", _compaction, _ROOT),
    Feature(
        "swap",
        "reclaim in conform and litmus",
        _swap,
        "sudo sh -c 'fallocate -l 64M /swap && chmod 600 /swap && mkswap /swap && swapon /swap'",
    ),
)
