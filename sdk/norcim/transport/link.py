"""What the wire client needs of a connection, and how a connection fails."""

from __future__ import annotations

from typing import Protocol

from norcim.errors import EXIT_DEVICE, NorcimError


class ByteStream(Protocol):
    """A connection that carries bytes, in order, perhaps damaged, perhaps not at all."""

    @property
    def url(self) -> str: ...

    def write(self, data: bytes) -> None:
        """Send bytes. Raises LinkError if the connection is gone."""

    def read(self, timeout_s: float) -> bytes:
        """What has come, waiting for at most `timeout_s`; empty if nothing has."""

    def set_baud(self, baud: int) -> None: ...

    def close(self) -> None: ...


class LinkError(NorcimError):
    """The connection to a device failed; exit code 5."""

    def __init__(self, id: str, what: str, where: str, *, got: str = "", fix: str = "") -> None:
        super().__init__(id, what, where=where, got=got, fix=fix, exit_code=EXIT_DEVICE)


def link_broken(url: str, reason: str) -> LinkError:
    """The port went away: unplugged, switched off, its driver gone."""
    return LinkError(
        "NC-E0630", "the connection to the device broke", url, got=reason,
        fix="plug it in and give the command again: it goes on where it stopped",
    )  # fmt: skip


def nothing_answers(url: str) -> LinkError:
    """Nothing on the port speaks the protocol."""
    return LinkError(
        "NC-E0631", "no norcim device answers on this port", url,
        fix="check cable, power and port (`norcim devices` shows what answers), and that the "
        "board runs norcim's firmware",
    )  # fmt: skip


def stopped_answering(url: str, request: str) -> LinkError:
    """It answered before, and no longer does."""
    return LinkError(
        "NC-E0632", "the device stopped answering", url, got=f"no answer to {request}",
        fix="reset the board and give the command again: it goes on where it stopped",
    )  # fmt: skip


def other_protocol(url: str, got: int) -> LinkError:
    """It speaks another version of the protocol."""
    return LinkError(
        "NC-E0633", "the device speaks another version of the protocol", url, got=str(got),
        fix="install the version of norcim that fits the board's firmware",
    )  # fmt: skip


def nonsense(url: str, what: str) -> LinkError:
    """A good frame whose content cannot be."""
    return LinkError(
        "NC-E0634", "the device's answer makes no sense", url, got=what,
        fix="reset the board; if it happens again, report it with the firmware's version",
    )  # fmt: skip


def cannot_open(url: str, reason: str) -> LinkError:
    """There is no such port, or it may not be used."""
    return LinkError(
        "NC-E0635", "the port cannot be opened", url, got=reason,
        fix="check the name (`norcim devices` lists the ports) and your permission to use it",
    )  # fmt: skip


def no_such_rate(url: str, baud: int, reason: str) -> LinkError:
    """The host's serial port cannot work at this rate."""
    return LinkError(
        "NC-E0636", "the serial port cannot work at this rate", url, got=f"{baud:,} ({reason})",
        fix="choose another rate, or none",
    )  # fmt: skip


def in_use(url: str) -> LinkError:
    """Another process has it."""
    return LinkError(
        "NC-E0603", "the device is in use", url,
        fix="wait for the other process to end, or use another port",
    )  # fmt: skip
