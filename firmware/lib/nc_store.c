#include "nc_store.h"

#include "nc_bytes.h"

#define CHUNK_BYTES 256u

void nc_store_begin(struct nc_store *store, const struct nc_hal *hal, uint32_t slot_sectors)
{
    store->hal = hal;
    store->slot_bytes = nc_min(slot_sectors, NC_MAX_SLOT_SECTORS) * NC_SECTOR_BYTES;
    nc_fill(store->erased, 0, sizeof store->erased);
    store->in_transfer = false;
    store->n_page = 0;
    store->grains = 0;
    store->next_offset = 0;
    store->slot = NC_NO_SLOT;
}

uint32_t nc_store_base(const struct nc_store *store, uint32_t slot)
{
    return NC_SLOT_TABLE_SECTORS * NC_SECTOR_BYTES + slot * store->slot_bytes;
}

uint8_t nc_store_check(const struct nc_store *store, uint32_t slot, uint32_t offset,
                       uint32_t length)
{
    if (slot >= NC_N_SLOTS) {
        return NC_DEVICE_ERROR_BAD_SLOT;
    }
    return offset > store->slot_bytes || length > store->slot_bytes - offset
               ? NC_DEVICE_ERROR_BAD_RANGE
               : NC_DEVICE_ERROR_OK;
}

/* As nc_store_check, and the active slot is refused. */
static uint8_t check_change(const struct nc_store *store, uint32_t slot, uint32_t offset,
                            uint32_t length)
{
    const uint8_t error = nc_store_check(store, slot, offset, length);
    if (error == NC_DEVICE_ERROR_OK && slot == store->commit.slot) {
        return NC_DEVICE_ERROR_SLOT_IN_USE;
    }
    return error;
}

static uint32_t bit_of(const struct nc_store *store, uint32_t slot, uint32_t offset)
{
    return (slot * store->slot_bytes + offset) / NC_SECTOR_BYTES;
}

uint8_t nc_store_erase(struct nc_store *store, uint32_t slot, uint32_t offset)
{
    const uint32_t first = offset - offset % NC_SECTOR_BYTES;
    uint8_t error = check_change(store, slot, offset, 1);
    if (error == NC_DEVICE_ERROR_OK) {
        const uint32_t place = nc_store_base(store, slot) + first;
        error = store->hal->flash_erase(store->hal->context, place);
    }
    if (error == NC_DEVICE_ERROR_OK) {
        const uint32_t bit = bit_of(store, slot, offset);
        store->erased[bit / 8u] |= (uint8_t)(1u << (bit % 8u));
    }
    return error;
}

/* Programs the page that was gathered and reads it back. Only sectors erased since power-on are
 * written: an older blank page may be one whose programming was cut short. */
static uint8_t program_page(struct nc_store *store)
{
    const struct nc_hal *hal = store->hal;
    const uint32_t offset = store->next_offset - store->n_page;
    const uint32_t place = nc_store_base(store, store->slot) + offset;
    const uint32_t bit = bit_of(store, store->slot, offset);
    uint8_t found[NC_PAGE_BYTES];
    if (((uint32_t)store->erased[bit / 8u] >> (bit % 8u) & 1u) == 0) {
        return NC_DEVICE_ERROR_NOT_ERASED;
    }
    if (hal->flash_read(hal->context, place, found, NC_PAGE_BYTES) != NC_DEVICE_ERROR_OK) {
        return NC_DEVICE_ERROR_FLASH_FAILED;
    }
    if (!nc_all(found, 0xff, NC_PAGE_BYTES)) {
        return NC_DEVICE_ERROR_NOT_ERASED;
    }
    const uint8_t error = hal->flash_program(hal->context, place, store->page, store->n_page);
    if (error != NC_DEVICE_ERROR_OK) {
        return error;
    }
    if (hal->flash_read(hal->context, place, found, store->n_page) != NC_DEVICE_ERROR_OK ||
        !nc_equal(found, store->page, store->n_page)) {
        return NC_DEVICE_ERROR_FLASH_FAILED;
    }
    store->n_page = 0;
    return NC_DEVICE_ERROR_OK;
}

static uint8_t begin_transfer(struct nc_store *store, uint32_t slot, uint32_t offset)
{
    const uint8_t error = nc_store_finish(store);
    if (error != NC_DEVICE_ERROR_OK) {
        return error;
    }
    if (offset % NC_PAGE_BYTES != 0) {
        return NC_DEVICE_ERROR_BAD_RANGE;
    }
    store->in_transfer = true;
    store->slot = (uint8_t)slot;
    store->next_offset = offset;
    store->n_page = 0;
    store->grains = 0;
    return NC_DEVICE_ERROR_OK;
}

static uint8_t take(struct nc_store *store, const uint8_t *bytes, uint32_t n_bytes)
{
    uint32_t at = 0;
    while (at < n_bytes) {
        const uint32_t n = nc_min(NC_PAGE_BYTES - store->n_page, n_bytes - at);
        nc_copy(store->page + store->n_page, bytes + at, n);
        store->n_page += n;
        store->next_offset += n;
        at += n;
        if (store->n_page == NC_PAGE_BYTES) {
            const uint8_t error = program_page(store);
            if (error != NC_DEVICE_ERROR_OK) {
                store->in_transfer = false;
                return error;
            }
        }
    }
    return NC_DEVICE_ERROR_OK;
}

