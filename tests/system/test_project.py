"""The project's own promises: every error id is explained, links lead somewhere."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def test_every_error_id_is_explained_exactly_once() -> None:
    folders = ("sdk", "host_tools", "bitstreams")
    sources = [path for folder in folders for path in ROOT.glob(f"{folder}/**/*.py")]
    used = {
        found for path in sources for found in re.findall(r"NC-E\d{4}", path.read_text("utf-8"))
    }
    page = (ROOT / "docs" / "errors.md").read_text("utf-8")
    explained = Counter(re.findall(r"^\| `(NC-E\d{4})` \|", page, flags=re.M))
    assert sorted(used - set(explained)) == [], "missing in docs/errors.md"
    assert sorted(set(explained) - used) == [], "in docs/errors.md, but in no source"
    assert [found for found, n in explained.items() if n > 1] == []
    assert list(explained) == sorted(explained)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_readme_lists_every_command() -> None:
    from norcim_cli.registry import ENTRIES

    readme = (ROOT / "README.md").read_text("utf-8")
    assert [entry.name for entry in ENTRIES if f"| `{entry.name}` |" not in readme] == []


def test_every_decision_has_its_three_parts() -> None:
    for path in (ROOT / "docs" / "decisions").glob("*.md"):
        text = path.read_text("utf-8").lower()
        assert all(part in text for part in ("context", "decision", "consequences")), path.name
