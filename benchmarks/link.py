"""Share of a serial line that carries data while an image is written, at a bit error rate.

    python -m benchmarks.link [--bytes N] [--bit-errors P] [--baud RATE] [--seed N]

The device is firmware/lib built for this machine, behind a pseudo-terminal that carries a byte in
10 / RATE seconds in either direction and flips bits. The image is compared afterwards.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

from norcim.image import build_image
from norcim.spec.image_format import SHA256
from norcim.transport.board import Board
from norcim.transport.serial import SerialStream
from tests.firmware import compiler
from tests.firmware.pty_link import Process, PtyLink
from tests.unit.image.sample import sample_content


def main() -> None:
    """Measure once and print a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, default=200_000)
    parser.add_argument("--bit-errors", type=float, default=1e-3)
    parser.add_argument("--baud", type=int, default=115_200, help="0: as fast as it goes")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    image = build_image(sample_content(weights=random.Random(1).randbytes(chosen.bytes)))
    with tempfile.TemporaryDirectory() as folder:
        sources = compiler.sources(compiler.LIB, compiler.HOST)
        program = compiler.compile_host(Path(folder) / "device", sources)
        process = Process(program, "--flash", Path(folder) / "flash.bin")
        link = PtyLink(process, bit_errors=chosen.bit_errors, baud=chosen.baud, seed=chosen.seed)
        with link, Board(SerialStream(link.port), baud=chosen.baud or None) as board:
            print(_measure(board, link, image, chosen.baud))
        process.stop()


def _measure(board: Board, link: PtyLink, image: bytes, baud: int) -> str:
    sent, began = link.to_device, time.monotonic()
    board.write(1, image, resume=False)
    elapsed_s, sent = time.monotonic() - began, link.to_device - sent
    same = board.verify(1) == image[SHA256.offset : SHA256.end].hex()
    line = f"{10 * len(image) / elapsed_s / baud:.3f} of the line's time, " if baud else ""
    return (
        f"{len(image):,} bytes, {'right' if same else 'WRONG'} in {elapsed_s:.1f} s: "
        f"{line}{len(image) / sent:.3f} of the bytes sent; {board.wire.noise.data_bytes} bytes a "
        f"frame at the end, {board.wire.noise.errors_per_bit:.1e} errors a bit reckoned"
    )


if __name__ == "__main__":
    main()
