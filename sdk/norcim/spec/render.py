"""Write what is generated from `norcim.spec`, or check that it is fresh.

python -m norcim.spec.render            write
python -m norcim.spec.render --check    exit 1 if a committed file is stale
"""

from __future__ import annotations

import sys
from pathlib import Path

from norcim.spec import render_c, render_docs

COMMAND = "python -m norcim.spec.render"
BANNER = f"generated, do not edit; renew with: {COMMAND}"
HEADER_PATH = "firmware/include/generated/norcim_spec.h"


def render_c_header() -> str:
    """The C header of constants, enumerations, record accessors and registers."""
    return render_c.render_c_header(BANNER)


def render_reference() -> dict[str, str]:
    """The reference pages by path from the repository's root."""
    return render_docs.render_reference(BANNER)


def stale_files(root: Path) -> list[str]:
    """Paths of generated files under `root` that are missing or differ."""
    return [
        path
        for path, text in _render_all().items()
        if not (root / path).is_file() or (root / path).read_text("utf-8") != text
    ]


def main(arguments: list[str]) -> int:
    """Entry point; returns the exit code."""
    root = Path(__file__).resolve().parents[3]
    if arguments not in ([], ["--check"]) or not (root / "pyproject.toml").is_file():
        sys.stderr.write(f"usage, in a clone of the repository: {COMMAND} [--check]\n")
        return 2
    stale = stale_files(root)
    if arguments == ["--check"]:
        for path in stale:
            sys.stderr.write(f"{path} is stale; renew with: {COMMAND}\n")
        return 1 if stale else 0
    for path, text in _render_all().items():
        if path in stale:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, "utf-8", newline="\n")
            sys.stderr.write(f"wrote {path}\n")
    return 0


def _render_all() -> dict[str, str]:
    return {HEADER_PATH: render_c_header(), **render_reference()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
