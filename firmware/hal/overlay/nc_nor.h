/* SPI NOR flash of 24-bit addresses: 4 KiB sectors, 256-byte pages. */

#ifndef NC_NOR_H
#define NC_NOR_H

#include <stdint.h>

struct nc_nor {
    uint32_t base;    /* first byte of the chip that is ours */
    uint32_t n_bytes; /* ours */
};

/* Wakes the chip; what an interrupted operation left going on is waited for. */
void nc_nor_begin(struct nc_nor *nor);

/* These return an nc_device_error. Offsets count from `base`. */
uint8_t nc_nor_read(const struct nc_nor *nor, uint32_t offset, uint8_t *bytes, uint32_t n_bytes);
uint8_t nc_nor_erase(const struct nc_nor *nor, uint32_t offset);
uint8_t nc_nor_program(const struct nc_nor *nor, uint32_t offset, const uint8_t *bytes,
                       uint32_t n_bytes);

/* The chip's own unique id. */
void nc_nor_read_unique_id(uint32_t words[2]);

#endif
