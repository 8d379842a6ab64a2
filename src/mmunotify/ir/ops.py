"""The instruction set of the IR: one table, one row an operation.

Every pass reads an operand's role from here; none keeps a list of operations of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum, auto

__all__ = ["OPS", "Op", "OpRow", "Role"]


class Role(StrEnum):
    """What one of the five operand fields of an instruction means.

    `base` starts an array whose length is the field with role `length`, except for `FILL`,
    where `count` slots are written.
    """

    WRITE = auto()  # slot written
    READ = auto()  # slot read
    READ_BASE = auto()  # first slot of an array that is read at an index
    WRITE_BASE = auto()  # first slot of an array that is written at an index
    LENGTH = auto()  # length of that array
    CONSTANT = auto()  # immediate, -128..127
    TABLE = auto()  # first entry in the constant table
    TARGET = auto()  # instruction index of a jump
    FAILURE = auto()  # index into Program.failures
    BOUNDARY = auto()  # boundary number within its thread
    EPOCH = auto()  # index into Program.epochs
    COUNT = auto()  # number of alternatives or slots
    COVER = auto()  # index into Program.covers
    NONE = auto()


class Op(IntEnum):
    """Operation codes; the native core has the same numbers (`native/core/ops.hpp`)."""

    CONST = 0
    MOV = 1
    ADD = 2
    SUB = 3
    MUL = 4
    ADDK = 5
    DIV = 6
    MOD = 7
    AND = 8
    OR = 9
    XOR = 10
    NOT = 11
    EQ = 12
    NE = 13
    LT = 14
    LE = 15
    LDX = 16
    STX = 17
    LDT = 18
    RANGE = 19
    FILL = 20
    CHOOSE = 21
    JMP = 22
    JZ = 23
    JNZ = 24
    JEQK = 25
    JNEK = 26
    JEQ = 27
    JNE = 28
    JLT = 29
    JLE = 30
    WAIT = 31
    ASSERT = 32
    FAIL = 33
    BUMP = 34
    COVER = 35
    STEP = 36
    END = 37


@dataclass(frozen=True)
class OpRow:
    """Meaning of one operation: the roles of its operand fields and what it does."""

    roles: tuple[Role, ...]
    meaning: str


_W, _R, _K = Role.WRITE, Role.READ, Role.CONSTANT
_BINARY = (_W, _R, _R)

OPS: dict[Op, OpRow] = {
    Op.CONST: OpRow((_W, _K), "a = b"),
    Op.MOV: OpRow((_W, _R), "a = b"),
    Op.ADD: OpRow(_BINARY, "a = b + c"),
    Op.SUB: OpRow(_BINARY, "a = b - c"),
    Op.MUL: OpRow(_BINARY, "a = b * c"),
    Op.ADDK: OpRow((_W, _R, _K), "a = b + c"),
    Op.DIV: OpRow((*_BINARY, Role.FAILURE), "a = b // c, rounding down; c == 0 fails with d"),
    Op.MOD: OpRow((*_BINARY, Role.FAILURE), "a = b % c, sign of c; c == 0 fails with d"),
    Op.AND: OpRow(_BINARY, "a = b & c"),
    Op.OR: OpRow(_BINARY, "a = b | c"),
    Op.XOR: OpRow(_BINARY, "a = b ^ c"),
    Op.NOT: OpRow((_W, _R), "a = 1 if b == 0 else 0"),
    Op.EQ: OpRow(_BINARY, "a = 1 if b == c else 0"),
    Op.NE: OpRow(_BINARY, "a = 1 if b != c else 0"),
    Op.LT: OpRow(_BINARY, "a = 1 if b < c else 0"),
    Op.LE: OpRow(_BINARY, "a = 1 if b <= c else 0"),
    Op.LDX: OpRow(
        (_W, Role.READ_BASE, _R, Role.LENGTH, Role.FAILURE),
        "a = slot[b + c]; c outside 0..d-1 fails with e",
    ),
    Op.STX: OpRow(
        (Role.WRITE_BASE, _R, _R, Role.LENGTH, Role.FAILURE),
        "slot[a + b] = c; b outside 0..d-1 fails with e",
    ),
    Op.LDT: OpRow(
        (_W, Role.TABLE, _R, Role.LENGTH, Role.FAILURE),
        "a = table[b + c]; c outside 0..d-1 fails with e",
    ),
    Op.RANGE: OpRow((_R, _K, _K, Role.FAILURE), "a outside b..c fails with d"),
    Op.FILL: OpRow((Role.WRITE_BASE, Role.COUNT, _K), "slot[a .. a+b-1] = c"),
    Op.CHOOSE: OpRow((_W, _K, Role.COUNT), "a = b + one of 0..c-1; every alternative is explored"),
    Op.JMP: OpRow((Role.TARGET,), "go to a"),
    Op.JZ: OpRow((_R, Role.TARGET), "if a == 0 go to b"),
    Op.JNZ: OpRow((_R, Role.TARGET), "if a != 0 go to b"),
    Op.JEQK: OpRow((_R, _K, Role.TARGET), "if a == b go to c"),
    Op.JNEK: OpRow((_R, _K, Role.TARGET), "if a != b go to c"),
    Op.JEQ: OpRow((_R, _R, Role.TARGET), "if a == b go to c"),
    Op.JNE: OpRow((_R, _R, Role.TARGET), "if a != b go to c"),
    Op.JLT: OpRow((_R, _R, Role.TARGET), "if a < b go to c"),
    Op.JLE: OpRow((_R, _R, Role.TARGET), "if a <= b go to c"),
    Op.WAIT: OpRow(
        (_R, _K), "if a == 0 this step does not happen in this state; b == 1: waits in a queue"
    ),
    Op.ASSERT: OpRow((_R, Role.FAILURE), "if a == 0 fail with b"),
    Op.FAIL: OpRow((Role.FAILURE,), "fail with a"),
    Op.BUMP: OpRow((Role.EPOCH,), "every slot of epoch a that is 1 (fresh) becomes 2 (stale)"),
    Op.COVER: OpRow((Role.COVER,), "note that a was executed; no effect on the state"),
    Op.STEP: OpRow((Role.BOUNDARY,), "end of a step: this thread's pc becomes boundary a"),
    Op.END: OpRow((), "end of a step: this thread is done; in a predicate: end of evaluation"),
}
