"""Wire protocol v1 between host and device, over any byte stream.

    frame      COBS(FrameHeader, payload, CRC-32 of both) and one zero byte
    request    host to device; status 0
    answer     type | ANSWER, the request's sequence number, status: a DeviceError

The host numbers its requests modulo 2^16. A device answers every whole frame that it gets and
drops every broken one in silence; a request with the number of the last one answered is answered
again and not executed again, and one whose number is 1 to STALE_REQUESTS behind it came late and
is dropped. HELLO is always executed: a host begins with it, and numbers go on from there. At most
`window_frames` WRITE requests are unanswered at a time, of all other types one. Payloads are
records of little-endian words, then bytes. An answer whose status is not 0 has an empty payload,
but for a run that stopped: StartAnswer.

A transfer begins with a WRITE of length 0 at a multiple of PAGE_BYTES and goes on in order, in
frames of any length: the device gathers whole pages, because a NOR page is programmed once. A
WRITE at another offset than the next one changes nothing and is answered with the next one, so
the host goes back to it. Any other request ends the transfer and programs a page that is not
full. A WRITE with bytes outside a transfer is refused as NOT_ERASED: the device has restarted. To
resume, a host compares VERIFY of the sectors with its image, erases the first sector that differs
and begins there.

On a bad line a transfer goes on in DATA instead, in any order and in small frames: whole grains of
GRAIN_BYTES bytes, of which the device keeps those that lie in the DATA_WINDOW_BYTES from the first
page that is not complete, and says in every answer which it has. The last grain is filled up with
0xff. WRITE and DATA with bytes are not mixed in a transfer.

STEP compares a device with another machine layer by layer over a slow link: it runs a descriptor,
firmware steps included, stops, takes the CRC-32 of the bytes that the descriptor has written (rows,
then pixels, then channels, gaps left out), and goes on, until as many are run as were asked for, as
many as the answer holds, or END is reached. Nothing is overwritten before its CRC-32 is taken; the
memory stays as it is between requests, for MEMORY to read.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from norcim.spec.record import bits

PROTOCOL_VERSION = 1
ANSWER = 0x80  #: set in the type of an answer
MAX_PAYLOAD_BYTES = 1024  #: no frame's payload is longer, whatever HELLO says
MIN_PAYLOAD_BYTES = 160  #: what every device takes
FRAME_OVERHEAD_BYTES = 14  #: most bytes that a frame has beside its payload, at 1,024 bytes
MAX_WINDOW_FRAMES = 16  #: unanswered WRITE requests, whatever HELLO says
STALE_REQUESTS = 256  #: a request so far behind the last one answered, or less, came late
DEFAULT_BAUD = 115200  #: after reset, and after a baud rate that did not prove itself
N_SLOTS = 2
SECTOR_BYTES = 4096  #: what one ERASE erases
PAGE_BYTES = 256  #: what is programmed at a time, once between two erasures
GRAIN_BYTES = 16  #: offset and length of DATA are multiples of it
DATA_WINDOW_BYTES = 512  #: two pages, from the first that is not complete

ANSWER_TIMEOUT_MS = 500  #: for an answer, but for those below
ERASE_TIMEOUT_MS = 6000  #: ERASE: a worn sector takes 4 s
IMAGE_TIMEOUT_MS = 20000  #: VERIFY, ACTIVATE, RUN with LOAD or START: they read or run an image
BAUD_PROBE_MS = 1000  #: a HELLO has to arrive at a new baud rate within this time


class FrameType(IntEnum):
    """What a request asks for."""

    HELLO = 0x01  #: who is there; empty -> HelloAnswer
    ERASE = 0x02  #: erase one sector of a slot; SlotRange (length 0) -> empty
    WRITE = 0x03  #: the next bytes of a transfer; SlotRange, `length` bytes -> WriteAnswer
    READ = 0x04  #: read back from the cells; SlotRange -> `length` bytes
    VERIFY = 0x05  #: hash the cells, or with length 0 check the image; SlotRange -> SHA-256
    ACTIVATE = 0x06  #: check, run the known-answer test, commit; SlotRange of 0 -> ActivateAnswer
    RUN = 0x07  #: RunRequest; payload and answer by RunAction
    COUNTERS = 0x08  #: CountersRequest -> as many CounterRecord as fit
    LOG = 0x09  #: oldest lines of the log, taken out of it; empty -> UTF-8 text
    RESET = 0x0A  #: answered, then the device restarts; empty -> empty
    BAUD = 0x0B  #: answered at the old rate, then the rate changes; BaudRequest -> empty
    DATA = 0x0C  #: bytes of a transfer in any order; DataRequest, bytes -> DataAnswer


class RunAction(IntEnum):
    """What a RUN request does."""

    LOAD = 0  #: check a slot's image and load it; argument: slot, or NO_SLOT for the active one
    INPUT = 1  #: put the bytes that follow at offset `argument` of the input ports, one by one
    START = 2  #: run once the network that begins at descriptor `argument`; -> StartAnswer
    OUTPUT = 3  #: answer with output bytes from offset `argument` on, as many as fit
    STEP = 4  #: run RunLength descriptors from `argument` on, one by one; -> their CRC-32s
    MEMORY = 5  #: answer with RunLength bytes of activation memory from `argument` on


NO_SLOT = 0xFF  #: in place of a slot's number: none, or the active one


@dataclass(frozen=True)
class FrameHeader:
    """Begins every frame, 1 word."""

    type: int = bits(0, 0, 8, "FrameType; an answer's has ANSWER set")
    status: int = bits(0, 8, 8, "DeviceError of an answer; 0 in a request")
    sequence: int = bits(0, 16, 16, "number of the request")


@dataclass(frozen=True)
class HelloAnswer:
    """Who is there, 15 words; then CHIP_NAME and CHIP_HASH as in an image's header."""

    version: int = bits(0, 0, 8, "PROTOCOL_VERSION")
    window_frames: int = bits(0, 8, 8, "WRITE requests that may be unanswered")
    max_payload_bytes: int = bits(0, 16, 16, "longest payload that the device takes")
    abi_level: int = bits(1, 0, 16, "ABI_LEVEL of the images that it executes")
    lanes: int = bits(1, 16, 16, "multiply-accumulates a cycle")
    firmware_patch: int = bits(2, 0, 8, "firmware version, third number")
    firmware_minor: int = bits(2, 8, 8, "second number")
    firmware_major: int = bits(2, 16, 8, "first number")
    active_slot: int = bits(3, 0, 8, "slot that is loaded after a reset, or NO_SLOT")
    loaded_slot: int = bits(3, 8, 8, "slot that is loaded now, or NO_SLOT")
    n_slots: int = bits(3, 16, 8, "slots")
    unique_id_lo: int = bits(4, 0, 32, "unique id, low word")
    unique_id_hi: int = bits(5, 0, 32, "unique id, high word")
    slot_bytes: int = bits(6, 0, 32, "bytes of a slot")
    activation_bytes: int = bits(7, 0, 32, "activation memory")
    weight_bytes: int = bits(8, 0, 32, "cells and vector weights, together")
    vector_weight_bytes: int = bits(9, 0, 32, "vector weights alone")
    n_descriptors: int = bits(10, 0, 32, "descriptors that fit")
    n_tiles: int = bits(11, 0, 32, "tile records that fit")
    n_columns: int = bits(12, 0, 32, "column records that fit")
    n_tables: int = bits(13, 0, 32, "tables that fit")
    clock_hz: int = bits(14, 0, 32, "clock of the NPU, for turning cycles into time")


