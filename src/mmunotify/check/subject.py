"""`Subject`: the driver class under check and the file it comes from.

Everything that can be wrong with the file is said at the user's own line, without a traceback.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from mmunotify.compile.source import syntax_diagnostic
from mmunotify.errors import Diagnostic, DiagnosticError, Place
from mmunotify.lang.driver import Driver

__all__ = ["Subject", "load", "subject_of"]


@dataclass(frozen=True)
class Subject:
    """One driver class; `file` as the user named it."""

    driver: type[Driver]
    file: str

    @property
    def name(self) -> str:
        """The class's name."""
        return self.driver.__name__


def subject_of(driver: type[Driver]) -> Subject:
    """Return the subject for a class that is already imported."""
    path = inspect.getsourcefile(driver) or "<unknown>"
    try:
        shown = str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        shown = path
    return Subject(driver, shown)


def load(spec: str) -> list[Subject]:
    """Return the drivers that `FILE` or `FILE:Class` names; raise `DiagnosticError`."""
    file, _, wanted = spec.partition(":")
    module = _module(file)
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Driver)
        and value.__module__ == module.__name__
    ]
    if wanted:
        return [Subject(_named(found, wanted, file), file)]
    if not found:
        raise DiagnosticError(_no_driver(file))
    bases = {base for cls in found for base in cls.__mro__[1:]}
    leaves = [cls for cls in found if cls not in bases]
    return [Subject(cls, file) for cls in leaves]


def _named(found: list[type[Driver]], wanted: str, file: str) -> type[Driver]:
    for cls in found:
        if cls.__name__ == wanted:
            return cls
    names = ", ".join(cls.__name__ for cls in found) or "none"
    raise DiagnosticError(
        Diagnostic("E303", None, f"{file} has no driver {wanted}", f"its drivers are: {names}")
    )


def _no_driver(file: str) -> Diagnostic:
    empty = not Path(file).read_text().strip()
    return Diagnostic(
        "E302",
        Place(file, 1, 1, 2),
        "the file is empty" if empty else "the file has no driver",
        "a check needs a class derived from mmunotify.Driver",
        "from mmunotify import Driver\n\nclass Mine(Driver):\n    ...",
    )


def _module(file: str) -> ModuleType:
    path = Path(file)
    if not path.is_file():
        what = f"{file} is a folder" if path.is_dir() else f"there is no file {file}"
        raise DiagnosticError(Diagnostic("E301", None, what, fix="mmunotify check FILE[:Class]"))
    try:
        text = path.read_text()
        ast.parse(text)
    except (UnicodeDecodeError, ValueError) as error:
        raise DiagnosticError(
            Diagnostic("E301", None, f"{file} is no Python source: {error}")
        ) from None
    except OSError as error:
        raise DiagnosticError(
            Diagnostic("E301", None, f"{file} cannot be read: {error.strerror}")
        ) from None
    except SyntaxError as error:
        raise DiagnosticError(syntax_diagnostic(file, error)) from None
    return _executed(path)


def _executed(path: Path) -> ModuleType:
    name = f"mmunotify_subject_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise DiagnosticError(Diagnostic("E301", None, f"{path} is no Python file"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise DiagnosticError(_failed_import(path, error)) from None
    finally:
        sys.path.pop(0)
    return module


def _failed_import(path: Path, error: Exception) -> Diagnostic:
    own = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path]
    line = own[-1].lineno or 1 if own else 1
    return Diagnostic(
        "E209",
        Place(str(path), line, 1, 2),
        f"importing the file raised {type(error).__name__}: {error}",
        "the file is imported to build the driver; this happened on the way",
        f"python {path}  # shows the same error with its traceback",
    )