uint8_t nc_store_write(struct nc_store *store, uint32_t slot, uint32_t offset,
                       const uint8_t *bytes, uint32_t n_bytes)
{
    const uint8_t error = check_change(store, slot, offset, n_bytes);
    if (error != NC_DEVICE_ERROR_OK) {
        return error;
    }
    if (n_bytes == 0) {
        return begin_transfer(store, slot, offset);
    }
    if (!store->in_transfer || slot != store->slot) {
        return NC_DEVICE_ERROR_NOT_ERASED;
    }
    if (store->grains != 0) {
        return NC_DEVICE_ERROR_BAD_REQUEST;
    }
    return offset == store->next_offset ? take(store, bytes, n_bytes) : NC_DEVICE_ERROR_OK;
}

#define PAGE_GRAINS (NC_PAGE_BYTES / NC_GRAIN_BYTES)

/* Programs the pages at the window's begin that are complete. */
static uint8_t program_complete(struct nc_store *store)
{
    const uint32_t complete = (1u << PAGE_GRAINS) - 1u;
    while ((store->grains & complete) == complete) {
        store->n_page = NC_PAGE_BYTES;
        store->next_offset += NC_PAGE_BYTES;
        const uint8_t error = program_page(store);
        if (error != NC_DEVICE_ERROR_OK) {
            store->in_transfer = false;
            return error;
        }
        store->grains >>= PAGE_GRAINS;
        nc_copy(store->page, store->page + NC_PAGE_BYTES, NC_DATA_WINDOW_BYTES - NC_PAGE_BYTES);
    }
    return NC_DEVICE_ERROR_OK;
}

uint8_t nc_store_data(struct nc_store *store, uint32_t offset, const uint8_t *bytes,
                      uint32_t n_bytes)
{
    if (!store->in_transfer) {
        return NC_DEVICE_ERROR_NOT_ERASED;
    }
    if (store->n_page > 0 || n_bytes == 0 || n_bytes % NC_GRAIN_BYTES != 0) {
        return NC_DEVICE_ERROR_BAD_REQUEST;
    }
    if (offset % NC_GRAIN_BYTES != 0) {
        return NC_DEVICE_ERROR_BAD_RANGE;
    }
    const uint8_t error = check_change(store, store->slot, offset, n_bytes);
    if (error != NC_DEVICE_ERROR_OK) {
        return error;
    }
    /* What was programmed already has arrived before. */
    const uint32_t done =
        offset < store->next_offset ? nc_min(store->next_offset - offset, n_bytes) : 0;
    const uint32_t at = offset + done - store->next_offset;
    n_bytes -= done;
    if (n_bytes == 0 || at + n_bytes > NC_DATA_WINDOW_BYTES) {
        return NC_DEVICE_ERROR_OK; /* nothing is left, or it comes too early */
    }
    nc_copy(store->page + at, bytes + done, n_bytes);
    for (uint32_t i = at / NC_GRAIN_BYTES; i < (at + n_bytes) / NC_GRAIN_BYTES; i++) {
        store->grains |= 1u << i;
    }
    return program_complete(store);
}

/* Counts the grains of the first page that are there without a gap as its bytes. */
static void count_grains(struct nc_store *store)
{
    while ((store->grains & 1u) != 0) {
        store->grains >>= 1;
        store->n_page += NC_GRAIN_BYTES;
        store->next_offset += NC_GRAIN_BYTES;
    }
    store->grains = 0;
}

uint8_t nc_store_finish(struct nc_store *store)
{
    if (store->in_transfer && store->grains != 0) {
        count_grains(store);
    }
    const bool partial = store->in_transfer && store->n_page > 0;
    store->in_transfer = false;
    return partial ? program_page(store) : (uint8_t)NC_DEVICE_ERROR_OK;
}

uint8_t nc_store_read(const struct nc_store *store, uint32_t slot, uint32_t offset, uint8_t *bytes,
                      uint32_t n_bytes)
{
    const uint8_t error = nc_store_check(store, slot, offset, n_bytes);
    if (error != NC_DEVICE_ERROR_OK) {
        return error;
    }
    return store->hal->flash_read(store->hal->context, nc_store_base(store, slot) + offset, bytes,
                                  n_bytes);
}

uint8_t nc_store_hash(const struct nc_store *store, uint32_t slot, uint32_t offset,
                      uint32_t length, uint8_t digest[NC_SHA256_BYTES])
{
    struct nc_sha256 hash;
    uint8_t chunk[CHUNK_BYTES];
    uint8_t error = nc_store_check(store, slot, offset, length);
    nc_sha256_begin(&hash);
    for (uint32_t at = 0; at < length && error == NC_DEVICE_ERROR_OK; at += CHUNK_BYTES) {
        const uint32_t n = nc_min(length - at, CHUNK_BYTES);
        error = nc_store_read(store, slot, offset + at, chunk, n);
        nc_sha256_update(&hash, chunk, n);
    }
    nc_sha256_end(&hash, digest);
    return error;
}
