#include "nc_slots.h"

#include "nc_bytes.h"
#include "nc_crc32.h"

#define N_PAGES 3u

static const uint32_t magics[N_PAGES] = {NC_RECORD_MAGIC, NC_CLOSE_MAGIC, NC_DONE_MAGIC};

/* What a table sector reads as. */
struct state {
    struct nc_commit commit; /* of its first page */
    uint32_t sector;
    bool readable;
    bool closed;
    bool done;
};

static bool same_commit(const struct nc_commit *a, const struct nc_commit *b)
{
    return a->counter == b->counter && a->slot == b->slot && a->image_bytes == b->image_bytes &&
           nc_equal(a->sha256, b->sha256, NC_SHA256_BYTES);
}

/* Whether a page holds a valid record with the magic of its place. A reading that fails is told
 * by `error`: nothing may be concluded from it. */
static bool read_page(const struct nc_hal *hal, uint32_t sector, uint32_t page,
                      struct nc_commit *commit, uint8_t *error)
{
    uint8_t raw[NC_SLOT_RECORD_BYTES];
    uint32_t words[NC_SLOT_RECORD_WORDS];
    const uint32_t offset = sector * NC_SECTOR_BYTES + page * NC_PAGE_BYTES;
    const uint32_t n_body = NC_SLOT_RECORD_BYTES - 4u;
    if (hal->flash_read(hal->context, offset, raw, NC_SLOT_RECORD_BYTES) != NC_DEVICE_ERROR_OK) {
        *error = NC_DEVICE_ERROR_FLASH_FAILED;
        return false;
    }
    nc_get_words(words, raw, NC_SLOT_RECORD_WORDS);
    if (nc_crc32(0, raw, n_body) != nc_get_u32(raw + n_body) ||
        NC_GET_SLOT_RECORD_MAGIC(words) != magics[page] ||
        (words[NC_SLOT_RECORD_SLOT_WORD] & ~NC_SLOT_RECORD_SLOT_MASK) != 0) {
        return false;
    }
    commit->counter = NC_GET_SLOT_RECORD_COUNTER(words);
    commit->slot = (uint8_t)NC_GET_SLOT_RECORD_SLOT(words);
    commit->image_bytes = NC_GET_SLOT_RECORD_IMAGE_BYTES(words);
    nc_copy(commit->sha256, raw + 4u * NC_SLOT_RECORD_WORDS, NC_SHA256_BYTES);
    return true;
}

static void read_state(const struct nc_hal *hal, uint32_t sector, struct state *state,
                       uint8_t *error)
{
    struct nc_commit other;
    state->sector = sector;
    state->readable = read_page(hal, sector, 0, &state->commit, error);
    state->closed = state->readable && read_page(hal, sector, 1, &other, error) &&
                    same_commit(&state->commit, &other);
    state->done = state->closed && read_page(hal, sector, 2, &other, error) &&
                  same_commit(&state->commit, &other);
}

static bool is_newer(const struct state *a, const struct state *b)
{
    return a->readable && (!b->readable || a->commit.counter > b->commit.counter);
}

/* Reads all sectors, the newest commit first, unreadable ones last. */
static uint8_t read_all(const struct nc_hal *hal, struct state states[NC_SLOT_TABLE_SECTORS])
{
    uint8_t error = NC_DEVICE_ERROR_OK;
    for (uint32_t i = 0; i < NC_SLOT_TABLE_SECTORS; i++) {
        struct state state;
        uint32_t place = i;
        read_state(hal, i, &state, &error);
        for (; place > 0 && is_newer(&state, &states[place - 1u]); place--) {
            states[place] = states[place - 1u];
        }
        states[place] = state;
    }
    return error;
}

