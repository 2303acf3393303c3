/* Checks a weight image from the cells of a slot, trusting nothing: format in
 * docs/reference/image.md. What the program's descriptors do is not judged here: the sequencer
 * stops at what is not legal. Nor is the JSON of META, which no device reads. */

#ifndef NC_IMAGE_H
#define NC_IMAGE_H

#include <stdint.h>

#include "nc_hal.h"
#include "nc_sha256.h"

#define NC_N_SECTIONS 10u

/* What a device holds of an image; chip_name empty: images for any chip. */
struct nc_limits {
    uint8_t chip_name[NC_IMAGE_HEADER_CHIP_NAME_BYTES];
    uint8_t chip_hash[NC_IMAGE_HEADER_CHIP_HASH_BYTES];
    uint32_t abi_level;
    uint32_t activation_bytes;
    uint32_t weight_bytes;        /* cells and vector weights, together */
    uint32_t vector_weight_bytes; /* vector weights alone */
    uint32_t n_descriptors;
    uint32_t n_tiles;
    uint32_t n_columns;
    uint32_t n_tables;
    uint32_t record_bytes; /* the last four, together */
};

struct nc_section {
    uint32_t offset; /* from the start of the image */
    uint32_t length;
    uint32_t crc32;
};

struct nc_image {
    uint32_t base; /* offset of the slot in the flash */
    uint32_t total_bytes;
    uint32_t activation_bytes;
    uint32_t n_ports;
    uint32_t n_networks;
    uint32_t input_bytes;  /* of all input ports together */
    uint32_t output_bytes; /* of all output ports */
    uint8_t sha256[NC_SHA256_BYTES];
    struct nc_section sections[NC_N_SECTIONS]; /* by SectionKind - 1 */
};

/* Where an input or output lies in activation memory. */
struct nc_port {
    bool is_output;
    uint32_t first; /* descriptor of its network */
    uint32_t addr;
    uint32_t row_stride;
    uint32_t pixel_stride;
    uint32_t h;
    uint32_t w;
    uint32_t c;
};

/* Checks the image at `base`; fills in `image`. Returns an nc_device_error. */
uint8_t nc_image_check(const struct nc_hal *hal, const struct nc_limits *limits, uint32_t base,
                       uint32_t slot_bytes, struct nc_image *image);

/* Reads a port of a checked image. */
uint8_t nc_image_port(const struct nc_hal *hal, const struct nc_image *image, uint32_t index,
                      struct nc_port *port);

/* A network of an image: where its program begins, and its bytes among those of all ports. */
struct nc_network {
    uint32_t first;
    uint32_t input_at;
    uint32_t input_bytes;
    uint32_t output_at;
    uint32_t output_bytes;
};

/* Reads network number `index`, below n_networks, of a checked image. */
uint8_t nc_image_network(const struct nc_hal *hal, const struct nc_image *image, uint32_t index,
                         struct nc_network *network);

static inline const struct nc_section *nc_image_section(const struct nc_image *image,
                                                        uint32_t kind)
{
    return &image->sections[kind - 1u];
}

#endif
