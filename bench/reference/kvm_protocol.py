"""The benchmark protocol once more, as plain tuples in plain Python: the slow, obvious one.

It shares no code with mmunotify, so that equal state counts mean something. One step here is one
step of `kvm_protocol.pml` and of `bench.protocol.coarse`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["Explored", "Protocol", "explore"]

State = tuple[int, ...]
Move = tuple[str, "State | None"]  # label, and the state after it; None: a stale access

# Shared cells: LOCK, IN_PROGRESS, SEQ, then pte, spte, owner, refs. Frames and pages count from 1
# where 0 is none. Cells of a thread, from its first one on:
LOCK, IN_PROGRESS, SEQ, SHARED = 0, 1, 2, 3
PC, ROUND, PAGE = 0, 1, 2
FRAME, SNAPSHOT, TLB, VCPU_CELLS = 3, 4, 5, 6
OLD, INVALIDATOR_CELLS = 3, 4
VCPU_DONE, INVALIDATOR_DONE = 12, 13


class Protocol:
    """A KVM-like secondary MMU: vcpus that fault pages in, invalidators that take them away."""

    def __init__(
        self,
        vcpus: int,
        invalidators: int,
        pages: int,
        frames: int,
        rounds: int,
        *,
        retry: bool = True,
    ) -> None:
        self.pages, self.frames, self.rounds, self.retry = pages, frames, rounds, retry
        self.pte = SHARED
        self.spte = self.pte + pages
        self.owner = self.spte + pages
        self.refs = self.owner + frames
        first = self.refs + frames
        self.vcpus = [first + VCPU_CELLS * n for n in range(vcpus)]
        first += VCPU_CELLS * vcpus
        self.invalidators = [first + INVALIDATOR_CELLS * n for n in range(invalidators)]
        self.initial: State = (0,) * (first + INVALIDATOR_CELLS * invalidators)

    def finished(self, state: State) -> bool:
        """Tell whether all threads are done."""
        return all(state[v + PC] == VCPU_DONE for v in self.vcpus) and all(
            state[i + PC] == INVALIDATOR_DONE for i in self.invalidators
        )

    def moves(self, state: State) -> Iterator[Move]:
        """Yield every step that any thread can take."""
        for number, me in enumerate(self.vcpus):
            for label, after in self._vcpu(state, me):
                yield f"vcpu{number}.{label}", after
        for number, me in enumerate(self.invalidators):
            for label, after in self._invalidator(state, me):
                yield f"invalidate{number}.{label}", after

    # Parts of steps -----------------------------------------------------------------------------

    def _put(self, s: list[int], frame: int) -> None:
        """Drop a reference; free at zero."""
        s[self.refs + frame] -= 1
        if s[self.refs + frame] == 0:
            s[self.owner + frame] = 0

    def _allocate(self, s: list[int], frame: int, page: int, refs: int) -> None:
        s[self.owner + frame] = page + 1
        s[self.refs + frame] = refs
        s[self.pte + page] = frame + 1

    def _free_frames(self, state: State) -> list[int]:
        return [f for f in range(self.frames) if state[self.owner + f] == 0]

    def _end_round(self, s: list[int], me: int, done: int) -> None:
        s[me + PAGE] = 0
        s[me + ROUND] += 1
        s[me + PC] = done if s[me + ROUND] == self.rounds else 0

    def _pick(self, state: State, me: int) -> Iterator[Move]:
        for page in range(self.pages):
            s = list(state)
            s[me + PAGE] = page
            s[me + PC] = 1
            yield f"pick({page})", tuple(s)

    # Vcpus --------------------------------------------------------------------------------------

    def _vcpu(self, state: State, me: int) -> Iterator[Move]:
        pc = state[me + PC]
        if pc == 0:
            yield from self._pick(state, me)
        elif pc == 2:
            yield from self._get_user_page(state, me)
        elif pc == 11:
            yield from self._access(state, me)
        elif pc != VCPU_DONE and not (pc == 3 and state[LOCK]):
            s = list(state)
            label, step = _VCPU_STEPS[pc]
            step(self, s, me)
            yield label, tuple(s)

    def _get_user_page(self, state: State, me: int) -> Iterator[Move]:
        page = state[me + PAGE]
        frame = state[self.pte + page] - 1
        for taken in [frame] if frame >= 0 else self._free_frames(state):
            s = list(state)
            if frame >= 0:
                s[self.refs + frame] += 1
            else:
                self._allocate(s, taken, page, 2)
            s[me + FRAME] = taken
            s[me + PC] = 3
            yield f"gup({taken})", tuple(s)

    def _access(self, state: State, me: int) -> Iterator[Move]:
        frame = state[me + TLB] - 1
        if frame >= 0 and state[self.owner + frame] != state[me + PAGE] + 1:
            yield "access: stale", None
            return
        s = list(state)
        s[me + TLB] = 0
        self._end_round(s, me, VCPU_DONE)
        yield "access", tuple(s)

    def _read_seq(self, s: list[int], me: int) -> None:
        s[me + SNAPSHOT] = s[SEQ]
        s[me + PC] = 2

    def _lock(self, s: list[int], me: int) -> None:
        s[LOCK] = 1
        s[me + PC] += 1

    def _check(self, s: list[int], me: int) -> None:
        late = s[IN_PROGRESS] > 0 or s[SEQ] != s[me + SNAPSHOT]
        s[me + PC] = 7 if self.retry and late else 5

    def _install(self, s: list[int], me: int) -> None:
        s[self.spte + s[me + PAGE]] = s[me + FRAME] + 1
        s[me + PC] = 6

    def _unlock_vcpu(self, s: list[int], me: int) -> None:
        s[LOCK] = 0
        s[me + PC] = 9 if s[me + PC] == 6 else 8

    def _put_frame(self, s: list[int], me: int) -> None:
        self._put(s, s[me + FRAME])
        s[me + FRAME] = s[me + SNAPSHOT] = 0
        s[me + PC] = 1 if s[me + PC] == 8 else 10

    def _walk(self, s: list[int], me: int) -> None:
        reached = s[self.spte + s[me + PAGE]]
        if reached:
            s[me + TLB] = reached
            s[me + PC] = 11
        else:
            self._end_round(s, me, VCPU_DONE)

    # Invalidators -------------------------------------------------------------------------------

    def _invalidator(self, state: State, me: int) -> Iterator[Move]:
        pc = state[me + PC]
        if pc == 0:
            yield from self._pick(state, me)
        elif pc == 12:
            yield from self._map_again(state, me)
        elif pc != INVALIDATOR_DONE and not (pc in (1, 8) and state[LOCK]):
            s = list(state)
            label, step = _INVALIDATOR_STEPS[pc]
            s[me + PC] = pc + 1
            step(self, s, me)
            yield label, tuple(s)

    def _map_again(self, state: State, me: int) -> Iterator[Move]:
        page = state[me + PAGE]
        free = self._free_frames(state) if state[self.pte + page] == 0 else []
        for frame in free or [-1]:
            s = list(state)
            if frame >= 0:
                self._allocate(s, frame, page, 1)
            self._end_round(s, me, INVALIDATOR_DONE)
            yield f"map_again({frame})", tuple(s)

    def _take(self, s: list[int], _me: int) -> None:
        s[LOCK] = 1

    def _unlock(self, s: list[int], _me: int) -> None:
        s[LOCK] = 0

    def _begin(self, s: list[int], _me: int) -> None:
        s[IN_PROGRESS] += 1

    def _zap(self, s: list[int], me: int) -> None:
        s[self.spte + s[me + PAGE]] = 0

    def _flush(self, s: list[int], _me: int) -> None:
        for vcpu in self.vcpus:
            s[vcpu + TLB] = 0

    def _clear_pte(self, s: list[int], me: int) -> None:
        s[me + OLD] = s[self.pte + s[me + PAGE]]
        s[self.pte + s[me + PAGE]] = 0

    def _put_page(self, s: list[int], me: int) -> None:
        if s[me + OLD]:
            self._put(s, s[me + OLD] - 1)
        s[me + OLD] = 0

    def _bump(self, s: list[int], _me: int) -> None:
        s[SEQ] += 1

    def _end(self, s: list[int], _me: int) -> None:
        s[IN_PROGRESS] -= 1


Step = Callable[[Protocol, list[int], int], None]
# Steps that have one outcome, by pc.
_VCPU_STEPS: dict[int, tuple[str, Step]] = {
    1: ("read_seq", Protocol._read_seq),
    3: ("lock", Protocol._lock),
    4: ("check", Protocol._check),
    5: ("install", Protocol._install),
    6: ("unlock", Protocol._unlock_vcpu),
    7: ("unlock", Protocol._unlock_vcpu),
    8: ("put", Protocol._put_frame),
    9: ("put", Protocol._put_frame),
    10: ("walk", Protocol._walk),
}
_INVALIDATOR_STEPS: dict[int, tuple[str, Step]] = {
    1: ("lock", Protocol._take),
    2: ("begin", Protocol._begin),
    3: ("zap", Protocol._zap),
    4: ("flush", Protocol._flush),
    5: ("unlock", Protocol._unlock),
    6: ("clear_pte", Protocol._clear_pte),
    7: ("put_page", Protocol._put_page),
    8: ("lock", Protocol._take),
    9: ("seq += 1", Protocol._bump),
    10: ("end", Protocol._end),
    11: ("unlock", Protocol._unlock),
}


@dataclass(frozen=True)
class Explored:
    """What a breadth-first search has found. `path`: the labels to the first stale access."""

    states: int
    transitions: int
    depth: int
    deadlock: bool = False
    path: tuple[str, ...] = ()


def explore(protocol: Protocol) -> Explored:
    """Search breadth first, up to the first stale access or deadlock."""
    before: dict[State, tuple[State, str] | None] = {protocol.initial: None}
    level, transitions, depth = [protocol.initial], 0, 0
    while level:
        following = []
        for state in level:
            moves = list(protocol.moves(state))
            transitions += len(moves)
            if not moves and not protocol.finished(state):
                return Explored(len(before), transitions, depth, deadlock=True)
            for label, after in moves:
                if after is None:
                    path = (*_labels(before, state), label)
                    return Explored(len(before), transitions, depth, path=path)
                if after not in before:
                    before[after] = (state, label)
                    following.append(after)
        level = following
        depth += bool(following)
    return Explored(len(before), transitions, depth)


def _labels(before: dict[State, tuple[State, str] | None], state: State) -> list[str]:
    found = []
    while (step := before[state]) is not None:
        state, label = step
        found.append(label)
    return found[::-1]
