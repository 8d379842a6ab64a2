"""E5xx: files that runs leave behind and read again: results, traces, replay strings, reports.

Invariant: nothing in these files is executed, so a bad one can only be refused.
"""

from __future__ import annotations

from mmunotify.codes.entry import Code, entry

__all__ = ["RECORDS"]

RECORDS: tuple[Code, ...] = (
    entry(
        "E501",
        "a trace or result file is damaged",
        text="""
            A trace is a file of JSON Lines: a header with the version, then one event a line. The
            line named in the message is not JSON, or lacks a field, or the file ends in the middle
            of an event. A run that was killed leaves such a file; the events before the damage
            are sound, but no verdict can be taken from them.
            """,
        wrong="$ head -c 5000 run.jsonl > part.jsonl && mmunotify show part.jsonl",
        right="$ mmunotify show run.jsonl",
    ),
    entry(
        "E502",
        "a trace of another format, or of a newer version",
        text="""
            The first line of a trace names its format and version. This file has no such line, or
            a version newer than this mmunotify can read. Older versions are always read.
            """,
        wrong="$ mmunotify show perf.data",
        right="""
            $ mmunotify check kvm_like.py --json run.json
            $ mmunotify show run.json
            """,
    ),
    entry(
        "E503",
        "a replay string of another driver or scenario",
        text="""
            A replay string names one interleaving: which thread takes each step. It means that only
            for the driver, scenario, protocol and bounds it was found with, and carries a
            fingerprint of them. It is not that of the program at hand. After an edit of the driver
            this is to be expected: run the check again, it finds the bug anew if it is still there.
            """,
        wrong="$ mmunotify check fixed.py --replay 4f2a91c0.bBb2a11.81ea   # of another driver",
        right="$ mmunotify check fixed.py",
    ),
    entry(
        "E504",
        "a replay string that cannot be read",
        text="""
            The string has characters that no replay string has, or its end is missing: probably it
            was cut when it was copied. A report prints it on the line `run`, in one line however
            long it is; the result file holds it too.
            """,
        wrong="$ mmunotify check kvm_like.py --replay 4f2a91c0.bBb2",
        right="$ mmunotify check kvm_like.py --replay 4f2a91c0.bBb2a11.81ea   # all",
    ),
    entry(
        "E505",
        "the report cannot be written",
        text="""
            The directory does not exist, is not writable, or the disk is full. Directories are not
            created, so that a mistyped path does not go unnoticed. The check itself was not run:
            the path is tried first, so that no long search ends without a report.
            """,
        wrong="$ mmunotify check kvm_like.py --html no/such/directory/bug.html",
        right="$ mmunotify check kvm_like.py --html bug.html",
    ),
    entry(
        "E506",
        "there is no such result file",
        text="""
            `mmunotify show` takes a file written by `check --json` or `trace --trace`. The path
            does not exist or cannot be read. The name of a driver is no result: check it first and
            keep the result in a file.
            """,
        wrong="$ mmunotify show kvm_like",
        right="""
            $ mmunotify check kvm_like.py --json kvm_like.json
            $ mmunotify show kvm_like.json
            """,
    ),
)
