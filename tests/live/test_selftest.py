"""The self-test: monitors keep on this machine what their tables promise."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.live.subject import as_nobody

from mmunotify.cli.main import main
from mmunotify.kernel.swap import swap_areas
from mmunotify.live import ending, selftest
from mmunotify.live.accomplice import KSM_RUN
from mmunotify.live.guarantee import Guarantee
from mmunotify.live.memory import Extent
from mmunotify.live.monitors import Userfaultfd
from mmunotify.live.operations import OPERATIONS, Agent, Kind
from mmunotify.live.scratch import Scratch
from mmunotify.live.selftest import PROBES, Finding, Reported, State, Stopping, certify
from mmunotify.live.supervised import Supervised
from mmunotify.live.ways import HARMLESS, SETTINGS, WAYS, Way

KINDS = {"anonymous": (Kind.ANONYMOUS,), "others": tuple(Kind)[1:]}
PRIVILEGED = "root and its capabilities: ksmd, swap, compaction and KVM's tracepoints need them"


@pytest.fixture(
    scope="module",
    params=[KINDS["anonymous"], pytest.param(KINDS["others"], marks=pytest.mark.long)],
    ids=list(KINDS),
)
def findings(request: pytest.FixtureRequest) -> list[Finding]:
    """One run; what it changed of the machine has its value again."""
    before = settings()
    found = list(certify(request.param, may_change_settings=True))
    assert_restored(before)
    return found


def settings() -> tuple[list[str], str]:
    """What the self-test changes."""
    return swap_areas(), Path(KSM_RUN).read_text()


def assert_restored(before: tuple[list[str], str]) -> None:
    """See the values of before; another run of the self-test may be changing them just now."""
    deadline = time.monotonic() + 20
    while settings() != before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert settings() == before


def test_nothing_is_broken(findings: list[Finding]) -> None:
    """No monitor keeps less than it promises."""
    assert [found for found in findings if found.broken] == []


def test_every_cell_is_there(findings: list[Finding]) -> None:
    """Each way is measured for each monitor, or it is said why not."""
    kinds = {found.memory for found in findings}
    wanted = {(way, kind) for way in WAYS for kind in way.memory & kinds}
    for monitor in PROBES:
        mine = [(found.way, found.memory) for found in findings if found.monitor == monitor]
        assert len(mine) == len(set(mine))
        assert set(mine) == wanted
    assert all(found.note for found in findings if found.measured is None)


def test_every_way_is_fired(findings: list[Finding]) -> None:
    """Here nothing is left untried but what this machine has no hardware for."""
    if os.geteuid() != 0:
        pytest.skip(f"needs {PRIVILEGED}")
    nodes = Path("/sys/devices/system/node/online").read_text().strip()
    untried = [
        (found.monitor, found.way.how, str(found.memory), found.note)
        for found in findings
        if found.state is State.UNTRIED and not (nodes == "0" and "one NUMA node" in found.note)
    ]
    assert untried == []


def test_what_cannot_be(findings: list[Finding]) -> None:
    """A refusal is the monitor's design, and is said of all such memory."""
    for found in findings:
        other = found.memory is not Kind.ANONYMOUS and not found.way.ends
        refused = found.state is State.REFUSED
        assert refused == (found.monitor == "validate" and other), found
        if found.state is State.PREVENTED:
            assert found.operation == "madv_collapse"


def test_what_userfaultfd_hears(findings: list[Finding]) -> None:
    """Its table is exact: what it does not promise it does not report either."""
    heard = {operation.name for operation in OPERATIONS if operation.heard}
    for found in findings:
        if found.monitor == "userfaultfd" and found.measured is not None:
            told = found.operation in heard and found.way.agent in Userfaultfd.reach
            assert found.measured is (Guarantee.ORDERED if told else Guarantee.NONE), found


def test_who_does_it(findings: list[Finding]) -> None:
    """Whoever sees calls does not see what others do, and no promise is made of it."""
    for found in findings:
        if found.monitor == "seccomp" and found.way.agent not in Supervised.reach:
            if not found.way.ends:
                assert (found.promised, found.measured) == (Guarantee.NONE,) * 2, found
        if found.monitor == "explicit" and found.way.agent is not Agent.THROUGH:
            assert found.measured in (Guarantee.NONE, None), found
            assert found.promised is Guarantee.NONE


def test_the_auditor_is_exact(findings: list[Finding]) -> None:
    """KVM's notifier tells of every change of a translation, and of nothing else."""
    for found in findings:
        if found.monitor == "kvm" and found.measured is not None:
            silent = found.operation in (HARMLESS, "write")
            expected = Guarantee.NONE if silent else Guarantee.OBSERVED
            assert found.measured is expected, found


