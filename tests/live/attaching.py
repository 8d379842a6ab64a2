"""`Child`: a process with an `Attacher`, which a test tells what to do; `segment_of` exports."""

from __future__ import annotations

import ctypes
import json
import mmap
import subprocess
import sys
from pathlib import Path
from typing import Any

from mmunotify.live.devices import Exporter
from mmunotify.live.devices.exporter import Segment

__all__ = ["Child", "segment_of"]

_NAME = "mmunotify-segment"
CHILD = """
import contextlib, json, mmap, os, sys
from mmunotify.live.devices.attacher import Attacher, DetachedError

def do(verb, token, text):
    if verb == "hold":
        held.enter_context(attacher.attach(token).use())
    elif verb == "release":
        held.close()
    elif verb == "detach":
        attacher.attach(token).detach()
    elif verb == "raw":  # past the protocol: only the file
        fd = os.open(text, os.O_RDWR)
        raw.append(mmap.mmap(fd, mmap.PAGESIZE))
        os.close(fd)
    elif verb == "read raw":
        return raw[-1][:8].decode()
    elif verb == "fork":
        if os.fork() == 0:
            names = open("/proc/self/maps").read()
            os._exit("mmunotify-segment" in names)
        return os.waitstatus_to_exitcode(os.wait()[1])
    else:
        with attacher.attach(token).use() as view:
            if verb == "write":
                view[:8] = text.encode()
            return bytes(view[:8]).decode()
    return ""

raw = []
with Attacher(sys.argv[1]) as attacher, contextlib.ExitStack() as held:
    for line in sys.stdin:
        try:
            answer = do(*json.loads(line))
        except DetachedError:
            answer = None
        print(json.dumps(answer), flush=True)
"""


class Child:
    """A process with an `Attacher`, told what to do."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, verb: str, token: int = 0, text: str = "") -> Any:
        """Have it do something; None if the segment is not to be had."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([verb, token, text]) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def mapped(self) -> int:
        """How many segments the kernel says it has mapped."""
        return Path(f"/proc/{self.process.pid}/maps").read_text().count(_NAME)

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


def segment_of(exporter: Exporter, memory: mmap.mmap) -> Segment:
    """Export all of some memory."""
    return exporter.register(ctypes.addressof(ctypes.c_char.from_buffer(memory)), len(memory))
