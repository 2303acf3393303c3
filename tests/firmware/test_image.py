"""The image check in C: it takes what read_image takes and refuses what that refuses."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from norcim.chips import load_chip
from norcim.emulator.device import DeviceModel
from norcim.emulator.flash import DeviceFault, NorFlash
from norcim.image import build_image, describe_image
from norcim.spec.error_codes import DeviceError
from norcim.spec.protocol import FrameType
from tests.firmware.native import Library, NativeDevice, make_config, words
from tests.unit.image.reseal import reseal
from tests.unit.image.sample import sample_content, two_networks

IMAGE = build_image(sample_content())
SECTIONS = describe_image(IMAGE)
N_SECTORS = 7


def _codes(lib: Library, image: bytes, chip: Any = None) -> tuple[DeviceError, DeviceError]:
    """What the device model and the firmware say of an image in slot 1."""
    flash = NorFlash(N_SECTORS)
    model = DeviceModel(flash, chip, slot_sectors=2)
    start = 5 * 4096
    flash.data[start : start + len(image[:8192])] = image[:8192]
    device = NativeDevice(lib, flash, make_config(2, chip))
    answer = device.request(FrameType.VERIFY, words(1, 0, 0))
    assert answer is not None
    if answer.status == 0:
        assert answer.payload == image[96:128]
    try:
        model.check(1)
    except DeviceFault as fault:
        return fault.code, DeviceError(answer.status)
    return DeviceError.OK, DeviceError(answer.status)


@pytest.mark.parametrize(
    "changes",
    [{}, {"kat_input": b"", "kat_output": b"", "meta": {}}, {"meta": {"x": "y" * 5000}},
     {"weights": bytes(131)}, {"weights": bytes(512)}],
)  # fmt: skip
def test_good_images(lib: Library, changes: dict[str, Any]) -> None:
    codes = _codes(lib, build_image(sample_content(**changes)))
    assert codes == (DeviceError.OK, DeviceError.OK)


def test_signed_image(lib: Library) -> None:
    pytest.importorskip("cryptography")
    image = build_image(sample_content(), sign_key=bytes(32))
    assert _codes(lib, image) == (DeviceError.OK, DeviceError.OK)


def test_blank_slot(lib: Library) -> None:
    assert _codes(lib, b"") == (DeviceError.NO_IMAGE, DeviceError.NO_IMAGE)


def test_every_flipped_bit_of_the_header_and_samples_of_the_rest(lib: Library) -> None:
    rng = random.Random(1)
    places = [(offset, rng.randrange(8)) for offset in range(352)]
    places += [(rng.randrange(352, len(IMAGE)), rng.randrange(8)) for _ in range(200)]
    for section in SECTIONS:
        places += [(section.offset, 0), (section.offset + section.length - 1, 7)]
    places.append((SECTIONS[4].offset + SECTIONS[4].length, 3))  # padding
    for offset, bit in places:
        image = bytearray(IMAGE)
        image[offset] ^= 1 << bit
        model, firmware = _codes(lib, bytes(image))
        assert model == firmware != DeviceError.OK, (offset, bit)


def test_truncated_image(lib: Library) -> None:
    rng = random.Random(2)
    for n in (3, 4, 91, 351, 352, *rng.sample(range(352, len(IMAGE)), 40)):
        model, firmware = _codes(lib, IMAGE[:n])
        assert model == firmware != DeviceError.OK, n


WORDS = [
    (8, 2), (12, 65540), (16, 2**32 - 1), (16, len(IMAGE) + 4), (16, 8196), (16, 0), (20, 2**31),
    (24, 2**32 - 1), (24, 64), (28, 0), (192, 77), (196, 4), (200, 2**32 - 1), (200, 0),
    (208, 1), (212, 2000), (216, 2**31),
]  # fmt: skip


@pytest.mark.parametrize(("offset", "value"), WORDS)
def test_header_that_was_made_wrong(lib: Library, offset: int, value: int) -> None:
    image = bytearray(IMAGE)
    image[offset : offset + 4] = value.to_bytes(4, "little")
    model, firmware = _codes(lib, reseal(bytes(image), sections=False))
    assert model == firmware != DeviceError.OK


WEIGHTS = SECTIONS[4]


@pytest.mark.parametrize(
    ("offset", "options"),
    [
        (WEIGHTS.offset, {"sections": False}),  # the section's CRC alone tells
        (WEIGHTS.offset, {"sha": False}),  # the SHA-256 alone
        (WEIGHTS.offset + WEIGHTS.length, {}),  # padding: neither
    ],
    ids=["crc", "sha", "padding"],
)
def test_damage_that_one_check_alone_finds(
    lib: Library, offset: int, options: dict[str, bool]
) -> None:
    image = bytearray(IMAGE)
    image[offset] ^= 1
    model, firmware = _codes(lib, reseal(bytes(image), **options))
    assert model == firmware == DeviceError.IMAGE_DAMAGED


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("addr", "code"), [(124, "OK"), (125, "IMAGE_DAMAGED")])
def test_port_that_ends_at_the_memory(lib: Library, addr: int, code: str) -> None:
    """Four bytes in a memory of 128."""
    content = sample_content()
    ports = (content.ports[0], replace(content.ports[1], addr=addr))
    model, firmware = _codes(lib, build_image(replace(content, ports=ports)))
    assert model == firmware == DeviceError[code]


@pytest.mark.parametrize("index", range(4))
def test_reserved_bits_of_records(lib: Library, index: int) -> None:
    place = (28 * 4 + 1, 7 * 4 + 1, 4 + 3, 11 * 4)[index]
    image = bytearray(IMAGE)
    image[SECTIONS[index].offset + place] ^= 0x80
    codes = _codes(lib, reseal(bytes(image)))
    assert codes == (DeviceError.IMAGE_DAMAGED, DeviceError.IMAGE_DAMAGED)


def test_unsigned_image_with_a_signature(lib: Library) -> None:
    image = bytearray(IMAGE)
    image[130] = 1
    model, firmware = _codes(lib, reseal(bytes(image)))
    assert model == firmware == DeviceError.IMAGE_DAMAGED


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """build_image builds what is not legal."""
    monkeypatch.setattr("norcim.image.build.check_program", lambda content: None)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("field", ["h", "w", "c", "addr", "row_stride", "pixel_stride"])
@pytest.mark.parametrize("port", [0, 1])
def test_port_outside_the_memory(lib: Library, field: str, port: int) -> None:
    content = sample_content()
    ports = list(content.ports)
    size = 65535 if field in "hwc" else 2**32 - 1
    ports[port] = replace(ports[port], **{"h": 2, "w": 2, field: size})
    image = build_image(replace(content, ports=tuple(ports), kat_input=b"", kat_output=b""))
    model, firmware = _codes(lib, image)
    assert model == firmware == DeviceError.IMAGE_DAMAGED


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("case", ["none", "outputs first", "no output", "empty"])
def test_ports_that_are_wrong(lib: Library, case: str) -> None:
    content = sample_content()
    a, b = content.ports
    ports = {"none": (), "outputs first": (b, a), "no output": (a,), "empty": (replace(a, h=0), b)}
    model, firmware = _codes(lib, build_image(replace(content, ports=ports[case])))
    assert model == firmware == DeviceError.IMAGE_DAMAGED


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("firsts", [(0, 9), (0, 8), (0, 17), (0, 18), (9, 9), (9, 0), (3, 9)])
def test_ports_of_several_networks(lib: Library, firsts: tuple[int, int]) -> None:
    content = two_networks()
    ports = tuple(
        replace(port, first=firsts[index // 2]) for index, port in enumerate(content.ports)
    )
    model, firmware = _codes(lib, build_image(replace(content, ports=ports)))
    assert model == firmware == DeviceError["OK" if firsts == (0, 9) else "IMAGE_DAMAGED"]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("order", [(2, 3, 0, 1), (0, 2, 1, 3), (0, 1, 3, 2), (0, 1, 2), (1, 2, 3)])
def test_ports_of_networks_out_of_order(lib: Library, order: tuple[int, ...]) -> None:
    content = two_networks()
    ports = tuple(content.ports[index] for index in order)
    model, firmware = _codes(lib, build_image(replace(content, ports=ports)))
    assert model == firmware == DeviceError.IMAGE_DAMAGED


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("changes", [{"kat_input": bytes(63)}, {"kat_output": bytes(12)}])
def test_known_answers_that_are_cut(lib: Library, changes: dict[str, bytes]) -> None:
    model, firmware = _codes(lib, build_image(sample_content(**changes)))
    assert model == firmware == DeviceError.IMAGE_DAMAGED


def test_chip_and_its_memories(lib: Library) -> None:
    nor1 = load_chip("nor1")
    image = build_image(sample_content(chip="nor1", chip_hash=nor1.fingerprint))
    assert _codes(lib, image, nor1) == (DeviceError.OK, DeviceError.OK)
    other = _codes(lib, image, load_chip("overlay"))
    assert other == (DeviceError.WRONG_CHIP, DeviceError.WRONG_CHIP)
    changed = _codes(lib, IMAGE, nor1)
    assert changed == (DeviceError.WRONG_CHIP, DeviceError.WRONG_CHIP)
    for name in vars(nor1.memories):
        small = replace(nor1, memories=replace(nor1.memories, **{name: 1}))
        codes = _codes(lib, image, small)
        assert codes == (DeviceError.DOES_NOT_FIT, DeviceError.DOES_NOT_FIT), name
    for n_bytes, code in ((145, DeviceError.OK), (144, DeviceError.DOES_NOT_FIT)):
        # 129 bytes of cells and 16 of the vector path share one memory
        shared = replace(nor1, memories=replace(nor1.memories, weight_bytes=n_bytes))
        assert _codes(lib, image, shared) == (code, code)
