/* Commands are those that Winbond W25Q, ISSI IS25LP and Macronix MX25L parts share. */

#include "nc_nor.h"

#include "../../lib/nc_bytes.h"
#include "nc_mmio.h"
#include "nc_time.h"

#define READ_DUAL 0x3bu /* fast read, two data lines, one dummy byte */
#define READ_STATUS 0x05u
#define WRITE_ENABLE 0x06u
#define PROGRAM_PAGE 0x02u
#define ERASE_SECTOR 0x20u
#define READ_UNIQUE_ID 0x4bu
#define WAKE 0xabu

#define STATUS_BUSY 1u
#define STATUS_WRITE_ENABLED 2u

#define ADDRESS_SPACE 0x1000000u
#define ERASE_MS 5000u   /* a worn sector takes 4 s */
#define PROGRAM_MS 20u   /* 3 ms at most by the data sheets */
#define MOST_POLLS 100u  /* 32 bits take 70 clock cycles, a poll at least 5 */
#define FIFO_WORDS 8u

/* How words are shifted. */
enum mode {
    SEND_BYTE = 8u | 1u << NC_FLASH_CONTROL_WIDTH_SHIFT | 1u << NC_FLASH_CONTROL_DRIVE_SHIFT,
    SEND_WORD = 32u | 1u << NC_FLASH_CONTROL_WIDTH_SHIFT | 1u << NC_FLASH_CONTROL_DRIVE_SHIFT,
    TAKE_BYTE = 8u | 1u << NC_FLASH_CONTROL_WIDTH_SHIFT,
    TAKE_BYTE_DUAL = 8u | 2u << NC_FLASH_CONTROL_WIDTH_SHIFT,
    TAKE_WORD_DUAL =
        32u | 2u << NC_FLASH_CONTROL_WIDTH_SHIFT | 1u << NC_FLASH_CONTROL_SWAP_SHIFT,
};

static void set_mode(uint32_t mode)
{
    NC_WRITE(FLASH, CONTROL, mode | NC_BIT(FLASH, CONTROL_SELECT));
}

static void deselect(void)
{
    NC_WRITE(FLASH, CONTROL, SEND_BYTE);
}

/* Waits for a word that came back. The controller always answers, unless it is broken. */
static uint32_t take(void)
{
    for (uint32_t i = 0; i < MOST_POLLS; i++) {
        if ((NC_READ(FLASH, STATUS) & NC_BIT(FLASH, STATUS_RECEIVED)) != 0) {
            break;
        }
    }
    return NC_READ(FLASH, DATA);
}

static uint32_t exchange(uint32_t mode, uint32_t word)
{
    set_mode(mode);
    NC_WRITE(FLASH, DATA, word);
    return take();
}

static void command(uint32_t opcode)
{
    (void)exchange(SEND_BYTE, opcode);
    deselect();
}

static uint32_t read_status(void)
{
    (void)exchange(SEND_BYTE, READ_STATUS);
    const uint32_t status = exchange(TAKE_BYTE, 0);
    deselect();
    return status;
}

/* Whether the chip is done in time. */
static bool wait_until_done(uint32_t limit_ms)
{
    const uint32_t since = nc_time_ms();
    while ((read_status() & STATUS_BUSY) != 0) {
        if (nc_time_ms() - since > limit_ms) {
            return false;
        }
    }
    return true;
}

static bool is_outside(const struct nc_nor *nor, uint32_t offset, uint32_t n_bytes)
{
    return offset > nor->n_bytes || n_bytes > nor->n_bytes - offset;
}

void nc_nor_begin(struct nc_nor *nor)
{
    const uint32_t last = ADDRESS_SPACE - nc_min(nor->base, ADDRESS_SPACE);
    nor->n_bytes = nc_min(nor->n_bytes, last);
    while ((NC_READ(FLASH, STATUS) & NC_BIT(FLASH, STATUS_RECEIVED)) != 0) {
        (void)NC_READ(FLASH, DATA);
    }
    deselect();
    command(WAKE);
    (void)wait_until_done(ERASE_MS);
}

static void take_bytes(uint8_t *bytes, uint32_t n_bytes)
{
    set_mode(TAKE_BYTE_DUAL);
    for (uint32_t i = 0; i < n_bytes; i++) {
        NC_WRITE(FLASH, DATA, 0);
        bytes[i] = (uint8_t)take();
    }
}

