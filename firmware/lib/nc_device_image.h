/* Which image the device has: checked, loaded, committed; a part of nc_device. */

#ifndef NC_DEVICE_IMAGE_H
#define NC_DEVICE_IMAGE_H

#include "nc_device.h"

/* Repairs the slot table and loads the newest committed image that is sound. */
void nc_device_boot(struct nc_device *device);

/* Checks what a slot holds, from its cells. */
uint8_t nc_device_check_slot(const struct nc_device *device, uint32_t slot,
                             struct nc_image *image);

/* Checks a slot's image, NC_NO_SLOT: the active one's, and puts it into the NPU. */
uint8_t nc_device_load_slot(struct nc_device *device, uint32_t slot);

/* Checks, loads and tries a slot's image, then commits it; else what was loaded is so again. */
uint8_t nc_device_activate(struct nc_device *device, uint32_t slot);

#endif
