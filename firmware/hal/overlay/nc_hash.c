/* The SoC's SHA-256 in place of lib/nc_sha256_compress.c. */

#include "../../lib/nc_bytes.h"
#include "../../lib/nc_sha256.h"
#include "nc_mmio.h"

/* About 130 cycles; the controller cannot but end. */
static void wait(void)
{
    while ((NC_READ(SHA256, STATUS) & NC_BIT(SHA256, STATUS_BUSY)) != 0) {
    }
}

void nc_sha256_compress(uint32_t state[8], const uint8_t block[NC_SHA256_BLOCK_BYTES])
{
    for (uint32_t i = 0; i < 8; i++) {
        nc_mmio_write(NC_SHA256_BASE + NC_SHA256_STATE_0_OFFSET + 4u * i, state[i]);
    }
    for (uint32_t i = 0; i < NC_SHA256_BLOCK_BYTES; i += 4) {
        NC_WRITE(SHA256, WORD, nc_get_u32(block + i));
    }
    wait();
    for (uint32_t i = 0; i < 8; i++) {
        state[i] = nc_mmio_read(NC_SHA256_BASE + NC_SHA256_STATE_0_OFFSET + 4u * i);
    }
}
