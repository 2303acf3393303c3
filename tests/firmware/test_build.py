"""The library compiles without a warning, for the host and for the core."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.firmware import compiler


@pytest.mark.parametrize("source", compiler.sources(compiler.LIB), ids=lambda path: path.stem)
def test_compiles_for_the_core(source: Path, tmp_path: Path) -> None:
    target = str(tmp_path / "out.o")
    compiler.run(
        [*compiler.zig(), *compiler.STRICT, *compiler.RV32, "-c", str(source), "-o", target]
    )


def test_library_needs_no_c_library() -> None:
    """No heap, no standard I/O: only the headers that a free-standing compiler has."""
    allowed = {"stdbool.h", "stddef.h", "stdint.h"}
    for path in compiler.LIB.iterdir():
        lines = path.read_text("utf-8").splitlines()
        used = {line.split("<")[1].rstrip(">") for line in lines if line.startswith("#include <")}
        assert used <= allowed, path.name


def test_missing_compiler_skips_here_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="pip install ziglang"):
        compiler.zig()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="pip install ziglang"):
        compiler.zig()
