"""Planted faults: the finder names the right descriptor, tile, column and position."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from norcim.analysis.divergence import Comparison, compare_device, compare_emulator, tile_sites
from norcim.analysis.reproduction import from_arrays, replay, reproduce, to_arrays
from norcim.emulator import Emulator
from norcim.emulator.regions import Bytes, output_region
from norcim.errors import NorcimError
from norcim.image import ImageContent, build_image
from norcim.spec.program import Opcode
from norcim.transport import EmulatedDevice
from tests.conformance.programs import random_program
from tests.unit.image.sample import sample_content

CONTENT = sample_content()
INPUTS = [np.random.default_rng(3).integers(0, 256, (5, 4, 4, 2), np.uint8)]
MakeEngine = Callable[[ImageContent], Any]


def _quiet(_step: str, _done: int, _total: int) -> None:
    """No progress shown."""


def _device(content: ImageContent = CONTENT, make_engine: MakeEngine = Emulator) -> EmulatedDevice:
    device = EmulatedDevice(make_engine=make_engine)
    device.write(0, build_image(content))
    device.load(0)
    return device


def _compare(make_engine: MakeEngine) -> Comparison:
    with _device(make_engine=make_engine) as device:
        return compare_device(CONTENT, device, INPUTS, _quiet)


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]


def _other(**changes: Any) -> MakeEngine:
    """A device whose memories hold something else than the image."""
    return lambda content: Emulator(replace(content, **changes))


def test_a_device_that_is_right() -> None:
    found = _compare(Emulator)
    n_bytes = sum(d.out_h * d.out_w * d.out_c for d in CONTENT.program[:-1])
    assert found == Comparison(5, 8, 5 * n_bytes, (0,), None)


def test_flipped_weight_of_a_whole_column() -> None:
    """Byte 113 is row 2 of tile 2, the only tile of channel 3."""
    found = _compare(_other(weights=_flip(CONTENT.weights, 113)))
    assert found.evidence is not None
    place = found.evidence.divergence
    assert (place.machine, place.descriptor, place.opcode) == ("device", 0, "MVM")
    assert [(site.tile, site.array, site.column) for site in place.tiles] == [(2, 0, 210)]
    assert place.channels == (3,)
    assert place.position is not None
    assert place.position[2] == 3
    assert place.inputs_same
    y, x, c = place.position
    assert (place.expected, place.got) == (
        found.evidence.expected[y, x, c], found.evidence.got[y, x, c],
    )  # fmt: skip
    assert place.expected != place.got


def test_flipped_weight_of_a_partial_sum_names_all_its_tiles() -> None:
    """Byte 63 is row 0, column 0 of tile 1, which adds to tile 0."""
    found = _compare(_other(weights=_flip(CONTENT.weights, 63)))
    assert found.evidence is not None
    place = found.evidence.divergence
    assert place.descriptor == 0
    assert [(site.tile, site.row, site.column) for site in place.tiles] == [
        (0, 0, 200), (1, 20, 200),
    ]  # fmt: skip
    assert place.channels == (0,)


def test_tiles_of_each_channel() -> None:
    assert [[s.tile for s in tile_sites(CONTENT, 0, c)] for c in range(4)] == [
        [0, 1], [0, 1], [0, 1], [2],
    ]  # fmt: skip
    assert tile_sites(CONTENT, 1, 0) == ()


def test_flipped_column_vector_weight_and_table() -> None:
    columns = list(CONTENT.columns)
    index = CONTENT.program[1].column_base + 2
    columns[index] = replace(columns[index], bias=columns[index].bias + 4000)
    assert CONTENT.program[1].use_table
    faults = (
        (_other(columns=tuple(columns)), 1, (2,)),
        (_other(vector_weights=_flip(CONTENT.vector_weights, 5)), 1, (1,)),
        (_other(tables=bytes(value ^ 2 for value in CONTENT.tables)), 1, None),
    )
    for make_engine, descriptor, channels in faults:
        found = _compare(make_engine)
        assert found.evidence is not None
        place = found.evidence.divergence
        assert place.descriptor == descriptor
        assert place.tiles == ()
        assert channels is None or place.channels == channels


class _Faulty(Emulator):
    """A machine with a fault in every descriptor of one opcode."""

    opcode = Opcode.MVM

    def spoil(self, out: Bytes, memory: Bytes) -> None:
        out[..., 1] ^= 8

    def step(self, index: int, memory: Bytes) -> None:
        super().step(index, memory)
        d = self.content.program[index]
        if d.opcode == self.opcode:
            self.spoil(output_region(d).view(memory), memory)


def test_a_stuck_lane() -> None:
    found = _compare(_Faulty)
    assert found.evidence is not None
    place = found.evidence.divergence
    assert (place.descriptor, place.channels) == (0, (1,))
    assert place.n_different == place.n_bytes // 4
    assert place.expected ^ place.got == 8
    assert found.by_output == (0,)  # the fault is in single steps alone


def test_a_store_beside_the_output_is_found_where_it_is_read() -> None:
    class Stray(_Faulty):
        opcode = Opcode.DWCONV

        def spoil(self, out: Bytes, memory: Bytes) -> None:
            memory[0, : CONTENT.program[0].out_addr] ^= 1

    class Stray2(_Faulty):
        """The table lookup spoils what the sum reads as its first input."""

        opcode = Opcode.TABLE

        def spoil(self, out: Bytes, memory: Bytes) -> None:
            memory[0, CONTENT.program[4].in_addr] ^= 1

    assert _compare(Stray).evidence is None  # nobody reads it any more
    found = _compare(Stray2)
    assert found.evidence is not None
    place = found.evidence.divergence
    assert (place.descriptor, place.opcode, place.inputs_same) == (4, "ADD", False)


def test_a_difference_that_comes_once() -> None:
    class Once(_Faulty):
        n_left = 1

        def spoil(self, out: Bytes, memory: Bytes) -> None:
            if self.n_left:
                out[...] ^= 1
            self.n_left = 0

    found = _compare(Once)
    assert found.evidence is not None
    place = found.evidence.divergence
    assert (place.descriptor, place.position, place.n_different) == (0, None, 0)


def test_a_difference_of_a_run_in_one_go() -> None:
    class Hasty(Emulator):
        def run(self, inputs: Any, **options: Any) -> Any:
            return [array ^ 1 for array in super().run(inputs, **options)]

    found = _compare(Hasty)
    assert found.by_output == (20,)
    assert found.evidence is not None
    place = found.evidence.divergence
    assert (place.descriptor, place.opcode, place.whole_run) == (7, "MAXPOOL", True)
    saved = reproduce(CONTENT, found.evidence)
    with _device(make_engine=Hasty) as device:
        assert replay(saved, device) == {"golden": 0, "emulator": 0, "device": 4}


def test_the_emulator_may_be_the_one_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Emulator.run_layers

    def wrong(self: Emulator, inputs: Any) -> Any:
        layers = honest(self, inputs)
        layers[2] = layers[2] ^ 1
        return layers

    assert compare_emulator(CONTENT, INPUTS, _quiet).evidence is None
    monkeypatch.setattr(Emulator, "run_layers", wrong)
    with _device() as device:
        for found in (
            compare_emulator(CONTENT, INPUTS, _quiet),
            compare_device(CONTENT, device, INPUTS, _quiet),
        ):
            assert found.evidence is not None
            place = found.evidence.divergence
            assert (place.machine, place.sample, place.descriptor) == ("emulator", 0, 2)


def test_reproduction_is_the_descriptor_alone(tmp_path: Path) -> None:
    fault = _other(weights=_flip(CONTENT.weights, 113))
    found = _compare(fault)
    assert found.evidence is not None
    path = tmp_path / "difference.npz"
    np.savez(path, **to_arrays(reproduce(CONTENT, found.evidence), found.evidence))  # type: ignore[arg-type]
    with np.load(path) as arrays:
        saved = from_arrays(dict(arrays))
    assert len(saved.image) < len(build_image(CONTENT))
    assert saved.about["descriptor"] == 0
    assert replay(saved) == {"golden": 0, "emulator": 0}
    with EmulatedDevice(make_engine=fault) as device:
        device.write(0, saved.image)
        device.load(0)
        assert replay(saved, device)["device"] > 0
    with EmulatedDevice() as device:
        device.write(0, saved.image)
        device.activate(0)  # it carries its own known answer
        assert replay(saved, device)["device"] == 0


@pytest.mark.parametrize("seed", range(24))
def test_any_descriptor_can_be_cut_out(seed: int) -> None:
    """Whatever the opcode: the cut image is legal and gives the bytes that the program gives."""
    content, inputs = random_program(seed, firmware=seed >= 16)
    one = [array[:1] for array in inputs]
    for index in range(len(content.program) - 1):

        class Wrong(Emulator):
            at = index

            def step(self, index: int, memory: Bytes) -> None:
                super().step(index, memory)
                if index == self.at:
                    output_region(self.content.program[index]).view(memory)[...] ^= 1

        with _device(content, Wrong) as device:
            found = compare_device(content, device, one, _quiet)
        assert found.evidence is not None
        assert found.evidence.divergence.descriptor == index
        saved = reproduce(content, found.evidence)
        assert replay(saved) == {"golden": 0, "emulator": 0}
        with EmulatedDevice() as device:
            device.write(0, saved.image)
            device.activate(0)
            assert device.step(0, 9)


def test_another_file_is_no_difference() -> None:
    with pytest.raises(NorcimError) as caught:
        from_arrays({"x": np.zeros(3)})
    assert (caught.value.id, caught.value.exit_code) == ("NC-E0907", 2)
