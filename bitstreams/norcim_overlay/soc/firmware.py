"""Builds the firmware for the SoC with the compiler of the ziglang package."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from norcim import __version__
from norcim.chips import load_chip
from norcim.spec.protocol import PAGE_BYTES, SLOT_RANGE_WORDS
from norcim_overlay.sim.toolchain import cache_folder

CHIP = "overlay"
FOLDERS = ("lib", "hal/overlay", "app")
LEFT_OUT = ("nc_sha256_compress.c",)  # the SoC has hardware for it: hal/overlay/nc_hash.c
FAST = ("nc_crc32.c", "nc_sha256.c", "nc_hash.c", "nc_frame.c", "nc_nor.c")  # where the time goes
MIN_STACK_BYTES = 2112  # what a known-answer test of a softmax needs; tests add it up
LOG_BYTES = 512
PAYLOAD_BYTES = 4 * SLOT_RANGE_WORDS + PAGE_BYTES  # a WRITE of one page
TARGET = ("-target", "riscv32-freestanding", "-mcpu=generic_rv32+m+zicsr", "-mabi=ilp32")
OPTIONS = ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-ffreestanding",
           "-ffunction-sections", "-fdata-sections", "-fno-sanitize=all", "-fno-builtin",
           "-fno-stack-protector", "-fomit-frame-pointer",
           f"-DNC_PAYLOAD_BYTES={PAYLOAD_BYTES}u", f"-DNC_LOG_BYTES={LOG_BYTES}u")  # fmt: skip


def source_folder() -> Path:
    """Where the C sources are: in the installed package, or in a clone."""
    installed = Path(__file__).parents[1] / "firmware"
    return installed if installed.is_dir() else Path(__file__).parents[3] / "firmware"


def build_firmware(n_ram_bytes: int = 32 << 10, chip: str = CHIP) -> bytes:
    """The content of the CPU's memory from address 0 on, out of the cache if nothing changed.

    n_ram_bytes  that the code, its data and at least MIN_STACK_BYTES of stack have to fit into
    chip         file whose name and hash the device answers
    Raises RuntimeError with what the compiler says, or if there is none.
    """
    sources = _read_sources()
    header = chip_header(chip)
    digest = hashlib.sha256(repr((sources, header, n_ram_bytes, TARGET, OPTIONS, FAST)).encode())
    path = cache_folder() / f"firmware-{digest.hexdigest()[:16]}.bin"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            elf = link_firmware(Path(folder), n_ram_bytes, header)
            binary = elf.with_suffix(".bin")
            _zig("objcopy", ["-O", "binary", elf.name, binary.name], elf.parent)
            binary.replace(path)
    return path.read_bytes()


def chip_header(chip: str) -> str:
    """nc_chip.h: what the build knows and the sources do not."""
    found = load_chip(chip)
    name = found.name.encode().ljust(32, b"\0")
    version = [int(part) for part in __version__.split(".")[:3]]
    packed = version[0] << 16 | version[1] << 8 | version[2]
    return "".join([
        f"#define NC_CHIP_NAME {_c_bytes(name)}\n",
        f"#define NC_CHIP_HASH {_c_bytes(bytes.fromhex(found.fingerprint))}\n",
        f"#define NC_FIRMWARE_VERSION 0x{packed:06x}u\n",
    ])  # fmt: skip


def link_firmware(folder: Path, n_ram_bytes: int, header: str) -> Path:
    """Compile and link in an empty folder; returns the ELF file."""
    root = source_folder()
    (folder / "nc_chip.h").write_text(header)
    files = [path for name in FOLDERS for path in sorted((root / name).glob("*.[cS]"))]
    files = [path for path in files if path.name not in LEFT_OUT]
    include = ["-I.", f"-I{root / 'app'}"]
    small = ("-Os", "-mllvm", "-enable-machine-outliner=always")  # repeated code becomes calls
    for level, chosen in (
        (("-O2",), [path for path in files if path.name in FAST]),
        (small, [path for path in files if path.name not in FAST]),
    ):
        _zig("cc", [*TARGET, *OPTIONS, *include, *level, "-c", *map(str, chosen)], folder)
    objects = sorted(path.name for path in folder.glob("*.o"))
    symbols = {"NC_RAM_BYTES": n_ram_bytes, "NC_STACK_BYTES": MIN_STACK_BYTES}
    defined = "".join(f"{name} = {value};\n" for name, value in symbols.items())
    (folder / "link.ld").write_text(defined + (root / "app" / "link.ld").read_text("utf-8"))
    options = ["-Os", "-g", "-nostdlib", "-Wl,--gc-sections", "-T", "link.ld"]
    _zig("cc", [*TARGET, *options, *objects, "-o", "firmware.elf"], folder)
    return folder / "firmware.elf"


def _read_sources() -> list[tuple[str, bytes]]:
    root = source_folder()
    folders = (*FOLDERS, "include/generated")
    paths = [path for name in folders for path in sorted((root / name).iterdir())]
    return [(path.name, path.read_bytes()) for path in paths]


def _c_bytes(data: bytes) -> str:
    return "{" + ", ".join(f"0x{byte:02x}" for byte in data) + "}"


def _zig(tool: str, arguments: Sequence[str], folder: Path) -> None:
    if find_spec("ziglang") is None:
        raise RuntimeError("no compiler: pip install ziglang")
    command = [sys.executable, "-m", "ziglang", tool, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"zig {tool} failed:\n{done.stdout}{done.stderr}")
