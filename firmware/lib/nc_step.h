/* Running a program one descriptor at a time, so that each output can be compared. */

#ifndef NC_STEP_H
#define NC_STEP_H

#include "nc_hal.h"
#include "nc_image.h"

/* Descriptors of the whole program, the last END not counted. */
uint32_t nc_step_count(const struct nc_image *image);

/* Whether descriptor `index` is an END. */
bool nc_step_is_end(const struct nc_hal *hal, const struct nc_image *image, uint32_t index);

/* Runs descriptor `index` alone, a firmware step too, and takes the CRC-32 of what it wrote.
 * `stop` is filled in whatever comes back. */
uint8_t nc_step(const struct nc_hal *hal, const struct nc_image *image, uint32_t index,
                uint32_t *crc, struct nc_npu_stop *stop);

#endif
