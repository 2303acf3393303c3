"""Building into a folder, with stand-ins for the tools: seeds, firmware alone, what is refused."""

import pytest

from norcim.errors import NorcimError
from norcim_overlay.boards import flow, manifest, ram_content, release
from norcim_overlay.boards.board import find_board
from tests.overlay.boards.blocks import config_of

RATES = {1: 20.0, 2: 56.5, 3: 52.0}


class Tools:
    """Counts what is called, and answers as the tools do."""

    def __init__(self):
        self.design, self.firmware, self.placed = "one", b"firmware", []

    def elaborate(self, board, folder):
        (folder / "top.il").write_text(self.design)

    def synthesise(self, folder):
        return {"LUT4": 7}

    def place_and_route(self, board, folder, seed):
        self.placed.append(seed)
        pattern = ram_content.pattern(board.config.n_ram_bytes)
        (folder / f"seed-{seed}.config").write_text(config_of(pattern, 9) + f".comment {seed}\n")
        return flow.Placed(seed, {"clk": RATES[seed] * 1e6}, {"DP16KD": 16})

    def pack(self, board, folder, config, name):
        (folder / f"{name}.bit").write_text(config)
        return folder / f"{name}.bit"

    def unpack(self, bitstream, folder):
        return bitstream.read_text()


@pytest.fixture
def tools(monkeypatch):
    made = Tools()
    for name in ("elaborate", "synthesise", "place_and_route", "pack", "unpack"):
        monkeypatch.setattr(flow, name, getattr(made, name))
    monkeypatch.setattr(release, "build_firmware", lambda n_ram_bytes: made.firmware)
    return made


def build(folder, seeds=(1, 2, 3), **options):
    board, said = find_board("ulx3s-85f"), []
    made = release.build(board, folder, seeds, lambda *step: said.append(step), **options)
    return made, said, (folder / "ulx3s-85f.bit").read_text()


def content(made, text):
    ram = made["placed"]["ram"]
    places = ram_content.Places(ram["bytes"], tuple(map(tuple, ram["rows"])))
    return ram_content.read(text, places)


def test_fastest_seed_is_taken_and_holds_the_firmware(tools, tmp_path):
    made, said, text = build(tmp_path)
    assert tools.placed == [1, 2, 3]
    assert made["placed"]["seed"] == 2
    assert made["placed"]["seeds_mhz"] == {"1": 20.0, "2": 56.5, "3": 52.0}
    assert ".comment 2" in text
    assert content(made, text).rstrip(b"\0") == b"firmware"
    assert [done for _, done, _ in said] == sorted(done for _, done, _ in said)
    assert said[-1][1] == said[-1][2]
    assert manifest.read_manifest(tmp_path) == made


def test_other_firmware_alone_is_not_placed_again(tools, tmp_path):
    first, _, before = build(tmp_path)
    tools.firmware = b"another firmware"
    second, _, after = build(tmp_path, [2])
    assert tools.placed == [1, 2, 3]
    assert second["placed"]["seed"] == 2
    assert second["firmware"] != first["firmware"]
    assert content(second, after).rstrip(b"\0") == b"another firmware"
    assert after != before


@pytest.mark.parametrize("change", ["design", "seed", "file", "rebuild"])
def test_what_makes_it_place_again(tools, tmp_path, change):
    build(tmp_path, [2])
    tools.placed.clear()
    if change == "design":
        tools.design = "two"
    if change == "file":
        with (tmp_path / "ulx3s-85f.bit").open("a") as file:
            file.write("damage")
    seed = 3 if change == "seed" else 2
    build(tmp_path, [seed], rebuild=change == "rebuild")
    assert tools.placed == [seed]


def test_design_that_is_too_slow_is_refused(tools, tmp_path):
    with pytest.raises(NorcimError) as error:
        build(tmp_path, [1])
    assert error.value.id == "NC-E0653"
    assert not (tmp_path / "manifest.json").exists()


def test_seed_of_the_release_is_the_default(tools, tmp_path, monkeypatch):
    folder = tmp_path / "release"
    build(folder, [3])
    monkeypatch.setattr(manifest, "release_folder", lambda board: folder)
    made, _, _ = build(tmp_path / "other", [])
    assert made["placed"]["seed"] == 3
