/* CRC-32 (IEEE 802.3, as zlib). */

#ifndef NC_CRC32_H
#define NC_CRC32_H

#include <stdint.h>

/* The CRC of `bytes` after bytes whose CRC is `crc`; 0 to begin. */
uint32_t nc_crc32(uint32_t crc, const uint8_t *bytes, uint32_t n_bytes);

#endif
