"""Error codes of a device: the NPU's STATUS register and the status byte of the wire protocol."""

from __future__ import annotations

from enum import IntEnum


class DeviceError(IntEnum):
    """Why a run stopped (0x01..0x0f) or a request was refused (0x10..)."""

    OK = 0x00  #: no error

    BAD_OPCODE = 0x01  #: the sequencer met an unknown opcode
    BAD_FIELD = 0x02  #: an enumeration or a size of a descriptor or tile is not legal
    ADDRESS_RANGE = 0x03  #: an access left the activation memory
    TILE_RANGE = 0x04  #: a tile or column record lies outside its memory
    WEIGHT_RANGE = 0x05  #: cells or vector weights lie outside their memory
    TABLE_MISSING = 0x06  #: a table index has no table
    WATCHDOG = 0x07  #: the run did not end in time

    BAD_REQUEST = 0x10  #: unknown frame type, or a payload of the wrong length
    BAD_SLOT = 0x11  #: no such slot
    BAD_RANGE = 0x12  #: the bytes asked for leave the slot or the input
    SLOT_IN_USE = 0x13  #: the active slot is neither erased nor written
    NOT_ERASED = 0x14  #: flash trap: a programmed page was to be programmed again
    FLASH_FAILED = 0x15  #: the flash reports no success, or reads back other bytes
    NO_IMAGE = 0x16  #: the slot holds no image, or nothing is loaded
    IMAGE_DAMAGED = 0x17  #: header, CRC-32, SHA-256 or program of the image is wrong
    WRONG_ABI = 0x18  #: the image is of another ABI level
    WRONG_CHIP = 0x19  #: the image was compiled for another chip
    DOES_NOT_FIT = 0x1A  #: the image needs more memory than the device has
    KAT_FAILED = 0x1B  #: the known-answer test gave other bytes
    NO_NPU = 0x1C  #: this device has no NPU: it stores images and runs none
