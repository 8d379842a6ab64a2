"""The one trace record: what check, live and kernel traces are all made of.

A trace is a `Header`, then `Event`s in order. A check's answer is a `Result`, which holds a trace
when there is a counterexample. Reports read these records and nothing else.
"""

from __future__ import annotations

import msgspec

__all__ = [
    "FORMAT",
    "RESULT_FORMAT",
    "Activity",
    "Blocked",
    "Bounds",
    "Change",
    "Column",
    "Event",
    "Header",
    "Lane",
    "Line",
    "Mapping",
    "Notified",
    "Omitted",
    "Result",
    "ScenarioResult",
    "Stale",
    "Statistics",
    "Trace",
    "Unused",
    "Window",
]

FORMAT = "mmunotify.trace/1"
RESULT_FORMAT = "mmunotify.result/1"


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """One thread of execution; `mmu` is "primary", "secondary" or "device"."""

    name: str
    role: str = ""
    mmu: str = "primary"


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of state that ever changes: `name` as in `spte[0x1000]`, and its first value.

    `group` puts cells side by side: "pte", "spte", "tlb", "frame", "lock", "driver" or "".
    """

    name: str
    initial: str
    group: str = ""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A step changed `column` (its name) from `before` to `after`."""

    column: str
    before: str
    after: str


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line of source that a step is at; `text` is the line without its indent."""

    file: str
    line: int
    function: str = ""
    text: str = ""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One step of one lane (`lane` indexes `Header.lanes`); `n` counts from 1.

    `text` is what happened, in the reader's words (the statement, or `range_start [0x1000, +1)`).
    `where` is the line of the driver or of the operation, innermost call last. `uses` lists the
    numbers of earlier events whose effect this one used in a way that mattered. `slice`: the event
    belongs to the causal slice of the violation. `alternatives`: other lanes that could have moved.
    """

    n: int
    lane: int
    text: str
    where: list[Line] = []
    changes: list[Change] = []
    uses: list[int] = []
    slice: bool = False
    choices: list[int] = []
    alternatives: list[int] = []


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A bar: from event `first` to event `last` (0: still open at the end) on `lane`.

    `kind` is "invalidation" (range_start .. range_end), "stale" (primary entry cleared .. the
    secondary translation gone) or "cycle" (what repeats for ever).
    """

    kind: str
    lane: int
    first: int
    last: int
    text: str = ""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """First record of a trace. `source` is "check", "live", "kernel" or "litmus"."""

    format: str = FORMAT
    source: str = "check"
    subject: str = ""
    lanes: list[Lane] = []
    columns: list[Column] = []


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """A lane that can never move again after the last event, for a deadlock.

    `text` says what it waits for (`waits for mmu_lock, held by cpu0`), `uses` lists the events
    that brought that about, and `where` is the line it stands at, as in `Event`.
    """

    lane: int
    text: str
    where: list[Line] = []
    uses: list[int] = []


class Notified(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Secondary MMUs of a real process were told about the addresses `[start, end)`.

    `time` is in ns since the trace began. `lane` is the process it is about. `kind` is "unmap"
    (range_start), "age" or "test_age"; `cause` is what the memory's owner or the kernel was doing
    ("munmap", "COW", ...). `by` is the thread that did it, `stack` indexes `Activity.stacks`.
    `ended` is when that was over, in ns since the trace began, 0 where nobody said.
    """

    time: int
    lane: int
    kind: str
    start: int
    end: int
    cause: str = ""
    by: int = 0
    stack: int = -1
    ended: int = 0


class Stale(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A driver had been told of the addresses `[start, end)`, and what it did not drop is stale.

    `page` is the address of the page, `time` in ns since the trace began, `cause` and `by` as in
    `Notified`; `text` says who still translates to what.
    """

    time: int
    lane: int
    page: int
    start: int
    end: int
    cause: str
    by: int = 0
    text: str = ""


class Mapping(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a process had at `[start, end)`: a file's path, `[heap]`, or "" for anonymous memory."""

    lane: int
    start: int
    end: int
    name: str = ""


class Omitted(msgspec.Struct, frozen=True, kw_only=True):
    """Notifications of one kind and cause that were counted and not kept."""

    kind: str
    cause: str
    calls: int
    pages: int


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """What a trace of a running system says as a whole.

    `seconds` it lasted; `lost` events the kernel had no room for; `omitted` events that were
    counted and not kept, by kind and cause; `page` is the size of a page in bytes; `stacks` are the
    call chains that `Notified` indexes, innermost function first; `notes` are what a reader must
    know to judge the numbers.
    """

    machine: str = ""
    seconds: float = 0.0
    lost: int = 0
    omitted: list[Omitted] = []
    page: int = 4096
    stacks: list[list[str]] = []
    notes: list[str] = []


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """A whole trace in memory. `sources` maps a file name to its text, for the HTML page.

    `blocked` lists the lanes that wait for ever at the end. `cycle` is the number of the event
    from which the rest repeats for ever; 0 means that nothing repeats. A trace of a running system
    has `notified`, `mappings` and `activity`, and `stale` what a driver got wrong.
    """

    header: Header
    events: list[Event] = []
    windows: list[Window] = []
    sources: dict[str, str] = {}
    blocked: list[Blocked] = []
    cycle: int = 0
    notified: list[Notified] = []
    stale: list[Stale] = []
    mappings: list[Mapping] = []
    activity: Activity | None = None


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What a search did. `states` stored, `seconds` of the engine, `bytes` of its memory."""

    states: int = 0
    transitions: int = 0
    depth: int = 0
    seconds: float = 0.0
    bytes: int = 0
    reduction: str = "none"


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What a search was bounded by."""

    pages: int
    frames: int
    devices: int
    operations: list[str]
    protocol: str


class Unused(msgspec.Struct, frozen=True, kw_only=True):
    """Lines of the driver that no state ever executed (first..last, same function).

    `text` is those lines as they are written, indent included.
    """

    file: str
    first: int
    last: int
    function: str = ""
    text: str = ""


class Caveat(msgspec.Struct, frozen=True, kw_only=True):
    """Why a check that holds says less than it seems to: a code W2xx, and what was found."""

    code: str
    text: str


class ScenarioResult(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one scenario: "HOLDS", "VIOLATED" or "INCOMPLETE" with its `reason`.

    `undecided`: why the search for `progress`, which nobody asked for, gave up; "" if it did not.
    """

    name: str
    verdict: str
    bounds: Bounds
    statistics: Statistics
    reason: str = ""
    undecided: str = ""
    property: str = ""
    message: str = ""
    unreached: list[str] = []


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of one check of one driver.

    `why` is one or two sentences from the causal slice; `fix` is what to write instead. `place` is
    the driver's line to blame. `replay` is the string that replays the counterexample, `command`
    the command that does. `shortest`: an unreduced breadth-first search proved that no shorter
    one exists. `seconds` is the whole run, compilation included.
    """

    format: str = RESULT_FORMAT
    version: str = ""
    driver: str = ""
    file: str = ""
    verdict: str = "HOLDS"
    properties: list[str] = []
    scenarios: list[ScenarioResult] = []
    unused: list[Unused] = []
    caveats: list[Caveat] = []
    property: str = ""
    message: str = ""
    scenario: str = ""
    why: str = ""
    fix: str = ""
    place: Line | None = None
    replay: str = ""
    command: str = ""
    shortest: bool = False
    seconds: float = 0.0
    memory_model: str = "sequential consistency"
    trace: Trace | None = None
