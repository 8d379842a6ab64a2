"""What random bodies run on: a module with a class `Machine`, whose methods are written later.

Invariant: whatever a body here computes stays small, so that no bound is left but by a counter.
"""

from __future__ import annotations

__all__ = ["PRELUDE"]

PRELUDE = """
from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Annotated, NamedTuple

from mmunotify.lang import *


class Mode(Enum):
    A = "a"
    B = "b"
    C = "c"


class Slip(Failure):
    pass


class Fall(Slip):
    pass


class Pair(NamedTuple):
    first: int
    second: int


@dataclass(frozen=True)
class Span:
    start: int
    size: int = 2

    @property
    def end(self):
        return self.start + self.size

    def __iter__(self):
        return iter(range(self.start, self.end))

    def __contains__(self, number):
        return self.start <= number < self.end


class Node:
    GRADE = 1

    def __init__(self, number):
        self.name = f"n{number}"
        self.val = number
        self.flag = False
        self.link = None
        self.mode = Mode.A
        self.count = Counter(high=60)
        self.row = Table(range(3), number)
        self.row.name = f"row{number}"

    def cost(self):
        self.val = (self.val + 1) % 8
        return self.val

    def same(self, other):
        return other is self

    @classmethod
    def grade(cls):
        return cls.GRADE

    @property
    def twice(self):
        return self.val * 2

    @twice.setter
    def twice(self, value):
        self.val = value // 2


class Extra(Node):
    def cost(self):
        self.mode = Mode.C
        return super().cost() + 2


class Special(Node):
    GRADE = 2

    def cost(self):
        self.flag = not self.flag
        return super().cost() + 1

    @property
    def twice(self):
        return self.val + 9


class Both(Special, Extra):
    GRADE = 3


class Guard:
    def __init__(self, name, keeps):
        self.name = name
        self.keeps = keeps
        self.depth = 0
        self.seen = 0

    def __enter__(self):
        self.depth = (self.depth + 1) % 8
        return self.depth

    def __exit__(self, kind, error, trace):
        self.depth = (self.depth + 7) % 8
        if kind is None:
            self.seen = 1
        elif kind is Fall:
            self.seen = 2
        else:
            self.seen = 3
        return self.keeps and isinstance(error, Fall)


class Base:
    def __init__(self):
        self.name = "m"
        self.nodes = (Node(0), Special(1), Both(2))
        self.lists = ([1, 2], [3, 4], [0, 5])
        self.x = 0
        self.y = 3
        self.on = False
        self.ref = None
        self.own = self.nodes[1]
        self.mode = Mode.B
        self.fuel = Counter(start=12, high=12)
        self.count = Counter(high=60)
        self.tab = Table(range(4), 0)
        self.refs = Table(self.nodes)
        self.modes = Table(Mode, False)
        self.lock = SpinLock()
        self.seq = Epoch()
        self.marks = Set(self.nodes)
        self.queue = Queue(2)
        self.atom = AtomicT(high=60)
        self.boxes = Table(range(3))
        for number in self.boxes:
            self.boxes[number] = Counter(number, high=60)
        self.open = Guard("open", False)
        self.kept = Guard("kept", True)

    def bump(self):
        self.count += 1
        return self.count.read() % 4

    def pick(self, number):
        return self.nodes[number % 3]

    def move(self):
        self.tab[self.x % 4] = (self.tab[self.x % 4] + 1) % 8
        self.x = (self.x + 1) % 8
        return self.x

    def maybe(self, number):
        if number % 3 == 0:
            return None
        return self.nodes[number % 2]

    def both(self, number):
        return number % 4, self.bump()

    def fail(self, number):
        if number % 4 == 1:
            raise Slip
        if number % 4 == 2:
            raise Fall
        return number % 4

    def is_low(self):
        return self.x < 4

    @staticmethod
    def least(a, b=2):
        return min(a, b)

    @classmethod
    def title(cls):
        return 3


class Machine(Base):
"""
