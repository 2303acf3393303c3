#include "nc_sha256.h"

#include "nc_bytes.h"

void nc_sha256_begin(struct nc_sha256 *hash)
{
    static const uint32_t start[8] = {0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au,
                                      0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u};
    for (unsigned i = 0; i < 8; i++) {
        hash->state[i] = start[i];
    }
    hash->n_bytes = 0;
}

void nc_sha256_update(struct nc_sha256 *hash, const uint8_t *bytes, uint32_t n_bytes)
{
    uint32_t at = 0;
    while (at < n_bytes) {
        const uint32_t n_held = (uint32_t)hash->n_bytes & (NC_SHA256_BLOCK_BYTES - 1u);
        const uint32_t n = nc_min(NC_SHA256_BLOCK_BYTES - n_held, n_bytes - at);
        if (n == NC_SHA256_BLOCK_BYTES) {
            nc_sha256_compress(hash->state, bytes + at);
        } else {
            nc_copy(hash->block + n_held, bytes + at, n);
            if (n_held + n == NC_SHA256_BLOCK_BYTES) {
                nc_sha256_compress(hash->state, hash->block);
            }
        }
        hash->n_bytes += n;
        at += n;
    }
}

void nc_sha256_end(struct nc_sha256 *hash, uint8_t digest[NC_SHA256_BYTES])
{
    const uint64_t n_bits = hash->n_bytes * 8u;
    const uint8_t one = 0x80;
    const uint8_t zero = 0;
    nc_sha256_update(hash, &one, 1);
    while ((hash->n_bytes & 63u) != 56u) {
        nc_sha256_update(hash, &zero, 1);
    }
    for (unsigned shift = 64; shift > 0; shift -= 8) {
        const uint8_t byte = (uint8_t)(n_bits >> (shift - 8u));
        nc_sha256_update(hash, &byte, 1);
    }
    for (unsigned i = 0; i < NC_SHA256_BYTES; i++) {
        digest[i] = (uint8_t)(hash->state[i / 4u] >> (24u - 8u * (i & 3u)));
    }
}
