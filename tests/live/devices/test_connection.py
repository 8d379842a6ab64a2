"""What goes over the socket, and what is no message."""

from __future__ import annotations

import os
import socket

import pytest

from mmunotify.live.devices.connection import Connection, Message, Verb


@pytest.fixture
def ends() -> tuple[socket.socket, socket.socket]:
    """The two ends of a connection."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def test_message_with_a_file(ends: tuple[socket.socket, socket.socket]) -> None:
    """What is sent is received, with its descriptor; then the end."""
    left, right = (Connection(end) for end in ends)
    assert left.pid == os.getpid()
    sent = Message(Verb.ATTACHED, 3, 4096, 8192)
    file = os.memfd_create("sent")
    assert left.send(sent, file)
    received = right.receive(files=1)
    assert received is not None
    assert received[0] == sent
    assert os.fstat(received[1][0]).st_ino == os.fstat(file).st_ino
    os.close(received[1][0])
    left.end()
    assert right.receive() is None
    assert not left.send(sent)
    for end in (left, right):
        end.close()
    os.close(file)


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff",
        b"5",
        b"{}",
        b'{"verb": "attach"}',
        b'{"verb": "no such", "token": 1}',
        b'{"verb": "attach", "token": "1"}',
        b'{"verb": "attach", "token": 1, "more": 2}',
    ],
)
def test_what_is_no_message(ends: tuple[socket.socket, socket.socket], raw: bytes) -> None:
    """It ends the connection; descriptors that came along are closed."""
    connection = Connection(ends[1])
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    file = os.memfd_create("sent")
    socket.send_fds(ends[0], [raw], [file])
    os.close(file)
    assert connection.receive(files=1) is None
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    connection.close()
    ends[0].close()


def test_one_that_does_not_read(ends: tuple[socket.socket, socket.socket]) -> None:
    """Nobody waits for it who does not want to."""
    left, right = (Connection(end) for end in ends)
    count = 0
    while left.send(Message(Verb.LET_GO, count), wait=False):
        count += 1
    assert right.receive() == (Message(Verb.LET_GO, 0), [])
    for end in (left, right):
        end.close()
