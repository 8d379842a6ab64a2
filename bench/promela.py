"""The two Promela models of the reference folder, set to a size."""

from __future__ import annotations

from pathlib import Path

from bench.protocol import Size

__all__ = ["COARSE", "FINE", "defines"]

_FOLDER = Path(__file__).parent / "reference"
COARSE = _FOLDER / "kvm_protocol.pml"
FINE = _FOLDER / "kvm_protocol_fine.pml"


def defines(size: Size) -> dict[str, int]:
    """Return the macros that set a model to a size; rounds without end have no model."""
    if size.rounds == 0:
        raise ValueError("a Promela model goes round a number of times")
    chosen = {
        "V": size.vcpus,
        "I": size.invalidators,
        "NV": size.pages,
        "NP": size.frames,
        "K": size.rounds,
    }
    return chosen if size.retry else {**chosen, "BUG": 1}
