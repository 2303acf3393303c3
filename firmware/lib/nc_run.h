/* Running a checked image on the NPU: loading, ports, firmware steps, the known-answer test. */

#ifndef NC_RUN_H
#define NC_RUN_H

#include "nc_hal.h"
#include "nc_image.h"

/* Puts the image into the NPU's memories. */
uint8_t nc_run_load(const struct nc_hal *hal, const struct nc_image *image);

/* Bytes of the input ports (or output ports), one port after the other, from `offset` on. */
uint8_t nc_run_put(const struct nc_hal *hal, const struct nc_image *image, uint32_t offset,
                   const uint8_t *bytes, uint32_t n_bytes);
uint8_t nc_run_get(const struct nc_hal *hal, const struct nc_image *image, uint32_t offset,
                   uint8_t *bytes, uint32_t n_bytes);

/* Runs once the network that begins at descriptor `first`, firmware steps included. `stop` is
 * filled in whatever comes back. */
uint8_t nc_run_start(const struct nc_hal *hal, const struct nc_image *image, uint32_t first,
                     struct nc_npu_stop *stop);

/* Reads a descriptor of the image from the flash. */
uint8_t nc_run_descriptor(const struct nc_hal *hal, const struct nc_image *image, uint32_t index,
                          uint8_t raw[4u * NC_DESCRIPTOR_WORDS]);

/* The same as words. */
uint8_t nc_run_words(const struct nc_hal *hal, const struct nc_image *image, uint32_t index,
                     uint32_t words[NC_DESCRIPTOR_WORDS]);

/* Runs every vector of the known-answer test on every network; an image without one fails. */
uint8_t nc_run_known_answer(const struct nc_hal *hal, const struct nc_image *image);

#endif