/* Erases first, whatever the sector reads as: only this session's erasure is sound. */
static uint8_t write_commit(const struct nc_hal *hal, uint32_t sector,
                            const struct nc_commit *commit)
{
    const uint32_t first = sector * NC_SECTOR_BYTES;
    uint8_t raw[NC_SLOT_RECORD_BYTES];
    uint8_t found[NC_SLOT_RECORD_BYTES];
    uint8_t error = hal->flash_erase(hal->context, first);
    for (uint32_t page = 0; page < N_PAGES && error == NC_DEVICE_ERROR_OK; page++) {
        const uint32_t offset = first + page * NC_PAGE_BYTES;
        nc_put_u32(raw, magics[page]);
        nc_put_u32(raw + 4, commit->counter);
        nc_put_u32(raw + 8, NC_PUT_SLOT_RECORD_SLOT(commit->slot));
        nc_put_u32(raw + 12, commit->image_bytes);
        nc_copy(raw + 16, commit->sha256, NC_SHA256_BYTES);
        nc_put_u32(raw + 48, nc_crc32(0, raw, 48));
        error = hal->flash_program(hal->context, offset, raw, NC_SLOT_RECORD_BYTES);
        if (error == NC_DEVICE_ERROR_OK) {
            error = hal->flash_read(hal->context, offset, found, NC_SLOT_RECORD_BYTES);
        }
        if (error == NC_DEVICE_ERROR_OK && !nc_equal(raw, found, NC_SLOT_RECORD_BYTES)) {
            error = NC_DEVICE_ERROR_FLASH_FAILED;
        }
    }
    return error;
}

/* Copies the commits of the closed states, or of the readable ones if none is closed; returns
 * the index of the first. */
static uint32_t list_commits(const struct state *states, struct nc_commit *commits,
                             uint32_t *n_commits)
{
    bool any_closed = false;
    uint32_t winner = 0;
    *n_commits = 0;
    for (uint32_t i = 0; i < NC_SLOT_TABLE_SECTORS; i++) {
        any_closed = any_closed || states[i].closed;
    }
    for (uint32_t i = 0; i < NC_SLOT_TABLE_SECTORS; i++) {
        if (any_closed ? states[i].closed : states[i].readable) {
            winner = *n_commits == 0 ? i : winner;
            commits[(*n_commits)++] = states[i].commit;
        }
    }
    return winner;
}

/* The oldest sector that is neither the winner's nor that of the last done commit. */
static uint32_t find_free(const struct state *states, uint32_t winner)
{
    uint32_t done = winner;
    for (uint32_t i = NC_SLOT_TABLE_SECTORS; i > 0; i--) {
        done = states[i - 1u].done ? i - 1u : done;
    }
    uint32_t free = NC_SLOT_TABLE_SECTORS - 1u;
    while (free == winner || free == done) {
        free--;
    }
    return states[free].sector;
}

uint8_t nc_slots_recover(const struct nc_hal *hal, struct nc_commit *commits, uint32_t *n_commits)
{
    struct state states[NC_SLOT_TABLE_SECTORS];
    const uint8_t error = read_all(hal, states);
    if (error != NC_DEVICE_ERROR_OK || !states[0].readable) {
        commits[0].counter = 1;
        commits[0].slot = NC_NO_SLOT;
        commits[0].image_bytes = 0;
        nc_fill(commits[0].sha256, 0, NC_SHA256_BYTES);
        *n_commits = 1;
        return error != NC_DEVICE_ERROR_OK ? error : write_commit(hal, 0, &commits[0]);
    }
    const uint32_t winner = list_commits(states, commits, n_commits);
    if (winner == 0 && states[0].done) {
        return NC_DEVICE_ERROR_OK;
    }
    commits[0].counter = states[0].commit.counter + 1u;
    return write_commit(hal, find_free(states, winner), &commits[0]);
}

uint8_t nc_slots_commit(const struct nc_hal *hal, const struct nc_commit *keep,
                        struct nc_commit *next)
{
    struct state states[NC_SLOT_TABLE_SECTORS];
    uint32_t free = NC_SLOT_TABLE_SECTORS - 1u;
    const uint8_t error = read_all(hal, states);
    if (error != NC_DEVICE_ERROR_OK) {
        return error;
    }
    if (states[free].readable && same_commit(&states[free].commit, keep)) {
        free--;
    }
    next->counter = states[0].readable ? states[0].commit.counter + 1u : 1u;
    return write_commit(hal, states[free].sector, next);
}
