"""Which scenarios a check consists of: the file's own, the standard ones, and combinations by name.

Invariant: the same subject and options give the same scenarios in the same order, in any process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from mmunotify.check.form import require_subscribable, require_unregister
from mmunotify.check.options import Options
from mmunotify.check.predicates import own_properties
from mmunotify.check.scenario import Scenario, composed, standard
from mmunotify.check.subject import Subject
from mmunotify.errors import Diagnostic, DiagnosticError
from mmunotify.primary import OPERATIONS
from mmunotify.primary.operation import Operation
from mmunotify.protocols import PROTOCOLS
from mmunotify.terms import PROPERTIES, nearest

__all__ = ["chosen_scenarios"]

_LISTED = 20
_ENDLESS = "/endless"


def chosen_scenarios(subject: Subject, options: Options) -> list[Scenario]:
    """Return the scenarios that the options ask for; raise `DiagnosticError` E304 or E309.

    Own ones come first and replace standard ones of the same name. Operations joined by `+` are a
    scenario, too, in any combination that the kernel admits, and so is one with `/endless` behind
    its name: its operations are repeated for ever.
    """
    asked = [options.protocol] if options.protocol else []
    wrong = list(_unknown("protocol", asked, list(PROTOCOLS)))
    if wrong:
        options = replace(options, protocol=None)
    elif options.protocol:
        require_subscribable(subject.driver, PROTOCOLS[options.protocol], options.protocol)
    known = [*PROPERTIES, *own_properties(subject.driver)]
    wrong += _unknown("property", options.properties, known)
    every = _every(subject, options)
    found: list[Scenario] = []
    for wanted in options.scenarios:
        group = _named(wanted, every, subject, options)
        if not group:
            wrong += _unknown("scenario", [wanted], [s.name for s in every])
        found += [s for s in group if s not in found]
    if wrong:
        raise DiagnosticError(wrong)
    return found if options.scenarios else every


def _every(subject: Subject, options: Options) -> list[Scenario]:
    protocol = options.protocol or ""
    found: dict[str, Scenario] = {}
    usual = standard(subject.driver, protocol=protocol, all_pairs=options.all_pairs)
    for scenario in (*subject.given, *subject.scenarios, *usual):
        found.setdefault(scenario.name, scenario.serving(subject.driver))
    return list(found.values())


def _named(
    wanted: str, every: list[Scenario], subject: Subject, options: Options
) -> list[Scenario]:
    """Return the scenario of a name, or those whose name goes on after it with a slash, or none."""
    if wanted.endswith(_ENDLESS):
        once = _named(wanted.removesuffix(_ENDLESS), every, subject, options)
        return [_endless(scenario) for scenario in once]
    same = [s for s in every if s.name == wanted]
    group = same or [s for s in every if s.name.startswith(f"{wanted}/")]
    if group:
        return group
    own = {op.name or op.__name__: op for op in subject.operations}
    combined = _combined(wanted, {**OPERATIONS, **own})
    if combined is None:
        _require_possible(wanted, subject, options)
        return []
    return [composed(combined, protocol=options.protocol or "").serving(subject.driver)]


def _require_possible(wanted: str, subject: Subject, options: Options) -> None:
    """Raise `DiagnosticError` E309 if the protocol alone is why there is no such scenario."""
    if options.protocol:
        for one in standard(subject.driver, all_pairs=options.all_pairs):
            if one.name == wanted and one.membership.unregisters:
                require_unregister(PROTOCOLS[options.protocol], options.protocol, wanted)


def _endless(scenario: Scenario) -> Scenario:
    """Return a scenario with its operations repeated for ever."""
    if "exit" in scenario.operation_names:
        what = f"there is no scenario {scenario.name}{_ENDLESS}"
        raise DiagnosticError(Diagnostic("E304", None, what, "an address space exits only once"))
    return replace(scenario, name=f"{scenario.name}{_ENDLESS}", endless=True)


def _combined(wanted: str, known: Mapping[str, type[Operation]]) -> list[type[Operation]] | None:
    """Return the operations that `wanted` joins by `+`, or None."""
    names = wanted.split("+")
    if any(name not in known for name in names):
        return None
    operations = [known[name] for name in names]
    users = [op for op in operations if not op.foreign]
    if "exit" in names and users:
        raise DiagnosticError(
            Diagnostic(
                "E304",
                None,
                f"there is no scenario {wanted}",
                f"{users[0].name} is run by a thread of the process, which does not exit meanwhile",
            )
        )
    return operations


def _unknown(kind: str, wanted: Sequence[str], known: Sequence[str]) -> Iterator[Diagnostic]:
    for name in wanted:
        if name not in known:
            close = nearest(name, known)
            few = f"known are: {', '.join(known)}" if len(known) <= _LISTED else ""
            why = few or f"there are {len(known)}; `mmunotify check FILE --list` shows them"
            fix = f"did you mean {close}?" if close else ""
            yield Diagnostic("E304", None, f"there is no {kind} {name}", why, fix)