class Deaf(Userfaultfd):
    """Says that it watches, and does not."""

    def watch(self, extent: Extent) -> None:
        pass


class Boastful(Userfaultfd):
    """Promises what no userfaultfd reports."""

    guarantees: Mapping[str, Guarantee] = {
        **Userfaultfd.guarantees,
        "mprotect": Guarantee.ORDERED,
        "cow": Guarantee.OBSERVED,
    }


def ways_of(*operations: str) -> list[Way]:
    """Return their ways."""
    return [way for way in WAYS if way.operation in operations and not way.setting]


@pytest.mark.parametrize(
    ("monitor", "lies"),
    [(Deaf, {"munmap", "madv_free"}), (Boastful, {"mprotect", "cow"}), (Userfaultfd, set())],
)
def test_a_lying_monitor_is_caught(
    monitor: type[Userfaultfd], lies: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Operation by operation, in every way."""
    probes = {"userfaultfd": lambda: Reported(monitor())}
    ways = ways_of("munmap", "madv_free", "mprotect", "cow")
    found = list(certify([Kind.ANONYMOUS], ways=ways, probes=probes))
    assert {(one.operation, one.broken) for one in found} == {
        (way.operation, way.operation in lies) for way in ways
    }


def test_a_program_that_ends_or_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was to do is untried, and the self-test goes on."""
    monkeypatch.setattr(ending, "_SECONDS", 0.2)
    ways = ways_of("munmap", "mprotect")
    for what in (signal.SIGKILL, signal.SIGSTOP):

        class Disturbed(Stopping):
            def measure(self, way: Way, memory: Scratch) -> Guarantee:
                self.program.process.send_signal(what)  # noqa: B023  used in this round only
                return super().measure(way, memory)

        found = list(certify([Kind.ANONYMOUS], ways=ways, probes={"seccomp": Disturbed}))
        assert {one.state for one in found} == {State.UNTRIED}
        assert len(found) == len(ways)
        assert all(one.note for one in found)


def test_broken_promises_are_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command names them and fails, also for programs."""
    monkeypatch.setattr(selftest, "PROBES", {"userfaultfd": lambda: Reported(Boastful())})
    monkeypatch.setattr(selftest, "WAYS", ways_of("munmap", "mprotect"))
    assert main(["doctor", "--matrix"]) == 1
    shown = capsys.readouterr().out
    assert main(["doctor", "--matrix", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert "BROKEN  userfaultfd promises ordered for mprotect: PROT_NONE" in shown
    assert told["audit"]["userfaultfd"]["broken"] == sum(row["broken"] for row in told["matrix"])


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_are_restored(setting: str) -> None:
    """Whatever happens while they are changed."""
    if os.geteuid() != 0:
        pytest.skip(f"needs {PRIVILEGED}")
    before = settings()
    [way, *_] = [one for one in WAYS if one.setting == setting]

    class Interrupted(Reported):
        def measure(self, way: Way, memory: object) -> Guarantee:
            during.append(settings())
            raise KeyboardInterrupt

    during: list[tuple[list[str], str]] = []
    probes = {"userfaultfd": lambda: Interrupted(Userfaultfd())}
    with pytest.raises(KeyboardInterrupt):
        list(certify([Kind.ANONYMOUS], ways=[way], probes=probes, may_change_settings=True))
    assert_restored(before)
    assert during[0][0] if setting == "swap" else during[0][1] == "0\n"


def test_nothing_is_changed_unasked() -> None:
    """Without leave no setting is changed, and the cell says which one it would be."""
    ways = [way for way in WAYS if way.setting]
    probes = {"explicit": PROBES["explicit"]}
    for found in certify([Kind.ANONYMOUS], ways=ways, probes=probes):
        assert found.state is State.UNTRIED
        assert found.note.endswith(f"for a while: {found.way.setting}")


def test_without_privilege() -> None:
    """User nobody has the same from userfaultfd, and is told what the others lack."""
    outcome = as_nobody(
        """
        from tests.live.subject import become_nobody
        from mmunotify.live.operations import Kind
        from mmunotify.live.selftest import PROBES, certify
        import mmunotify.live.address_space, mmunotify.kernel.notifications

        become_nobody()
        probes = {name: PROBES[name] for name in ("explicit", "userfaultfd", "kvm")}
        found = list(certify([Kind.ANONYMOUS], probes=probes, may_change_settings=True))
        assert not any(one.broken for one in found)
        assert all(one.note for one in found if one.measured is None)
        heard = {one.operation for one in found if one.monitor == "userfaultfd" and one.measured}
        print("munmap" in heard, "madv_dontneed" in heard)
        print({one.measured for one in found if one.monitor == "kvm" and not one.way.ends})
        """,
        seconds=60,
    )
    assert outcome.output.splitlines() == ["True True", "{None}"], outcome
