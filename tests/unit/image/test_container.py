"""The container: round trip, damage in every place, limits, META, signatures, files."""

from __future__ import annotations

import hashlib
import random
import zlib
from pathlib import Path
from typing import Any

import pytest

import norcim.image.signature as signature_module
from norcim.errors import NorcimError
from norcim.image import (
    build_image,
    describe_image,
    looks_like_image,
    read_header,
    read_image,
    write_file,
)
from norcim.spec.image_format import (
    BYTE_FIELDS,
    HEADER_BYTES,
    MAX_META_BYTES,
    SECTION_TABLE_OFFSET,
    SectionKind,
)
from tests.unit.image.reseal import reseal
from tests.unit.image.sample import sample_content

IMAGE = build_image(sample_content())
SECTIONS = describe_image(IMAGE)


def _error(data: bytes, **options: Any) -> NorcimError:
    with pytest.raises(NorcimError) as caught:
        read_image(data, **options)
    return caught.value


def _flip(data: bytes, offset: int, bit: int = 0) -> bytes:
    damaged = bytearray(data)
    damaged[offset] ^= 1 << bit
    return bytes(damaged)


def test_round_trip_gives_the_same_content() -> None:
    assert read_image(IMAGE) == sample_content()


def test_empty_optional_sections_round_trip() -> None:
    content = sample_content(kat_input=b"", kat_output=b"", meta={})
    assert read_image(build_image(content)) == content


def test_same_content_gives_the_same_bytes() -> None:
    meta = dict(reversed(sample_content().meta.items()))
    assert build_image(sample_content(meta=meta)) == IMAGE


def test_known_layout() -> None:
    """Worked by hand from the reference page: what other readers rely on."""
    assert IMAGE[:4] == b"NCIM"
    assert IMAGE[4:8] == b"\1\0\0\0"
    assert int.from_bytes(IMAGE[16:20], "little") == len(IMAGE)
    assert IMAGE[28:33] == b"nor1\0"
    assert IMAGE[60:92] == b"\x5a" * 32
    hashed = IMAGE[:92] + bytes(100) + IMAGE[192:]
    assert IMAGE[96:128] == hashlib.sha256(hashed).digest()
    header = IMAGE[:92] + bytes(4) + IMAGE[96:352]
    assert int.from_bytes(IMAGE[92:96], "little") == zlib.crc32(header)
    weights = SECTIONS[4]
    assert (weights.name, weights.length) == ("WEIGHTS", 129)
    assert IMAGE[weights.offset : weights.offset + 129] == sample_content().weights
    assert SECTIONS[5].offset == weights.offset + 132


def test_header_is_readable_alone() -> None:
    assert read_header(IMAGE[:HEADER_BYTES]).total_bytes == len(IMAGE)


def test_a_model_is_not_taken_for_an_image() -> None:
    assert looks_like_image(IMAGE)
    assert not looks_like_image(b"\x08\x07\x12\x07pytorch")
    assert _error(b"\x08\x07\x12\x07pytorch").id == "NC-E0510"
    assert _error(b"").id == "NC-E0510"


BORDERS = sorted({0, 1, 3, HEADER_BYTES, *(s.offset for s in SECTIONS)} |
                 {s.offset + s.length for s in SECTIONS[:-1]})  # fmt: skip


@pytest.mark.parametrize("n_bytes", BORDERS)
def test_truncated_at_a_border(n_bytes: int) -> None:
    assert _error(IMAGE[:n_bytes]).id in ("NC-E0510", "NC-E0512")


def test_truncated_anywhere() -> None:
    rng = random.Random(1)
    for n_bytes in rng.sample(range(len(IMAGE)), 200):
        assert _error(IMAGE[:n_bytes]).id in ("NC-E0510", "NC-E0512")


def test_bytes_after_the_image() -> None:
    assert _error(IMAGE + b"\0").id == "NC-E0522"


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_flipped_bit_in_a_section_names_it(section: Any) -> None:
    for offset in (section.offset, section.offset + section.length - 1):
        error = _error(_flip(IMAGE, offset, 5))
        assert error.id == "NC-E0516"
        assert section.name in error.what


