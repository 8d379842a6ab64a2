"""Results and traces as files: a result is one JSON object, a trace is JSON Lines.

A file whose name ends in `.gz` is compressed. Invariant: a file is either the old one or the whole
new one, because a second file is written that then takes the place of the first.
"""

from __future__ import annotations

import errno
import gzip
import os
import zlib
from pathlib import Path

import msgspec

from mmunotify.errors import Diagnostic, DiagnosticError
from mmunotify.trace.damage import DamageError, require_sound
from mmunotify.trace.lines import decode_lines, encode_lines
from mmunotify.trace.record import FORMAT, RESULT_FORMAT, Result, Trace

__all__ = [
    "encode_result",
    "read_file",
    "read_result",
    "read_trace",
    "require_writable",
    "write_atomically",
    "write_result",
    "write_trace",
]

_GZIP = b"\x1f\x8b"
_NEWER = "write it again with this version, or read it with the one that wrote it"
_FOREIGN = "give a file that `check --json` or `trace --trace` has written"


# Writing ------------------------------------------------------------------------------------


def encode_result(result: Result) -> bytes:
    """Return the JSON of a result, with a final line break."""
    return msgspec.json.encode(result) + b"\n"


def write_result(path: str | Path, result: Result) -> None:
    """Write a result as JSON."""
    write_atomically(path, encode_result(result))


def write_trace(path: str | Path, trace: Trace) -> None:
    """Write a trace as JSON Lines."""
    write_atomically(path, b"".join(encode_lines(trace)))


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write `data` so that neither a reader nor a crash ever leaves a part of it."""
    target = Path(path)
    if target.suffix == ".gz":
        data = gzip.compress(data, 6, mtime=0)  # no time inside: same trace, same bytes
    try:
        if _is_stream(target):
            target.write_bytes(data)
        else:
            _replace(target.resolve(), data)
    except OSError as error:
        raise _unwritable(path, error) from None


def require_writable(path: str | Path) -> None:
    """Raise `DiagnosticError` if `path` cannot be written, before a long search finds out."""
    target = Path(path)
    try:
        if not _is_stream(target):
            _replace(target.resolve(), None)
    except OSError as error:
        raise _unwritable(path, error) from None


def _is_stream(target: Path) -> bool:
    """Whether `target` is a pipe or a terminal, which cannot be replaced."""
    return target.exists() and not target.is_file() and not target.is_dir()


def _replace(target: Path, data: bytes | None) -> None:
    """Put `data` in the place of `target`; None only tries whether that would work."""
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a directory")
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with draft.open("wb") as file:
            file.write(data or b"")
            file.flush()
            os.fsync(file.fileno())
        if data is not None:
            draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


# Reading ------------------------------------------------------------------------------------


def read_result(path: str | Path) -> Result:
    """Read a result."""
    data = _contents(path)
    _require_format(path, data, RESULT_FORMAT, "result")
    return _result(path, data)


def read_trace(path: str | Path) -> Trace:
    """Read a trace."""
    data = _contents(path)
    _require_format(path, data, FORMAT, "trace")
    return _trace(path, data)


def read_file(path: str | Path) -> Result | Trace:
    """Read what a file holds, be it a result or a trace."""
    data = _contents(path)
    if _format_of(data).startswith(_family(FORMAT)):
        _require_format(path, data, FORMAT, "trace")
        return _trace(path, data)
    _require_format(path, data, RESULT_FORMAT, "result or trace")
    return _result(path, data)


def _result(path: str | Path, data: bytes) -> Result:
    try:
        result = msgspec.json.decode(data, type=Result)
        if result.trace:
            require_sound(result.trace)
    except (msgspec.DecodeError, UnicodeDecodeError, DamageError) as error:
        raise _damaged(path, "result", error) from None
    return result


def _trace(path: str | Path, data: bytes) -> Trace:
    try:
        return decode_lines(data)
    except DamageError as error:
        raise _damaged(path, "trace", error) from None


def _contents(path: str | Path) -> bytes:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from None
    if not data.startswith(_GZIP):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, "gzip file", error) from None


class _Head(msgspec.Struct):
    """The part of a file that tells what it is."""

    format: str = ""


def _format_of(data: bytes) -> str:
    """Return the format that the first line names, or "" if it names none.

    A result is written on one line; one that a person has laid out on many is read whole.
    """
    for text in (data.split(b"\n", 1)[0], data):
        try:
            return msgspec.json.decode(text, type=_Head).format
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return ""


def _family(name: str) -> str:
    return name.rpartition("/")[0] + "/"


def _require_format(path: str | Path, data: bytes, wanted: str, noun: str) -> None:
    found = _format_of(data)
    if found == wanted:
        return
    if found.startswith(_family(wanted)):
        what = f"{path} has the format {found}, but this version of mmunotify reads {wanted}"
        raise DiagnosticError(Diagnostic("E502", None, what, fix=_NEWER))
    if not found and _family(wanted).encode() in data[:200]:
        raise _damaged(path, noun, "its first line is not whole")
    raise DiagnosticError(
        Diagnostic("E502", None, f"{path} is not a {noun} of mmunotify", fix=_FOREIGN)
    )


# Errors -------------------------------------------------------------------------------------


def _damaged(path: str | Path, noun: str, why: object) -> DiagnosticError:
    what = f"{path} is damaged and cannot be read as a {noun}"
    fix = "write the file again"
    return DiagnosticError(Diagnostic("E501", None, what, " ".join(str(why).split()), fix))


def _unwritable(path: str | Path, error: OSError) -> DiagnosticError:
    what = f"{path} cannot be written: {error.strerror or error}"
    fix = "name a file in a directory that exists and that you may write to"
    return DiagnosticError(Diagnostic("E505", None, what, fix=fix))


def _unreadable(path: str | Path, error: OSError) -> DiagnosticError:
    if isinstance(error, FileNotFoundError):
        what = f"there is no file {path}"
    else:
        what = f"{path} cannot be read: {error.strerror or error}"
    return DiagnosticError(Diagnostic("E506", None, what, fix="check the name of the file"))
