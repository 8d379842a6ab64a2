"""All twenty claims by number."""

from __future__ import annotations

from mmunotify.claims import emm, flushing, holding_off, registration, sleeping
from mmunotify.claims.claim import Claim

__all__ = ["CLAIMS"]

_GROUPS = (emm.CLAIMS, registration.CLAIMS, holding_off.CLAIMS, flushing.CLAIMS, sleeping.CLAIMS)

CLAIMS: dict[int, Claim] = {
    claim.number: claim
    for claim in sorted((one for group in _GROUPS for one in group), key=lambda one: one.number)
}
"""The claims by their number in the mail."""
