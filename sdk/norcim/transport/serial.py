"""Serial ports: the only module that imports pyserial.

SerialException, OSError and termios.error are one fault here: the link is gone.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import serial
from serial.tools import list_ports

from norcim.spec.protocol import DEFAULT_BAUD
from norcim.transport.link import LinkError, cannot_open, in_use, link_broken, no_such_rate

_WRITE_TIMEOUT_S = 10.0


def _faults() -> tuple[type[Exception], ...]:
    """SerialException is an OSError; a TypeError comes when pyserial's handle vanishes under it."""
    try:
        import termios
    except ImportError:  # not a POSIX system
        return OSError, TypeError
    return OSError, TypeError, termios.error


_FAULTS = _faults()
_OPEN_FAULTS: tuple[type[Exception], ...] = (*_FAULTS, ValueError)


class SerialStream:
    """A serial port that no other process can open meanwhile.

    Raises NC-E0603 if another process has it, NC-E0635 if it cannot be opened.
    """

    def __init__(self, port: str, baud: int = DEFAULT_BAUD) -> None:
        self.url = port
        try:
            self._port = serial.Serial(
                port, baud, timeout=0, write_timeout=_WRITE_TIMEOUT_S, exclusive=True
            )
        except _OPEN_FAULTS as error:
            raise _why_not(port, error) from error

    def write(self, data: bytes) -> None:
        """Send bytes."""
        with self._one_error():
            self._port.write(data)

    def read(self, timeout_s: float) -> bytes:
        """What has come, waiting for at most `timeout_s` for the first byte."""
        with self._one_error():
            waiting = self._port.in_waiting
            if not waiting:
                self._port.timeout = timeout_s
            return bytes(self._port.read(max(waiting, 1)))

    def set_baud(self, baud: int) -> None:
        """Change the rate once all has gone out. Raises NC-E0636 for one that the port lacks."""
        with self._one_error():
            self._port.flush()
            try:
                self._port.baudrate = baud
            except ValueError as error:
                raise no_such_rate(self.url, baud, str(error)) from error

    def close(self) -> None:
        """Close the port; a port that is gone is closed too."""
        try:
            self._port.close()
        except _FAULTS:
            self._port.is_open = False

    @contextmanager
    def _one_error(self) -> Iterator[None]:
        try:
            yield
        except _FAULTS as error:
            raise link_broken(self.url, str(error) or type(error).__name__) from error


def list_serial_ports() -> list[tuple[str, str]]:
    """Name and description of every serial port of this machine."""
    return sorted((port.device, port.description or "") for port in list_ports.comports())


def _why_not(port: str, error: Exception) -> LinkError:
    busy = (errno.EBUSY, errno.EAGAIN, errno.EACCES) if "lock" in str(error) else (errno.EBUSY,)
    if getattr(error, "errno", None) in busy or "exclusively lock" in str(error):
        return in_use(port)
    return cannot_open(port, str(error))
