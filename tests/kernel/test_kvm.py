"""KVM by its ioctls."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Any

import pytest

from mmunotify.errors import CannotError
from mmunotify.kernel.kvm import Exit, Vm
from mmunotify.kernel.memory import Memory


def descriptors() -> set[str]:
    """What this process has open."""
    return {str(p.readlink()) for p in Path("/proc/self/fd").iterdir() if p.is_symlink()}


def test_everything_is_given_back(vm: Vm) -> None:
    """After `close` no descriptor of KVM is left."""
    vm.add_vcpu()
    assert any("kvm" in name for name in descriptors())
    vm.close()
    assert not any("kvm" in name for name in descriptors())


@pytest.mark.usefixtures("vm")
def test_created_in_spite_of_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """KVM gives up where a signal is pending."""
    interrupted = [InterruptedError()] * 3
    real = fcntl.ioctl

    def ioctl(*words: Any) -> Any:
        if interrupted:
            raise interrupted.pop()
        return real(*words)

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    Vm().close()
    assert not interrupted


def test_statistics(vm: Vm) -> None:
    """Counters have names; one that does not exist is an error."""
    assert "pf_fixed" in vm.add_vcpu().statistics
    with vm.statistics() as statistics:
        assert statistics["pages_4k"] == 0
        with pytest.raises(KeyError):
            statistics["no_such_counter"]


def test_stop_before_running(vm: Vm) -> None:
    """A vCPU that is stopped leaves at once."""
    with Memory(1) as memory:
        memory.touch(0)
        vm.add_memory(0, memory.start, memory.size)
        vcpu = vm.add_vcpu()
        vcpu.stop()
        assert vcpu.run() == Exit.INTERRUPTED


def test_registers(vm: Vm) -> None:
    """Registers keep what they are set to."""
    vcpu = vm.add_vcpu()
    registers = vcpu.registers
    registers[3] = 0x1234_5678_9ABC
    vcpu.registers = registers
    assert vcpu.registers == registers


def test_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without /dev/kvm the error says what is missing and what would help."""

    def missing(*arguments: object) -> int:
        raise FileNotFoundError

    monkeypatch.setattr("mmunotify.kernel.kvm.os.open", missing)
    with pytest.raises(CannotError, match="there is no /dev/kvm") as caught:
        Vm()
    assert "modprobe" in caught.value.diagnostics[0].fix
