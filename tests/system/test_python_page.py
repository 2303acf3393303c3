"""The Python page runs as it stands."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_examples_of_the_python_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("kws.onnx", "calib.npz", "clips/yes_01.wav"):
        shutil.copy(ROOT / "models" / "kws" / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "python.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.S)
    assert len(blocks) == 4
    exec(compile("\n".join(blocks), "docs/python.md", "exec"), {})  # noqa: S102