@dataclass(frozen=True)
class SlotRange:
    """Bytes of a slot, 3 words."""

    slot: int = bits(0, 0, 8, "number of the slot")
    offset: int = bits(1, 0, 32, "first byte, from the start of the slot")
    length: int = bits(2, 0, 32, "bytes")


@dataclass(frozen=True)
class WriteAnswer:
    """How far a transfer is, 1 word."""

    next_offset: int = bits(0, 0, 32, "every byte of the transfer before it has arrived")


@dataclass(frozen=True)
class DataRequest:
    """Where bytes of a transfer belong, 1 word; the bytes follow."""

    offset: int = bits(0, 0, 32, "first byte, from the start of the slot")


@dataclass(frozen=True)
class DataAnswer:
    """What a transfer has, 2 words."""

    base: int = bits(0, 0, 32, "first byte of the first page that is not complete")
    grains: int = bits(1, 0, 32, "bit i: the grain at base + i * GRAIN_BYTES has arrived")


@dataclass(frozen=True)
class ActivateAnswer:
    """The commit, 1 word."""

    counter: int = bits(0, 0, 32, "monotonic counter of the slot table after the commit")


@dataclass(frozen=True)
class RunRequest:
    """A step of a run, 2 words."""

    action: int = bits(0, 0, 8, "RunAction")
    argument: int = bits(1, 0, 32, "slot, offset, descriptor or address, by the action")


@dataclass(frozen=True)
class RunLength:
    """How many descriptors or bytes, 1 word; follows RunRequest."""

    length: int = bits(0, 0, 32, "descriptors to run, or bytes to read")


@dataclass(frozen=True)
class StartAnswer:
    """How a run ended, 2 words."""

    descriptor: int = bits(0, 0, 32, "number of the descriptor that ended or stopped the run")
    cycles: int = bits(1, 0, 32, "cycles from start to last store")


@dataclass(frozen=True)
class CountersRequest:
    """Which counters, 1 word."""

    first: int = bits(0, 0, 32, "number of the first descriptor")


@dataclass(frozen=True)
class CounterRecord:
    """Counters of one descriptor in the last run, 5 words."""

    cycles: int = bits(0, 0, 32, "cycles from fetch to last store")
    stalls: int = bits(1, 0, 32, "cycles in which the lanes waited for memory")
    macs: int = bits(2, 0, 32, "multiply-accumulates")
    conversions: int = bits(3, 0, 32, "conversions")
    saturated: int = bits(4, 0, 32, "conversions that clipped")


@dataclass(frozen=True)
class BaudRequest:
    """A new rate, 1 word."""

    baud: int = bits(0, 0, 32, "bits a second")


FRAME_HEADER_WORDS = 1
HELLO_ANSWER_WORDS = 15
SLOT_RANGE_WORDS = 3
WRITE_ANSWER_WORDS = 1
DATA_REQUEST_WORDS = 1
DATA_ANSWER_WORDS = 2
ACTIVATE_ANSWER_WORDS = 1
RUN_REQUEST_WORDS = 2
RUN_LENGTH_WORDS = 1
START_ANSWER_WORDS = 2
COUNTERS_REQUEST_WORDS = 1
COUNTER_RECORD_WORDS = 5
BAUD_REQUEST_WORDS = 1
