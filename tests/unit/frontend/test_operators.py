"""The table of operators is complete, and its page is what it says."""

from __future__ import annotations

from pathlib import Path

from norcim.frontend.operators import operators, page
from norcim.frontend.registry import HANDLERS, WORKAROUNDS

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "operators.md"


def test_every_operator_is_listed_with_what_it_does():
    rows = {row.name: row for row in operators()}
    assert set(HANDLERS) <= set(rows)
    assert all(rows[name].note.endswith(".") for name in HANDLERS)
    assert not set(WORKAROUNDS) & set(HANDLERS)


def test_the_page_is_current():
    stale = "docs/reference/operators.md is stale: norcim ops --markdown > it"
    assert page(operators()) == PAGE.read_text(encoding="utf-8"), stale
