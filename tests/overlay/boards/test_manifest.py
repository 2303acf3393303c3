"""What a manifest counts as a design's sources, and the size of what is built."""

import subprocess
import sys
from pathlib import Path

import pytest

from norcim_overlay.boards import manifest
from norcim_overlay.boards.board import BOARDS, find_board

#: Loaded, but without a part in the design.
NOT_DESIGN = ("norcim/__init__.py", "norcim/errors.py", "norcim_overlay/__init__.py")


@pytest.fixture(params=BOARDS)
def board(request):
    return find_board(request.param)


def test_bitstream_is_of_full_size(board):
    assert board.config.sizes.n_lanes == 64
    assert board.config.sizes.n_weight_bytes >= 256 * 1024


def test_every_module_of_the_design_is_hashed(board):
    pytest.importorskip("amaranth_boards")
    script = (
        f"import sys, {board.design}\n"
        "for name, module in list(sys.modules.items()):\n"
        "    if name.split('.')[0] in ('norcim', 'norcim_overlay') and module.__file__:\n"
        "        print(module.__file__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    loaded = {Path(line) for line in done.stdout.splitlines()}
    hashed = {path.resolve() for path in manifest.gateware_files()}
    missing = [path for path in loaded if path.resolve() not in hashed]
    assert [p for p in missing if not p.as_posix().endswith(NOT_DESIGN)] == []
    assert len(hashed & {path.resolve() for path in loaded}) > 20


def test_hash_depends_on_names_folders_and_content(tmp_path):
    def make(folder, name, content):
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        return path

    files = [make("a", "x", "1"), make("b", "x", "1"), make("a", "y", "1"), make("a", "z", "2")]
    hashes = {manifest.hash_files([path]) for path in files}
    assert len(hashes) == len(files)
    assert manifest.hash_files(files) == manifest.hash_files(files[::-1])
    assert manifest.hash_files(files, b"more") != manifest.hash_files(files)
