"""SARIF: one result for each violation, at the line to blame."""

from __future__ import annotations

import json
from typing import Any

from tests.report.samples import incomplete, nine_steps, passed

from mmunotify.report import render_sarif
from mmunotify.trace.record import Result


def only_run(*results: Result) -> dict[str, Any]:
    """Return the run of the log of these results."""
    log = json.loads(render_sarif(list(results)))
    assert log["version"] == "2.1.0"
    run: dict[str, Any] = log["runs"][0]
    return run


def test_a_violation_is_at_the_line_to_blame() -> None:
    """Property, line, and the interleaving as one thread flow a lane."""
    found = only_run(nine_steps(), passed())["results"]
    assert [result["ruleId"] for result in found] == ["no_stale_translation"]
    place = found[0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "drivers/kvm_like.py"
    assert place["region"]["startLine"] == 38
    flows = found[0]["codeFlows"][0]["threadFlows"]
    assert [flow["id"] for flow in flows] == ["cpu0", "vcpu0", "dev"]
    order = [place["executionOrder"] for flow in flows for place in flow["locations"]]
    assert sorted(order) == list(range(1, 10))


def test_unfinished_is_no_success() -> None:
    """A log without results is told apart from a pass."""
    assert only_run(passed())["invocations"][0]["executionSuccessful"]
    assert not only_run(incomplete())["invocations"][0]["executionSuccessful"]
