"""Nothing that a program does to watched memory while it holds the interpreter's lock may hang.

A monitor thread written in Python hangs in eight of these cases: the operation holds the lock and
waits for the thread to read its event, and the thread waits for the lock. Each case runs in a
process of its own, with a subscriber in Python, a cache, and a limit of time.
"""

from __future__ import annotations

import pytest
from tests.live.subject import run, unsanitized

from mmunotify import AddressSpace
from mmunotify.errors import CannotError

SET_UP = """
import ctypes, mmap, os, subprocess, threading, time
from mmunotify import AddressSpace, RegistrationCache
from mmunotify.live import AliasDevice
from tests.live.raw import PAGE, PRIVATE, Memory, libc

told = []

class Telling:
    def invalidate_range_start(self, rng):
        told.append(rng)

mm = AddressSpace()
device = AliasDevice()
cache = RegistrationCache(mm, device, allow_uncovered=["madv_guard_install"])

def watch(memory):
    mm.register(Telling(), ranges=[memory])

def finish(wanted):
    deadline = time.monotonic() + 10
    while len(told) < wanted and time.monotonic() < deadline:
        time.sleep(0.001)
    print("told" if len(told) >= wanted else f"only {len(told)}")
"""

CASES = {
    "touch a missing page": (
        "m = mmap.mmap(-1, 16 * PAGE); watch(m); m.madvise(4); m[0]; m[5 * PAGE] = 1",
        1,
    ),
    "mmap.madvise": ("m = mmap.mmap(-1, 16 * PAGE); watch(m); m.madvise(4)", 1),
    "mmap.resize": ("m = mmap.mmap(-1, 16 * PAGE); watch(m); m.resize(4 * PAGE)", 1),
    "os.fork": (
        "m = mmap.mmap(-1, 16 * PAGE); watch(m)\n"
        "if (child := os.fork()) == 0: os._exit(0)\n"
        "os.waitpid(child, 0)",
        1,
    ),
    "subprocess with preexec_fn": (
        "m = mmap.mmap(-1, 16 * PAGE); watch(m)\n"
        "subprocess.run(['/bin/true'], preexec_fn=lambda: None, check=True)",
        1,
    ),
    "del of bytes": ("data = bytes(8 << 20); watch(data); del data", 1),
    "del of an array": (
        "import array; data = array.array('b', bytes(8 << 20)); watch(data); del data",
        1,
    ),
    "munmap with the lock held": (
        "m = Memory(16); watch(m.span)\n"
        "munmap = ctypes.PyDLL(None).munmap\n"
        "munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]\n"
        "assert munmap(m.address, m.length) == 0",
        1,
    ),
    "mmap.close": ("m = mmap.mmap(-1, 16 * PAGE); watch(m); m.close()", 1),
    "subprocess": (
        "m = mmap.mmap(-1, 16 * PAGE); watch(m); subprocess.run(['/bin/true'], check=True)",
        0,
    ),
    "munmap without the lock": ("m = Memory(16); watch(m.span); m.unmap()", 1),
    "memset of missing pages": ("m = Memory(16, PRIVATE); watch(m.span); m.fill()", 0),
    "preadv into missing pages": (
        "m = mmap.mmap(-1, 16 * PAGE); watch(m)\n"
        "with open('/dev/zero', 'rb') as file: os.preadv(file.fileno(), [m], 0)",
        0,
    ),
}


FREED = ("del of bytes", "del of an array")
EACH = [pytest.param(case, marks=unsanitized if case in FREED else ()) for case in CASES]


@pytest.mark.parametrize("case", EACH)
def test_nothing_hangs(case: str) -> None:
    """The operation returns, and the subscriber is told what there is to tell."""
    source, wanted = CASES[case]
    outcome = run(f"{SET_UP}\n{source}\nfinish({wanted})\n")
    assert (outcome.code, outcome.output) == (0, "told\n"), outcome


