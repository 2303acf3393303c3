"""A pseudo-terminal between the host and a device, as bad as a test wants it."""

from __future__ import annotations

import contextlib
import math
import os
import random
import select
import subprocess
import threading
import time
import tty
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from norcim.emulator.flash import NorFlash
from tests.firmware.native import Library, NativeDevice


class Process:
    """norcim-fw-host behind its pipes."""

    def __init__(self, program: Path, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [str(part) for part in (program, *arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
        )  # fmt: skip
        assert self._process.stdin
        assert self._process.stdout
        self.input, self.output = self._process.stdin, self._process.stdout
        self.fileno = self.output.fileno()

    def send(self, data: bytes) -> None:
        self.input.write(data)

    def receive(self) -> bytes:
        return os.read(self.fileno, 65536)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self.input.close()
        self.output.close()


class InProcess:
    """A device of firmware/lib in this process, which has an NPU; its answers through a pipe."""

    def __init__(self, lib: Library, flash: NorFlash, **options: Any) -> None:
        self._make: Callable[[], NativeDevice] = lambda: NativeDevice(lib, flash, **options)
        self.device = self._make()
        self.fileno, self._end = os.pipe()

    def send(self, data: bytes) -> None:
        for at in range(len(data)):
            answer = self.device.take(data[at : at + 1])
            if answer:
                os.write(self._end, answer)
            if self.device.was_reset:
                self.device = self._make()

    def receive(self) -> bytes:
        return os.read(self.fileno, 65536)

    def stop(self) -> None:
        os.close(self.fileno)
        os.close(self._end)


class BitErrors:
    """Flips bits, each with the same chance; draws how far it is to the next."""

    def __init__(self, chance: float, seed: int) -> None:
        self._chance, self._rng = chance, random.Random(seed)
        self._left = self._draw()
        self.n_bits = 0

    def _draw(self) -> int:
        if self._chance == 0:
            return 1 << 62
        return int(math.log(1 - self._rng.random()) / math.log(1 - self._chance))

    def spoil(self, data: bytes) -> bytes:
        """The bytes as they arrive."""
        out, n = bytearray(data), 8 * len(data)
        while self._left < n:
            out[self._left // 8] ^= 1 << self._left % 8
            self.n_bits += 1
            self._left += 1 + self._draw()
        self._left -= n
        return bytes(out)


class Line:
    """Bytes on their way in one direction, each of which takes byte_s seconds."""

    def __init__(self, byte_s: float) -> None:
        self._byte_s = byte_s
        self._free = 0.0
        self._pieces: deque[tuple[float, bytes]] = deque()

    def put(self, data: bytes) -> None:
        size = 16 if self._byte_s else len(data)
        for at in range(0, len(data), size or 1):
            piece = data[at : at + size]
            self._free = max(self._free, time.monotonic()) + len(piece) * self._byte_s
            self._pieces.append((self._free, piece))

    def wait_s(self) -> float | None:
        """Until the next piece arrives; None if nothing is on its way."""
        return max(self._pieces[0][0] - time.monotonic(), 0.0) if self._pieces else None

    def arrived(self) -> bytes:
        data, now = b"", time.monotonic()
        while self._pieces and self._pieces[0][0] <= now:
            data += self._pieces.popleft()[1]
        return data


class PtyLink:
    """Carries bytes between a pseudo-terminal and a device until it is cut.

    drop, corrupt   share of frames in either direction that get lost or damaged
    bit_errors      chance of a bit to be wrong, in either direction
    baud            rate of the line in either direction, 0: as fast as it goes
    cut_after       bytes from the host after which the cable is out
    mute_after      bytes from the host after which the device hears nothing
    port            what the host opens
    to_device       bytes that reached the device
    """

    def __init__(
        self,
        device: Process | InProcess | None,
        *,
        drop: float = 0.0,
        corrupt: float = 0.0,
        bit_errors: float = 0.0,
        baud: int = 0,
        seed: int = 0,
        cut_after: int | None = None,
        mute_after: int | None = None,
    ) -> None:
        self._device = device
        self._faults = (drop, corrupt)
        self._rng = random.Random(seed)
        self._bits = BitErrors(bit_errors, seed)
        self._lines = [Line(10 / baud if baud else 0.0) for _ in range(2)]
        self._cut_after, self._mute_after = cut_after, mute_after
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self.to_device = 0
        self.n_faults = 0
        self._partial = [b"", b""]
        self._wake, self._woken = os.pipe()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Pull the cable out, if it is not out yet."""
        with contextlib.suppress(OSError):
            os.write(self._woken, b"x")
        self._thread.join(10)
        for handle in (self._wake, self._woken):
            with contextlib.suppress(OSError):
                os.close(handle)

    def __enter__(self) -> PtyLink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _carry(self) -> None:
        sources = [self._master, self._wake]
        if self._device:
            sources.append(self._device.fileno)
        try:
            while True:
                waits = [line.wait_s() for line in self._lines if line.wait_s() is not None]
                ready, _, _ = select.select(sources, [], [], min(waits, default=None))
                if self._wake in ready:
                    return
                if self._master in ready:
                    self._lines[0].put(os.read(self._master, 4096))
                if self._device and self._device.fileno in ready:
                    data = self._device.receive()
                    if not data:
                        return
                    self._lines[1].put(data)
                if not self._deliver():
                    return
        except OSError:
            return
        finally:
            os.close(self._master)
            os.close(self._slave)

    def _deliver(self) -> bool:
        """Pass on what has arrived; False once the cable is out."""
        self._write(self._spoil(self._lines[1].arrived(), 1))
        data = self._lines[0].arrived()
        return not data or self._from_host(data)

    def _from_host(self, data: bytes) -> bool:
        """Pass bytes on; False once the cable is out."""
        if self._cut_after is not None:
            data, self._cut_after = data[: self._cut_after], self._cut_after - len(data)
        if self._mute_after is not None:
            data, self._mute_after = data[: self._mute_after], max(self._mute_after - len(data), 0)
        self.to_device += len(data)
        if self._device and data:
            self._device.send(self._spoil(data, 0))
        return self._cut_after is None or self._cut_after > 0

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._master, data) :]

    def _spoil(self, data: bytes, direction: int) -> bytes:
        """Lose and damage whole frames, and bits."""
        drop, corrupt = self._faults
        data = self._bits.spoil(data)
        if not drop and not corrupt:
            return data
        *frames, self._partial[direction] = (self._partial[direction] + data).split(b"\0")
        out = b""
        for frame in frames:
            draw = self._rng.random()
            if draw < drop:
                self.n_faults += 1
                continue
            if draw < drop + corrupt and frame:
                self.n_faults += 1
                at = self._rng.randrange(len(frame))
                frame = frame[:at] + bytes([self._rng.randrange(256)]) + frame[at + 1 :]
            out += frame + b"\0"
        return out
