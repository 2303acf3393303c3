/* Steps that the CPU runs between two program segments: descriptors with the opcode FIRMWARE. */

#ifndef NC_FIRMWARE_H
#define NC_FIRMWARE_H

#include "nc_hal.h"
#include "nc_image.h"

/* Runs the firmware step at a descriptor. */
uint8_t nc_run_firmware(const struct nc_hal *hal, const struct nc_image *image, uint32_t index);

#endif
