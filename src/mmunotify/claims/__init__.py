"""The mail of 2 April 2008, claim by claim: each put to the test by checks and counts.

Source: Andrea Arcangeli, "Re: [patch 1/9] EMM Notifier: The notifier calls", 2 April 2008,
Message-ID 20080402064952.GF19189@duo.random.
"""

from mmunotify.claims.claim import Check, Claim, Count, Fact, decide
from mmunotify.claims.mail import CLAIMS
from mmunotify.claims.verdicts import decide_all

__all__ = ["CLAIMS", "Check", "Claim", "Count", "Fact", "decide", "decide_all"]
