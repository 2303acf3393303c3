"""Every node test of an operation that norcim has passes, or is listed with its reason."""

from __future__ import annotations

import pytest

from tests.conformance.node_tests import MISSES, PAGE, applicable, page, run


@pytest.mark.slow
def test_node_tests_pass_or_are_listed() -> None:
    outcomes = [run(case) for case in applicable()]
    assert {o.name for o in outcomes if o.verdict == "wrong"} <= set(MISSES)
    text = PAGE.read_text(encoding="utf-8")
    stale = "docs/reference/node-tests.md is stale: python -m tests.conformance.node_tests"
    assert page(outcomes) == text, stale