@pytest.mark.parametrize("place", BYTE_FIELDS, ids=lambda place: place.name)
def test_flipped_bit_in_a_byte_field(place: Any) -> None:
    for offset in (place.offset, place.end - 1):
        assert _error(_flip(IMAGE, offset)).id == "NC-E0513"


def test_flipped_bit_anywhere_in_the_header() -> None:
    known = {range(4): "NC-E0510", range(4, 8): "NC-E0511"}
    for offset in range(HEADER_BYTES):
        due = next((due for span, due in known.items() if offset in span), "NC-E0513")
        for bit in range(8):
            assert _error(_flip(IMAGE, offset, bit)).id == due


def test_flipped_bit_in_padding() -> None:
    weights = SECTIONS[4]
    assert _error(_flip(IMAGE, weights.offset + weights.length)).id == "NC-E0519"


def test_padding_is_covered_by_the_hash_too() -> None:
    """Whatever is changed, even with all CRCs made good, the SHA-256 notices."""
    changed = bytearray(IMAGE)
    changed[SECTIONS[4].offset] ^= 1
    assert _error(reseal(bytes(changed), sha=False)).id == "NC-E0517"


def test_another_abi_level_says_what_to_do() -> None:
    error = _error(IMAGE[:4] + b"\2" + IMAGE[5:])
    assert error.id == "NC-E0511"
    assert (error.expected, error.got) == ("1", "2")
    assert "compile" in error.fix


def _with_word(offset: int, value: int) -> bytes:
    changed = bytearray(IMAGE)
    changed[offset : offset + 4] = value.to_bytes(4, "little")
    return reseal(bytes(changed), sections=False)


@pytest.mark.parametrize(
    ("offset", "value", "id"),
    [
        (8, 2, "NC-E0514"),  # unknown flag
        (12, 65540, "NC-E0513"),  # header size
        (16, 2**32 - 1, "NC-E0518"),  # total size
        (16, len(IMAGE) + 4, "NC-E0512"),
        (20, 2**31, "NC-E0514"),  # number of sections
        (24, 2**32 - 1, "NC-E0543"),  # activation memory of 4 GiB
        (28, 0, "NC-E0514"),  # no chip name
        (SECTION_TABLE_OFFSET, 77, "NC-E0515"),  # unknown section
        (SECTION_TABLE_OFFSET + 4, 4, "NC-E0515"),  # overlap with the header
        (SECTION_TABLE_OFFSET + 8, 2**32 - 1, "NC-E0515"),  # length
        (SECTION_TABLE_OFFSET + 20, 2000, "NC-E0515"),  # hole before the second section
    ],
)
def test_header_that_was_made_wrong(offset: int, value: int, id: str) -> None:
    assert _error(_with_word(offset, value)).id == id


def test_unsigned_image_with_a_signature() -> None:
    changed = bytearray(IMAGE)
    changed[130] = 1
    assert _error(reseal(bytes(changed))).id == "NC-E0514"


def test_sections_swapped_in_the_table() -> None:
    changed = bytearray(IMAGE)
    first, second = SECTION_TABLE_OFFSET + 16 * 7, SECTION_TABLE_OFFSET + 16 * 8
    changed[first : first + 16], changed[second : second + 16] = (
        IMAGE[second : second + 16],
        IMAGE[first : first + 16],
    )
    assert _error(reseal(bytes(changed), sections=False)).id == "NC-E0515"


def _with_meta(meta: bytes) -> bytes:
    """The sample with META replaced by raw bytes, all sums made good."""
    offset = SECTIONS[-1].offset
    changed = bytearray(IMAGE[:offset] + meta + bytes(-len(meta) % 4))
    changed[16:20] = len(changed).to_bytes(4, "little")
    entry = SECTION_TABLE_OFFSET + 16 * (len(SectionKind) - 1)
    changed[entry + 8 : entry + 12] = len(meta).to_bytes(4, "little")
    return reseal(bytes(changed))