/* Reads words. Keeps the controller's FIFO full: it, and not the CPU, sets the pace. */
static void take_words(uint8_t *bytes, uint32_t n_words)
{
    uint32_t n_asked = 0;
    set_mode(TAKE_WORD_DUAL);
    for (; n_asked < n_words && n_asked < FIFO_WORDS; n_asked++) {
        NC_WRITE(FLASH, DATA, 0);
    }
    for (uint32_t i = 0; i < n_words; i++) {
        const uint32_t word = take();
        if (n_asked < n_words) {
            NC_WRITE(FLASH, DATA, 0);
            n_asked++;
        }
        nc_put_u32(bytes + (size_t)4 * i, word);
    }
}

/* Sends words, one ahead of the one that is on the line; what comes back is dropped. */
static void send_words(const uint8_t *bytes, uint32_t n_words)
{
    set_mode(SEND_WORD | NC_BIT(FLASH, CONTROL_SWAP));
    for (uint32_t i = 0; i < n_words; i++) {
        NC_WRITE(FLASH, DATA, nc_get_u32(bytes + (size_t)4 * i));
        if (i > 0) {
            (void)take();
        }
    }
    if (n_words > 0) {
        (void)take();
    }
}

uint8_t nc_nor_read(const struct nc_nor *nor, uint32_t offset, uint8_t *bytes, uint32_t n_bytes)
{
    if (is_outside(nor, offset, n_bytes)) {
        return NC_DEVICE_ERROR_FLASH_FAILED;
    }
    (void)exchange(SEND_WORD, READ_DUAL << 24 | (nor->base + offset));
    (void)exchange(TAKE_BYTE, 0); /* the dummy; the chip then drives line 0 */
    take_words(bytes, n_bytes / 4u);
    take_bytes(bytes + n_bytes / 4u * 4u, n_bytes % 4u);
    deselect();
    return NC_DEVICE_ERROR_OK;
}

/* Allows one change of the cells; false if the chip does not take it. */
static bool enable_writing(void)
{
    command(WRITE_ENABLE);
    return (read_status() & (STATUS_WRITE_ENABLED | STATUS_BUSY)) == STATUS_WRITE_ENABLED;
}

/* The chip clears its write enable when it is done: if not, it did nothing. */
static uint8_t finish(uint32_t limit_ms)
{
    deselect();
    return wait_until_done(limit_ms) && (read_status() & STATUS_WRITE_ENABLED) == 0
               ? NC_DEVICE_ERROR_OK
               : NC_DEVICE_ERROR_FLASH_FAILED;
}

uint8_t nc_nor_erase(const struct nc_nor *nor, uint32_t offset)
{
    if (is_outside(nor, offset, NC_SECTOR_BYTES) || !enable_writing()) {
        return NC_DEVICE_ERROR_FLASH_FAILED;
    }
    (void)exchange(SEND_WORD, ERASE_SECTOR << 24 | (nor->base + offset));
    return finish(ERASE_MS);
}

uint8_t nc_nor_program(const struct nc_nor *nor, uint32_t offset, const uint8_t *bytes,
                       uint32_t n_bytes)
{
    if (is_outside(nor, offset, n_bytes) ||
        offset % NC_PAGE_BYTES + n_bytes > NC_PAGE_BYTES || !enable_writing()) {
        return NC_DEVICE_ERROR_FLASH_FAILED;
    }
    (void)exchange(SEND_WORD, PROGRAM_PAGE << 24 | (nor->base + offset));
    send_words(bytes, n_bytes / 4u);
    for (uint32_t i = n_bytes / 4u * 4u; i < n_bytes; i++) {
        (void)exchange(SEND_BYTE, bytes[i]);
    }
    return finish(PROGRAM_MS);
}

void nc_nor_read_unique_id(uint32_t words[2])
{
    uint8_t bytes[8];
    (void)exchange(SEND_BYTE, READ_UNIQUE_ID);
    (void)exchange(SEND_WORD, 0); /* dummies */
    for (uint32_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)exchange(TAKE_BYTE, 0);
    }
    deselect();
    nc_get_words(words, bytes, 2);
}
