"""The program that a `Guest` runs: accesses of memory, as its mailbox tells it.

Written for GNU as in `SOURCE`; `CODE` is what it assembles to, so that no assembler is needed.
Invariant: the program touches its mailbox and the addresses it is given, nothing else; it has no
stack. Without work for a while it leaves by port 0x10. tests/kernel holds `CODE` against `SOURCE`.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ACCESSES",
    "ACCESS_SIZE",
    "CODE",
    "COUNT",
    "DONE",
    "GO",
    "KINDS",
    "MAX_ACCESSES",
    "REPEAT",
    "RESULTS",
    "ROUNDS",
    "SIZE",
    "SKIP",
    "SOURCE",
]

# The mailbox, in bytes from its start; each side writes cache lines of its own.
GO: Final = 0  # host: the number of the round to run; a new number starts it
DONE: Final = 64  # guest: the number of the last round
ROUNDS: Final = 72  # guest: how many rounds it ran
COUNT: Final = 128  # host: how many accesses a round has
REPEAT: Final = 136  # host: while not 0, begin again at once
ACCESSES: Final = 4096  # host: kind (of KINDS), address, value, delay
ACCESS_SIZE: Final = 32
RESULTS: Final = 36864  # guest: what each access read; for a write, what it wrote
SIZE: Final = 45056
KINDS: Final = ("read", "write", "exchange", "await")
"""What an access does; "await" waits a while for the word to be `value` or more."""

MAX_ACCESSES: Final = (RESULTS - ACCESSES) // ACCESS_SIZE

SOURCE: Final = """
.intel_syntax noprefix
start:
    xor r8d, r8d
wait:
    mov ecx, 4000
spin:
    mov rax, [rdi]
    cmp rax, r8
    jne go
    pause
    dec ecx
    jnz spin
    out 0x10, al
    jmp wait
go:
    mov r8, rax
again:
    mov rcx, [rdi+128]
    lea rsi, [rdi+4096]
    lea rbx, [rdi+36864]
next:
    test rcx, rcx
    jz finished
    mov rdx, [rsi+24]
delay:
    test rdx, rdx
    jz access
    dec rdx
    jmp delay
access:
    mov rdx, [rsi+8]
    mov rax, [rsi+16]
    cmp qword ptr [rsi], 0
    jne write
    mov rax, [rdx]
    jmp store
write:
    cmp qword ptr [rsi], 1
    jne exchange
    mov [rdx], rax
    jmp store
exchange:
    cmp qword ptr [rsi], 2
    jne await
    xchg [rdx], rax
    jmp store
await:
    mov r9d, 5000
look:
    cmp [rdx], rax
    jae store
    pause
    dec r9d
    jnz look
store:
    mov [rbx], rax
    add rsi, 32
    add rbx, 8
    dec rcx
    jmp next
finished:
    inc qword ptr [rdi+72]
    mov [rdi+64], r8
    cmp qword ptr [rdi+136], 0
    jne again
    jmp wait
"""

CODE: Final = bytes.fromhex(
    "4531c0b9a00f0000488b074c39c0750af390ffc975f2e610ebe94989c0488b8f80000000488db700"
    "100000488d9f009000004885c97459488b56184885d2740548ffcaebf6488b5608488b461048833e"
    "007505488b02eb2848833e017505488902eb1d48833e027505488702eb1241b98813000048390273"
    "07f39041ffc975f44889034883c6204883c30848ffc9eba248ff47484c8947404883bf8800000000"
    "0f8577ffffffe958ffffff"
)

SKIP: Final = 0x80
"""The offset of `store`: where to go on after an access that memory refused."""