@pytest.mark.parametrize(
    "meta",
    [
        b"",
        b"[]",
        b"{",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e999}',
        b'{"a": 1}',
        b'{"b":1,"a":1}',
        b'{"a":1,"a":1}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":' + b"[" * 100 + b"]" * 100 + b"}",
        b"[" * 500_000,
        b'{"a":"' + b'\\"' * 500_000,
        b" " * (MAX_META_BYTES + 1),
    ],
    ids=lambda meta: meta[:12].decode(errors="replace"),
)
def test_metadata_that_is_refused(meta: bytes) -> None:
    assert _error(_with_meta(meta)).id == "NC-E0520"


def test_brackets_in_strings_are_not_nesting() -> None:
    content = sample_content(meta={"note": '[[[[[[[[[[[[[[[[[[[["\\ {{{{{{{{{{{{'})
    assert read_image(build_image(content)) == content


@pytest.mark.parametrize("meta", [{"a": float("nan")}, {"a": b"x"}, {"a": "x" * MAX_META_BYTES}])
def test_metadata_that_cannot_be_built(meta: dict[str, Any]) -> None:
    with pytest.raises(NorcimError, match="NC-E0520"):
        build_image(sample_content(meta=meta))


@pytest.mark.parametrize(
    "changes", [{"chip": ""}, {"chip": "x" * 33}, {"chip": "é"}, {"chip_hash": "5a"}]
)
def test_chip_that_cannot_be_stored(changes: dict[str, Any]) -> None:
    with pytest.raises(NorcimError, match="NC-E0530"):
        build_image(sample_content(**changes))


SIGN_KEY = bytes(range(32))


def _verify_key(sign_key: bytes = SIGN_KEY) -> bytes:
    module = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    return bytes(module.Ed25519PrivateKey.from_private_bytes(sign_key).public_key()
                 .public_bytes_raw())  # fmt: skip


def test_good_signature() -> None:
    key = _verify_key()
    signed = build_image(sample_content(), sign_key=SIGN_KEY)
    assert read_image(signed, verify_key=key) == sample_content()
    assert read_image(signed) == sample_content()
    assert build_image(sample_content(), sign_key=SIGN_KEY) == signed


def test_signature_of_another_key() -> None:
    signed = build_image(sample_content(), sign_key=SIGN_KEY)
    assert _error(signed, verify_key=_verify_key(bytes(32))).id == "NC-E0527"


def test_changed_image_with_an_old_signature() -> None:
    key = _verify_key()
    signed = bytearray(build_image(sample_content(), sign_key=SIGN_KEY))
    signed[SECTIONS[4].offset] ^= 1
    assert _error(reseal(bytes(signed)), verify_key=key).id == "NC-E0527"


def test_unsigned_image_when_a_key_is_set() -> None:
    assert _error(IMAGE, verify_key=_verify_key()).id == "NC-E0526"


def test_key_of_the_wrong_length() -> None:
    pytest.importorskip("cryptography")
    with pytest.raises(NorcimError, match="NC-E0528"):
        build_image(sample_content(), sign_key=b"short")


def test_missing_cryptography_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(signature_module, "import_module", refuse)
    with pytest.raises(NorcimError) as caught:
        build_image(sample_content(), sign_key=SIGN_KEY)
    assert caught.value.id == "NC-E0525"
    assert "norcim[sign]" in caught.value.fix


def test_file_is_not_overwritten_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a.cim"
    write_file(path, b"old")
    with pytest.raises(NorcimError, match="NC-E0560"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    write_file(path, b"new", overwrite=True)
    assert path.read_bytes() == b"new"
    assert [item.name for item in tmp_path.iterdir()] == ["a.cim"]


def test_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(NorcimError, match="NC-E0561"):
        write_file(tmp_path / "missing" / "a.cim", b"x")
    assert not list(tmp_path.iterdir())


def test_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.cim"
    write_file(path, b"old")

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("norcim.image.files.os.fsync", fail)
    with pytest.raises(NorcimError, match="No space left"):
        write_file(path, b"new", overwrite=True)
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["a.cim"]
