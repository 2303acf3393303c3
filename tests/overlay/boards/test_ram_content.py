"""Finding and replacing the content of a memory in a placed design."""

import numpy as np
import pytest

from norcim_overlay.boards import ram_content
from norcim_overlay.boards.ram_content import Places
from tests.overlay.boards.blocks import config_of

N_BYTES = 8192


@pytest.mark.parametrize("width", [1, 2, 4, 9, 18, 36])
def test_content_is_found_replaced_and_read_at_every_width(width):
    before = ram_content.pattern(N_BYTES)
    after = np.random.default_rng(width).bytes(N_BYTES - 100)
    config = config_of(before, width)
    places = ram_content.find(config, before)
    assert ram_content.read(config, places) == before
    changed = ram_content.replace(config, places, after)
    assert ram_content.read(changed, places) == after + bytes(100)
    assert ram_content.replace(changed, places, before) == config


def test_other_text_and_other_blocks_stay():
    before = ram_content.pattern(N_BYTES)
    other = config_of(np.random.default_rng(1).bytes(N_BYTES), 9, first=50)
    config = config_of(before, 9) + other
    places = ram_content.find(config, before)
    changed = ram_content.replace(config, places, bytes(N_BYTES))
    assert changed.endswith(other)
    assert changed.startswith(".device LFE5U-85F\n")


def test_missing_content_is_an_error():
    config = config_of(bytes(N_BYTES), 9)
    with pytest.raises(ValueError, match="0 of 128 slices"):
        ram_content.find(config, ram_content.pattern(N_BYTES))


def test_content_found_twice_is_an_error():
    before = ram_content.pattern(N_BYTES)
    config = config_of(before, 9) + config_of(before, 9, first=50)
    with pytest.raises(ValueError, match="is in block RAM"):
        ram_content.find(config, before)


def test_content_that_is_too_long_is_an_error():
    before = ram_content.pattern(N_BYTES)
    config = config_of(before, 9)
    places = ram_content.find(config, before)
    assert isinstance(places, Places)
    with pytest.raises(ValueError, match="do not fit"):
        ram_content.replace(config, places, bytes(N_BYTES + 1))
