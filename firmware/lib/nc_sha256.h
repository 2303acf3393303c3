/* SHA-256 (FIPS 180-4), in pieces of any length. */

#ifndef NC_SHA256_H
#define NC_SHA256_H

#include <stdint.h>

#define NC_SHA256_BYTES 32u
#define NC_SHA256_BLOCK_BYTES 64u

struct nc_sha256 {
    uint32_t state[8];
    uint64_t n_bytes;
    uint8_t block[NC_SHA256_BLOCK_BYTES];
};

void nc_sha256_begin(struct nc_sha256 *hash);
void nc_sha256_update(struct nc_sha256 *hash, const uint8_t *bytes, uint32_t n_bytes);
void nc_sha256_end(struct nc_sha256 *hash, uint8_t digest[NC_SHA256_BYTES]);

/* Takes one block into the state: nc_sha256_compress.c, or the board's own. */
void nc_sha256_compress(uint32_t state[8], const uint8_t block[NC_SHA256_BLOCK_BYTES]);

#endif
