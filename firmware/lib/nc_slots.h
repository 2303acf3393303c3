/* The slot table: which slot is active, whatever cut the power. Format and rules:
 * docs/reference/protocol.md, "Slot table". */

#ifndef NC_SLOTS_H
#define NC_SLOTS_H

#include <stdint.h>

#include "nc_hal.h"
#include "nc_sha256.h"

struct nc_commit {
    uint32_t counter;
    uint32_t image_bytes;
    uint8_t slot;
    uint8_t sha256[NC_SHA256_BYTES];
};

/* The commits at boot, the effective one first. Writes to the flash if the last commit may not
 * read the same at the next boot. `commits` takes NC_SLOT_TABLE_SECTORS. */
uint8_t nc_slots_recover(const struct nc_hal *hal, struct nc_commit *commits, uint32_t *n_commits);

/* Makes `next` the commit in force; fills in its counter. The sector of `keep`, the commit that
 * is in force, is not touched. */
uint8_t nc_slots_commit(const struct nc_hal *hal, const struct nc_commit *keep,
                        struct nc_commit *next);

#endif
