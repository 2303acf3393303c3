/* Requests that run the loaded image; a part of nc_device. */

#ifndef NC_DEVICE_RUN_H
#define NC_DEVICE_RUN_H

#include "nc_device.h"

/* Where an answer's payload goes. */
static inline uint8_t *nc_device_payload(struct nc_device *device)
{
    return device->raw + NC_FRAME_HEADER_BYTES;
}

/* RUN and COUNTERS. */
uint8_t nc_device_run(struct nc_device *device, const struct nc_frame *frame, uint32_t *n_payload);
uint8_t nc_device_counters(struct nc_device *device, const struct nc_frame *frame,
                           uint32_t *n_payload);

#endif
