"""Mutated requests, seeded: no crash, no undefined behaviour, answers in whole frames."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from norcim.image import build_image
from tests.firmware import compiler
from tests.unit.image.sample import sample_content


@pytest.fixture(scope="module")
def sources() -> list[Path]:
    found = compiler.sources(compiler.LIB)
    return [*found, compiler.HOST / "file_flash.c", compiler.TESTS / "fuzz.c"]


@pytest.fixture(scope="module")
def image(build_folder: Path) -> Path:
    path = build_folder / "fuzz.cim"
    path.write_bytes(build_image(sample_content()))
    return path


def _fuzz(program: Path, image: Path, seed: int, n: int) -> None:
    done = subprocess.run(
        [program, str(seed), str(n), image],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > n // 100  # requests that succeeded


@pytest.mark.slow
def test_under_the_undefined_behaviour_sanitizer(
    build_folder: Path, sources: list[Path], image: Path
) -> None:
    program = compiler.compile_host(build_folder / "fuzz", sources)
    for seed in range(3):
        _fuzz(program, image, seed, 30_000)


@pytest.mark.slow
def test_under_the_address_sanitizer(build_folder: Path, sources: list[Path], image: Path) -> None:
    """ziglang brings no runtime for it, so a system compiler has to."""
    found = shutil.which("gcc") or shutil.which("clang")
    if found is None:
        pytest.skip("no gcc or clang: apt install gcc (ziglang has no address sanitizer)")
    program = build_folder / "fuzz-asan"
    options = [*compiler.STRICT, "-O1", "-g", "-fsanitize=address,undefined"]
    command = [found, *options, "-fno-sanitize-recover=all", *compiler.POSIX]
    compiler.run([*command, *map(str, sources), "-o", str(program)])
    for seed in (10, 11):
        _fuzz(program, image, seed, 30_000)
