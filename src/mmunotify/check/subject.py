"""`Subject`: the driver class under check, the file it comes from, and the scenarios in it.

Everything that can be wrong with the file is said at the user's own line, without a traceback.
Invariant: what the file prints when it is imported goes to standard error, never into a report.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import inspect
import sys
import tokenize
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from mmunotify.check.form import require_form
from mmunotify.check.scenario import Scenario, composed
from mmunotify.compile.source import syntax_diagnostic
from mmunotify.errors import Diagnostic, DiagnosticError, Place
from mmunotify.lang.driver import Driver
from mmunotify.primary.operation import Operation
from mmunotify.terms import nearest

__all__ = ["Origin", "Subject", "imported", "load", "load_one", "origin_of", "subject_of"]

C = TypeVar("C", bound=object)

_PREFIX = "mmunotify_subject_"  # of the modules that files given by path are imported as


@dataclass(frozen=True)
class Subject:
    """One driver class; `file` as the user named it.

    `scenarios` and `operations` are those of the file, `given` scenarios passed in Python: they
    come first, and no other process can know them.
    """

    driver: type[Driver]
    file: str
    scenarios: tuple[Scenario, ...] = ()
    operations: tuple[type[Operation], ...] = ()
    given: tuple[Scenario, ...] = ()

    @property
    def name(self) -> str:
        """The class's name."""
        return self.driver.__name__

    @property
    def spec(self) -> str:
        """What names it on a command line."""
        return f"{self.file}:{self.name}"


@dataclass(frozen=True)
class Origin:
    """How another process comes by the class: by its module, or from its file if that is ""."""

    module: str
    file: str
    name: str


def subject_of(driver: type[Driver]) -> Subject:
    """Return the subject for a class that is already imported; raise `DiagnosticError`."""
    try:
        path = inspect.getsourcefile(driver) or "<unknown>"
    except (OSError, TypeError):
        path = "<unknown>"
    require_form(driver)
    return Subject(driver, _shown(path))


def _shown(path: str) -> str:
    """Return a path as a user in the current folder would write it."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path


def origin_of(subject: Subject) -> Origin | None:
    """Return how another process can import the class, or None if it cannot."""
    driver = subject.driver
    module = sys.modules.get(driver.__module__)
    if subject.given:
        return None
    if module is None or vars(module).get(driver.__qualname__) is not driver:
        return None  # made inside of a function, or at the Python prompt
    file = getattr(module, "__file__", None)
    if file is None or driver.__module__ == "__main__":
        return None
    if driver.__module__.startswith(_PREFIX):
        return Origin("", subject.file, driver.__name__)
    try:
        found = importlib.util.find_spec(driver.__module__)
    except (ImportError, ValueError):
        return None
    same = found is not None and found.origin == file
    return Origin(driver.__module__, file, driver.__name__) if same else None


def imported(origin: Origin, file: str) -> Subject:
    """Return the subject again; raise `DiagnosticError` if it is not there any more."""
    if not origin.module:
        return load(f"{origin.file}:{origin.name}")[0]
    return Subject(getattr(importlib.import_module(origin.module), origin.name), file)


def load(spec: str) -> list[Subject]:
    """Return the drivers that `FILE` or `FILE:Class` names; raise `DiagnosticError`."""
    file, colon, wanted = (spec, "", "") if Path(spec).exists() else spec.partition(":")
    module = _module(file)
    found = _classes(module, Driver)
    if colon:
        chosen = [_named(found, wanted, file)]
    elif found:
        chosen = _without_bases(found)
    else:
        raise DiagnosticError(_no_driver(file))
    for driver in chosen:
        require_form(driver)
    operations = _without_bases(_classes(module, Operation))
    scenarios = _scenarios(module, operations, file)
    return [Subject(driver, file, scenarios, tuple(operations)) for driver in chosen]


def _classes(module: ModuleType, base: type[C]) -> list[type[C]]:
    """Return the classes derived from `base` that a module defines, in its order."""
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, base)
        and value.__module__ == module.__name__
    ]
    return list(dict.fromkeys(found))  # a class may have two names


def _without_bases(found: list[type[C]]) -> list[type[C]]:
    bases = {base for cls in found for base in cls.__mro__[1:]}
    return [cls for cls in found if cls not in bases]


def _scenarios(
    module: ModuleType, operations: list[type[Operation]], file: str
) -> tuple[Scenario, ...]:
    """Return the file's `SCENARIOS`; without them one for each of its operations."""
    found = vars(module).get("SCENARIOS")
    if found is None:
        return tuple(composed([operation]) for operation in operations)
    listed = tuple(found) if isinstance(found, list | tuple) else (found,)
    wrong = [one for one in listed if not isinstance(one, Scenario)]
    names = [one.name for one in listed if isinstance(one, Scenario)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if wrong:
        what = f"SCENARIOS holds {wrong[0]!r}, which is no Scenario"
    elif twice:
        what = f"SCENARIOS has two scenarios {twice[0]}"
    else:
        return listed
    place = _assigned(Path(file), "SCENARIOS")
    fix = 'SCENARIOS = [Scenario("munmap", ("munmap",))]'
    raise DiagnosticError(Diagnostic("E311", place, what, fix=fix))


def _assigned(path: Path, name: str) -> Place | None:
    """Return where a module assigns `name`."""
    text = _text(path)
    for node in ast.parse(text).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name) and target.id == name:
                line = text.splitlines()[target.lineno - 1]
                start, end = target.col_offset, target.end_col_offset
                return Place.from_offsets(str(path), target.lineno, line, start, end)
    return None


