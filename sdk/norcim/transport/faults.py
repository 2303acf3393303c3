"""Device error codes as errors that a user can act on."""

from __future__ import annotations

from typing import NamedTuple

from norcim.errors import EXIT_DEVICE, EXIT_UNSUPPORTED, NorcimError
from norcim.spec.error_codes import DeviceError


class _Meaning(NamedTuple):
    id: str
    what: str
    fix: str
    exit_code: int = EXIT_DEVICE


_RECOMPILE = "compile the model again with this version of norcim and flash it"
_REWRITE = "flash the image again; if it happens again, the flash is worn out"
_REPORT = "report a bug of norcim with the output of `norcim doctor`"

_MEANINGS = {
    DeviceError.BAD_OPCODE: _Meaning("NC-E0620", "the run met an unknown opcode", _RECOMPILE),
    DeviceError.BAD_FIELD: _Meaning("NC-E0621", "the run met an illegal field", _RECOMPILE),
    DeviceError.ADDRESS_RANGE: _Meaning("NC-E0622", "the run left the memory", _RECOMPILE),
    DeviceError.TILE_RANGE: _Meaning("NC-E0623", "the run met a record that is not there",
                                     _RECOMPILE),
    DeviceError.WEIGHT_RANGE: _Meaning("NC-E0624", "the run left the weights", _RECOMPILE),
    DeviceError.TABLE_MISSING: _Meaning("NC-E0625", "the run met a table that is not there",
                                        _RECOMPILE),
    DeviceError.WATCHDOG: _Meaning("NC-E0626", "the run did not end in time",
                                   "reset the device; if it happens again, report it"),
    DeviceError.BAD_REQUEST: _Meaning("NC-E0610", "the device does not know the request", _REPORT),
    DeviceError.BAD_SLOT: _Meaning("NC-E0611", "the device has no such slot",
                                   "choose one of the slots that `norcim devices` shows"),
    DeviceError.BAD_RANGE: _Meaning("NC-E0612", "the bytes do not fit the device",
                                    "check the number and shape of the inputs"),
    DeviceError.SLOT_IN_USE: _Meaning("NC-E0613", "the active slot cannot be changed",
                                      "write to the other slot and activate that"),
    DeviceError.NOT_ERASED: _Meaning("NC-E0614", "flash trap: the page is not erased",
                                     "erase the slot first"),
    DeviceError.WRONG_CHIP: _Meaning("NC-E0615", "the image was compiled for another chip",
                                     "compile the model again for the device's chip",
                                     EXIT_UNSUPPORTED),
    DeviceError.DOES_NOT_FIT: _Meaning("NC-E0616", "the image is too large for the device",
                                       "compile a smaller model, or use a larger device",
                                       EXIT_UNSUPPORTED),
    DeviceError.FLASH_FAILED: _Meaning("NC-E0617", "the flash reads back other bytes", _REWRITE),
    DeviceError.NO_IMAGE: _Meaning("NC-E0618", "the device has no image to run",
                                   "flash one: norcim flash MODEL.cim"),
    DeviceError.IMAGE_DAMAGED: _Meaning("NC-E0619", "the image in the device is damaged", _REWRITE),
    DeviceError.WRONG_ABI: _Meaning("NC-E0627", "the image is of another ABI level", _RECOMPILE,
                                    EXIT_UNSUPPORTED),
    DeviceError.KAT_FAILED: _Meaning("NC-E0628", "the known-answer test failed: the image is not "
                                     "activated", "compile it again; if it happens again, the "
                                     "device computes wrongly"),
    DeviceError.NO_NPU: _Meaning("NC-E0629", "the device has no NPU: it stores images and runs "
                                 "none", "use a board with an NPU, or -p emulator:"),
}  # fmt: skip


def device_error(
    code: DeviceError, where: str, detail: str = "", descriptor: int | None = None
) -> NorcimError:
    """The error for a device's answer. where: the device; descriptor: where a run stopped."""
    meaning = _MEANINGS[code]
    place = where if descriptor is None else f"{where}, descriptor {descriptor}"
    return NorcimError(
        meaning.id, meaning.what, where=place, got=detail, fix=meaning.fix,
        exit_code=meaning.exit_code,
    )  # fmt: skip
