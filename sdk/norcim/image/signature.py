"""Ed25519 signatures of images, through `cryptography` (extra `sign`)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from norcim.errors import EXIT_USAGE, NorcimError
from norcim.spec.image_format import SIGNATURE_DOMAIN

KEY_BYTES = 32
_MODULE = "hazmat.primitives.asymmetric.ed25519"


def _cryptography(module: str) -> Any:
    """A module of `cryptography`, imported only when a key is used."""
    try:
        return import_module(f"cryptography.{module}")
    except ImportError:
        raise NorcimError(
            "NC-E0525", "signatures need the package `cryptography`",
            fix="pip install 'norcim[sign]'", exit_code=EXIT_USAGE,
        ) from None  # fmt: skip


def _check_key(key: bytes, kind: str) -> None:
    if len(key) != KEY_BYTES:
        raise NorcimError(
            "NC-E0528", f"the {kind} key is no raw Ed25519 key", expected=f"{KEY_BYTES} bytes",
            got=f"{len(key)} bytes", fix="give the 32 raw bytes of the key", exit_code=EXIT_USAGE,
        )  # fmt: skip


def sign_digest(digest: bytes, sign_key: bytes) -> bytes:
    """The 64-byte signature of an image's SHA-256 under a raw 32-byte private key."""
    _check_key(sign_key, "signing")
    private = _cryptography(_MODULE).Ed25519PrivateKey.from_private_bytes(sign_key)
    return bytes(private.sign(SIGNATURE_DOMAIN + digest))


def verify_digest(digest: bytes, signature: bytes, verify_key: bytes) -> None:
    """Raise NC-E0527 unless `signature` is that of `digest` under a raw 32-byte public key."""
    _check_key(verify_key, "public")
    module = _cryptography(_MODULE)
    invalid = _cryptography("exceptions").InvalidSignature
    try:
        module.Ed25519PublicKey.from_public_bytes(verify_key).verify(
            signature, SIGNATURE_DOMAIN + digest
        )
    except (invalid, ValueError):
        raise NorcimError(
            "NC-E0527", "the image's signature does not verify", where="header",
            why="the image was changed, or it was signed with another key",
            fix="get the image again from its source, or give the public key of its signer",
        ) from None  # fmt: skip
