"""E4xx: what this machine or this installation lacks.

Invariant: each text names the one command or permission that would help.
"""

from __future__ import annotations

from mmunotify.codes.entry import Code, entry

__all__ = ["MACHINE"]

MACHINE: tuple[Code, ...] = (
    entry(
        "E401",
        "this machine cannot do that",
        text="""
            The command needs something of the kernel that is missing or not permitted here:
            /dev/kvm, the tracepoints of KVM, userfaultfd, or a privilege. The message names it and
            gives one command that would permit it, where there is one. The exit code is 4, as
            kselftest has for a test that was skipped; it is no failure of your driver.

            `mmunotify doctor` lists everything that this machine permits. `mmunotify check` needs
            none of it.
            """,
        wrong="""
            $ mmunotify litmus
            E401 litmus needs /dev/kvm, which user 1000 may not open
            """,
        right="""
            $ sudo usermod -aG kvm $USER     # then log in again
            $ mmunotify litmus
            """,
    ),
    entry(
        "E402",
        "the native core is missing or of another version",
        text="""
            The search is done by a compiled module, mmunotify._core, which must be built from the
            same version as the Python files. It is missing when the package was used from a
            source tree without a build, and of another version when the tree was updated after
            the last build.
            """,
        wrong="""
            $ git pull
            $ PYTHONPATH=src python -m mmunotify check kvm_like.py
            """,
        right="""
            $ git pull
            $ make build
            """,
    ),
)
