/* The slots in flash: erasing, transfers in whole pages, reading back, the commit in force. */

#ifndef NC_STORE_H
#define NC_STORE_H

#include <stdint.h>

#include "nc_hal.h"
#include "nc_slots.h"

#define NC_MAX_SLOT_SECTORS 1024u

struct nc_store {
    const struct nc_hal *hal;
    uint32_t slot_bytes;
    struct nc_commit commit;                       /* in force */
    uint8_t erased[NC_N_SLOTS * NC_MAX_SLOT_SECTORS / 8u]; /* since power-on, a bit a sector */
    bool in_transfer;
    uint8_t slot; /* of the transfer */
    uint32_t next_offset;
    uint32_t n_page;                       /* bytes in order */
    uint32_t grains;                       /* that have arrived in any order, from next_offset */
    uint8_t page[NC_DATA_WINDOW_BYTES];
};

void nc_store_begin(struct nc_store *store, const struct nc_hal *hal, uint32_t slot_sectors);

/* Offset in the flash of a slot's first byte. */
uint32_t nc_store_base(const struct nc_store *store, uint32_t slot);

/* BAD_SLOT or BAD_RANGE unless the bytes lie in a slot. */
uint8_t nc_store_check(const struct nc_store *store, uint32_t slot, uint32_t offset,
                       uint32_t length);

/* Erases the sector that holds `offset`; the active slot is refused. */
uint8_t nc_store_erase(struct nc_store *store, uint32_t slot, uint32_t offset);

/* Takes the next bytes of a transfer, or begins one if there are none. Bytes that are not the
 * next ones are left; store->next_offset says which are due. */
uint8_t nc_store_write(struct nc_store *store, uint32_t slot, uint32_t offset,
                       const uint8_t *bytes, uint32_t n_bytes);

/* Takes whole grains of a transfer in any order; those outside the window are left.
 * store->next_offset is the first page that is not complete, store->grains what it has. */
uint8_t nc_store_data(struct nc_store *store, uint32_t offset, const uint8_t *bytes,
                      uint32_t n_bytes);

/* Ends the transfer: programs a page that is not full. */
uint8_t nc_store_finish(struct nc_store *store);

uint8_t nc_store_read(const struct nc_store *store, uint32_t slot, uint32_t offset, uint8_t *bytes,
                      uint32_t n_bytes);
uint8_t nc_store_hash(const struct nc_store *store, uint32_t slot, uint32_t offset,
                      uint32_t length, uint8_t digest[NC_SHA256_BYTES]);

#endif