def load_one(spec: str) -> Subject:
    """Return the only driver of `FILE`, or that of `FILE:Class`; raise `DiagnosticError`."""
    found = load(spec)
    if len(found) == 1:
        return found[0]
    names = [subject.name for subject in found]
    raise DiagnosticError(
        Diagnostic(
            "E303",
            None,
            f"{spec} has {len(found)} drivers, and one is to be checked",
            f"its drivers are: {', '.join(names)}",
            f"{spec}:{names[0]}",
        )
    )


def _named(found: list[type[Driver]], wanted: str, file: str) -> type[Driver]:
    for cls in found:
        if cls.__name__ == wanted:
            return cls
    names = [cls.__name__ for cls in found]
    close = nearest(wanted, names)
    raise DiagnosticError(
        Diagnostic(
            "E303",
            None,
            f"{file} has no driver {wanted or 'without a name'}",
            f"its drivers are: {', '.join(names)}" if names else "it has none at all",
            f"{file}:{close}" if close else "",
        )
    )


def _no_driver(file: str) -> Diagnostic:
    empty = not _text(Path(file)).strip()
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
    text = _text(path)
    try:
        ast.parse(text)
    except SyntaxError as error:
        if error.lineno is not None:
            raise DiagnosticError(syntax_diagnostic(file, error)) from None
        raise DiagnosticError(_no_source(file, error)) from None
    except ValueError as error:  # a zero byte
        raise DiagnosticError(_no_source(file, error)) from None
    return _executed(path)


def _text(path: Path) -> str:
    """Return the text of a Python file, in the encoding that it says."""
    try:
        with tokenize.open(path) as file:
            return file.read()
    except (SyntaxError, ValueError) as error:
        raise DiagnosticError(_no_source(str(path), error)) from None
    except OSError as error:
        what = f"{path} cannot be read: {error.strerror}"
        raise DiagnosticError(Diagnostic("E301", None, what)) from None


def _no_source(file: str, error: Exception) -> Diagnostic:
    return Diagnostic("E301", None, f"{file} is no Python source: {error}")


def _executed(path: Path) -> ModuleType:
    name = f"{_PREFIX}{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        what = f"{path} is no Python file"
        raise DiagnosticError(Diagnostic("E301", None, what, "its name has to end in .py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    folder = str(path.parent.resolve())
    sys.path.insert(0, folder)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except DiagnosticError as error:
        place = _failed_import(path, error).place
        placed = [replace(d, place=d.place or place) for d in error.diagnostics]
        raise DiagnosticError(placed) from None
    except (Exception, SystemExit) as error:
        raise DiagnosticError(_failed_import(path, error)) from None
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(folder)
    return module


def _failed_import(path: Path, error: BaseException) -> Diagnostic:
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if Path(f.filename).resolve() == path.resolve()]
    line = own[-1].lineno or 1 if own else 1
    return Diagnostic(
        "E209",
        Place(str(path), line, 1, 2),
        f"importing the file raised {type(error).__name__}: {error}",
        "the file is imported to build the driver; this happened on the way",
        f"python {path}  # shows the same error with its traceback",
    )
