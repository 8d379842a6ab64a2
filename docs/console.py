"""The `console` blocks of a page: what is typed in them, run, and compared with what they show.

Invariant: what differs from run to run and says nothing (times, sizes of the search, replay
strings, lines of mmunotify's own files) is compared by its form only; all else word by word.
"""

from __future__ import annotations

import io
import linecache
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from docs.blocks import Block, blocks, matches

__all__ = [
    "PAGES",
    "ROOT",
    "Exchange",
    "Shell",
    "agrees",
    "exchanges",
    "transcript",
]

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
PROMPT = "$ "
_ASKS = "(mmunotify) "  # the prompt of --pdb
_REPLAY = re.compile(r"\b[0-9a-f]{8}\.[0-9A-Za-z]+\.[0-9a-f]{4}\b")
_PLACE = re.compile(r"\b(\w+\.py)[:, ]+(?:line )?\d+(:\d+)?")
_COUNTED = re.compile(r"\b[\d,]+ states?\b")
_SPEED = re.compile(r"^ *speed .*")
_OWN = frozenset(
    path.name
    for folder in ("check", "lang", "primary", "protocols")
    for path in (ROOT / "src" / "mmunotify" / folder).glob("*.py")
)


@dataclass(frozen=True)
class Exchange:
    """One command of a block, what is typed while it runs, and the lines it should show.

    `line` is that of the command in its page.
    """

    block: Block
    line: int
    command: str
    typed: tuple[str, ...]
    shown: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.block.page.name}:{self.line}: {PROMPT}{self.command}"


def exchanges(block: Block) -> Iterator[Exchange]:
    """Yield the commands of a console block with what follows each of them."""
    lines = block.text.rstrip("\n").splitlines()
    starts = [n for n, line in enumerate(lines) if line.startswith(PROMPT)]
    if not starts or starts[0]:
        raise ValueError(f"{block}: a console block begins with a command, after {PROMPT!r}")
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        shown = tuple(lines[start + 1 : end])
        typed = tuple(line.removeprefix(_ASKS) for line in shown if line.startswith(_ASKS))
        command = lines[start].removeprefix(PROMPT)
        yield Exchange(block, block.line + start, command, typed, shown)


class _Keyboard(io.StringIO):
    """Lines that somebody types: they appear on the screen as they are read."""

    def __init__(self, lines: tuple[str, ...], screen: io.StringIO) -> None:
        super().__init__("".join(f"{line}\n" for line in lines))
        self.screen = screen

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
        line = super().readline(-1 if size is None else size)
        self.screen.write(line)
        return line


class Shell:
    """Runs commands in `folder`, where examples/ and src/ of the project can be found, too.

    A replay string in a command stands for the one shown last: it changes with every edit.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.code = 0
        self.replay = ""
        for name in ("examples", "src"):
            (folder / name).symlink_to(ROOT / name)

    def run(self, exchange: Exchange) -> list[str]:
        """Run a command; return the lines it shows."""
        words = shlex.split(exchange.command, comments=True)
        if words == ["echo", "$?"]:
            return [str(self.code)]
        if words[:1] == ["touch"]:
            (self.folder / words[1]).touch()
            return []
        if words[:1] == ["python"]:
            return self._python(words[1:])
        if words[:1] != ["mmunotify"]:
            raise ValueError(f"{exchange}: only mmunotify, python, touch and echo $? can be run")
        if "--replay" in words and self.replay:
            words[words.index("--replay") + 1] = self.replay
        text = self._mmunotify(words[1:], exchange.typed)
        self.replay = next(reversed(_REPLAY.findall(text)), self.replay)
        return text.splitlines()

    def _python(self, words: list[str]) -> list[str]:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.code = done.returncode
        return done.stdout.splitlines()

    def _mmunotify(self, words: list[str], typed: tuple[str, ...]) -> str:
        from mmunotify.cli.main import main
        from mmunotify.primary import OPERATIONS
        from mmunotify.protocols import PROTOCOLS

        screen, errors = io.StringIO(), io.StringIO()
        stdin, sys.stdin = sys.stdin, _Keyboard(typed, screen)
        columns = os.environ.get("COLUMNS")
        os.environ["COLUMNS"] = "80"
        # Another page may have had a file, or a module, of the same name.
        linecache.clearcache()
        modules, operations, protocols = set(sys.modules), dict(OPERATIONS), dict(PROTOCOLS)
        try:
            with chdir(self.folder), redirect_stdout(screen), redirect_stderr(errors):
                self.code = int(main(words))
        except SystemExit as leaving:
            self.code = leaving.code if isinstance(leaving.code, int) else 1
        finally:
            sys.stdin = stdin
            for registry, known in ((OPERATIONS, operations), (PROTOCOLS, protocols)):
                for name in registry.keys() - known.keys():
                    registry.pop(name)
            self._forget_modules(modules)
            os.environ.pop("COLUMNS")
            if columns is not None:
                os.environ["COLUMNS"] = columns
        folders = (self.folder, self.folder.resolve(), ROOT)
        text = screen.getvalue()
        if self.code not in (0, 1, 3):  # else it is how far the search is
            text += errors.getvalue()
        for folder in folders:
            text = text.replace(f"{folder}/", "")
        return text

    def _forget_modules(self, before: set[str]) -> None:
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if (file and not Path(file).is_absolute()) or str(file).startswith(str(self.folder)):
                del sys.modules[name]


def transcript(page: Path, folder: Path) -> Iterator[tuple[Exchange, list[str]]]:
    """Run a page from top to bottom in `folder`: yield each command with what it shows."""
    shell = Shell(folder)
    for block in blocks(page):
        if block.name and not (ROOT / block.name).exists():
            (folder / block.name).write_text(block.text)
        elif block.language == "console":
            for exchange in exchanges(block):
                yield exchange, shell.run(exchange)


def agrees(exchange: Exchange, lines: list[str]) -> bool:
    """Tell whether a command showed what the page says."""
    wanted, found = ([_form(one) for one in some] for some in (exchange.shown, lines))
    return matches(_trimmed(wanted), _trimmed(found))


def _form(line: str) -> str:
    """Return a line without what may differ, its words one blank apart."""
    line = _REPLAY.sub("REPLAY", line)
    line = _PLACE.sub(lambda found: f"{found[1]}:N" if found[1] in _OWN else found[0], line)
    line = _SPEED.sub("speed", _COUNTED.sub("N states", line))
    return " ".join(line.split())


def _trimmed(lines: list[str]) -> list[str]:
    """Return the lines without empty ones at the end."""
    while lines and not lines[-1]:
        lines = lines[:-1]
    return lines