AT_ONCE = """
import gc, signal, sys
from mmunotify.errors import DiagnosticError

sys.setswitchinterval(1e-5)
hot = Memory(4)
wrong = []

def repeat(act):
    try:
        for _ in range(8):
            act()
    except BaseException as error:
        wrong.append(repr(error))

def through():
    memory = Memory(4)
    cache.get(memory.span).release()
    watch(memory.span)
    mm.discard(memory.span)
    mm.unmap(memory.span)

def subscribe():
    memory, mine = Memory(4), Telling()
    mm.register(mine, ranges=[memory.span])
    mm.discard(memory.span)
    mm.unregister(mine)
    memory.unmap()

def other_cache():
    device = AliasDevice()
    with RegistrationCache(mm, device, capacity=2, allow_uncovered=["madv_guard_install"]) as other:
        for _ in range(3):
            memory = Memory(2)
            other.get(memory.span).release()
            memory.unmap()

def other_space():
    mine = AddressSpace(monitors=["userfaultfd"])
    mine.register(Telling(), ranges=[Memory(1).span])
    del mine  # closed by nobody
    gc.collect()

def look(*_):
    try:
        cache.get(hot.span).release()
    except DiagnosticError as error:
        if error.diagnostics[0].code != "E416":  # a handler in the middle of a registration
            wrong.append(repr(error))

signal.signal(signal.SIGALRM, look)
signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
acts = [through, subscribe, other_cache, other_space, mm.poll, look]
acts += [lambda code=compile(case, "case", "exec"): exec(code, dict(globals())) for case in CASES]
threads = [threading.Thread(target=repeat, args=[act]) for act in acts]
for thread in threads: thread.start()
for thread in threads: thread.join()
signal.setitimer(signal.ITIMER_REAL, 0)
print(*wrong, "done")
"""


@unsanitized
@pytest.mark.parametrize("timeout", [None, 20.0])
@pytest.mark.parametrize(
    "monitors", [("explicit", "userfaultfd"), ("explicit", "userfaultfd", "kvm")]
)
def test_everything_at_once(monitors: tuple[str, ...], timeout: float | None) -> None:
    """All of that in threads that disturb each other, forks too, and a signal's handler."""
    try:
        AddressSpace(monitors=monitors).close()
    except CannotError as error:
        pytest.skip(str(error))
    options = f"AddressSpace(monitors={monitors!r}, hook_timeout={timeout!r})"
    cases = [source for source, _ in CASES.values()]
    source = SET_UP.replace("AddressSpace()", options) + f"CASES = {cases!r}\n" + AT_ONCE
    outcome = run(source, seconds=120)
    assert (outcome.code, outcome.output, outcome.errors) == (0, "done\n", ""), outcome


@unsanitized
def test_forks_of_several_threads() -> None:
    """A child has nothing to wait for, whatever other threads were at: another fork as well."""
    outcome = run(
        SET_UP
        + """
import sys
sys.setswitchinterval(1e-5)
memory = Memory(4)
watch(memory.span)

def fork():
    for _ in range(200):
        if (child := os.fork()) == 0: os._exit(0)
        os.waitpid(child, 0)

def discard():
    while any(thread.is_alive() for thread in forking):
        mm.discard(memory.span)

forking = [threading.Thread(target=fork) for _ in range(4)]
for thread in forking: thread.start()
discard()
for thread in forking: thread.join()
print("done")
""",
        seconds=120,
    )
    assert (outcome.code, outcome.output, outcome.errors) == (0, "done\n", ""), outcome


def test_hits_while_another_thread_unmaps_with_the_lock_held() -> None:
    """Lookups with the lock held, unmaps with the lock held, in two threads."""
    outcome = run(
        SET_UP
        + """
munmap = ctypes.PyDLL(None).munmap
munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
stop = threading.Event()
hot = Memory(4)

def look():
    while not stop.is_set():
        cache.get(hot.span).release()

threads = [threading.Thread(target=look) for _ in range(2)]
for thread in threads: thread.start()
for _ in range(300):
    memory = Memory(4)
    cache.get(memory.span).release()
    assert munmap(memory.address, memory.length) == 0
stop.set()
for thread in threads: thread.join()
print("done")
"""
    )
    assert (outcome.code, outcome.output) == (0, "done\n"), outcome
