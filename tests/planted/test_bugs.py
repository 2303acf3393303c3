"""The list of planted bugs fits the sources; `make planted` plants them."""

from __future__ import annotations

import pytest

from tests.planted.bugs import BUGS, ROOT, Bug


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_can_be_planted_and_its_test_exists(bug: Bug) -> None:
    assert (ROOT / bug.file).read_text("utf-8").count(bug.old) == 1
    assert bug.new != bug.old
    path, _, function = bug.test.partition("::")
    assert f"def {function}" in (ROOT / path).read_text("utf-8")


def test_names_are_unique() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS)
