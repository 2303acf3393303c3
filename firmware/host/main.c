/* norcim-fw-host: the device library on standard input and output, its flash in a file.
 *
 *   norcim-fw-host [--flash FILE] [--slot-sectors N] [--abi N] [--chip NAME SHA256]
 *                  [--window N] [--payload N]
 *
 * It has no NPU: it stores and checks images, and answers NO_NPU to what would run one. */

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../lib/nc_device.h"
#include "file_flash.h"

struct board {
    struct file_flash flash;
    bool reset;
};

static uint8_t read_flash(void *context, uint32_t offset, uint8_t *bytes, uint32_t n_bytes)
{
    return file_flash_read(&((struct board *)context)->flash, offset, bytes, n_bytes);
}

static uint8_t erase_flash(void *context, uint32_t offset)
{
    return file_flash_erase(&((struct board *)context)->flash, offset);
}

static uint8_t program_flash(void *context, uint32_t offset, const uint8_t *bytes,
                             uint32_t n_bytes)
{
    return file_flash_program(&((struct board *)context)->flash, offset, bytes, n_bytes);
}

static void write_out(void *context, const uint8_t *bytes, uint32_t n_bytes)
{
    (void)context;
    while (n_bytes > 0) {
        const ssize_t n = write(STDOUT_FILENO, bytes, n_bytes);
        if (n <= 0) {
            exit(0); /* the host is gone */
        }
        bytes += n;
        n_bytes -= (uint32_t)n;
    }
}

static bool can_baud(void *context, uint32_t baud)
{
    (void)context;
    return baud >= 9600 && baud <= 4000000;
}

static void set_baud(void *context, uint32_t baud)
{
    (void)context; /* a pipe has no rate */
    (void)baud;
}

static uint32_t read_clock(void *context)
{
    struct timespec now;
    (void)context;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)now.tv_sec * 1000u + (uint32_t)(now.tv_nsec / 1000000);
}

static void ask_reset(void *context)
{
    ((struct board *)context)->reset = true;
}

static const struct nc_hal host_hal = {
    .flash_read = read_flash,
    .flash_erase = erase_flash,
    .flash_program = program_flash,
    .uart_write = write_out,
    .uart_can = can_baud,
    .uart_set = set_baud,
    .now_ms = read_clock,
    .reset = ask_reset,
};

static struct nc_config config = {
    .limits =
        {
            .abi_level = NC_ABI_LEVEL,
            .activation_bytes = UINT32_MAX,
            .weight_bytes = UINT32_MAX,
            .vector_weight_bytes = UINT32_MAX,
            .n_descriptors = UINT32_MAX,
            .n_tiles = UINT32_MAX,
            .n_columns = UINT32_MAX,
            .n_tables = UINT32_MAX,
            .record_bytes = UINT32_MAX,
        },
    .slot_sectors = NC_MAX_SLOT_SECTORS,
    .firmware_version = 0x000100,
    .unique_id_lo = 0x686f7374,
    .window_frames = 8,
    .max_payload_bytes = NC_MAX_PAYLOAD_BYTES,
};

static _Noreturn void fail(const char *what)
{
    dprintf(STDERR_FILENO, "norcim-fw-host: %s\n", what);
    exit(2);
}

static uint32_t parse_number(const char *text, uint32_t lo, uint32_t hi)
{
    char *end;
    const unsigned long value = strtoul(text, &end, 0);
    if (*text == 0 || *end != 0 || value < lo || value > hi) {
        fail("a number is out of range");
    }
    return (uint32_t)value;
}

static void set_chip(const char *name, const char *hash)
{
    char digits[3] = {0};
    if (strlen(name) > sizeof config.limits.chip_name || strlen(hash) != 64) {
        fail("--chip takes a name and 64 hex digits");
    }
    memcpy(config.limits.chip_name, name, strlen(name));
    for (size_t i = 0; i < sizeof config.limits.chip_hash; i++) {
        memcpy(digits, hash + 2 * i, 2);
        config.limits.chip_hash[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
}

/* Returns the path of the flash, or NULL. */
static const char *parse_arguments(int n, char **arguments)
{
    const char *path = NULL;
    for (int i = 1; i < n; i += 2) {
        const char *name = arguments[i];
        if (i + 1 >= n) {
            fail("an option lacks its value");
        }
        const char *value = arguments[i + 1];
        if (strcmp(name, "--flash") == 0) {
            path = value;
        } else if (strcmp(name, "--slot-sectors") == 0) {
            config.slot_sectors = parse_number(value, 1, NC_MAX_SLOT_SECTORS);
        } else if (strcmp(name, "--abi") == 0) {
            config.limits.abi_level = parse_number(value, 0, 0xffff);
        } else if (strcmp(name, "--window") == 0) {
            config.window_frames = parse_number(value, 1, NC_MAX_WINDOW_FRAMES);
        } else if (strcmp(name, "--payload") == 0) {
            config.max_payload_bytes =
                parse_number(value, NC_MIN_PAYLOAD_BYTES, NC_MAX_PAYLOAD_BYTES);
        } else if (strcmp(name, "--chip") == 0 && i + 2 < n) {
            set_chip(value, arguments[++i + 1]);
        } else {
            fail("unknown option");
        }
    }
    return path;
}

/* Serves until the input ends. */
static void serve(struct nc_device *device, struct board *board, const struct nc_hal *hal)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    uint8_t bytes[4096];
    for (;;) {
        if (poll(&input, 1, 50) > 0) {
            const ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
            if (n <= 0) {
                return;
            }
            for (ssize_t i = 0; i < n && !board->reset; i++) {
                nc_device_take(device, bytes + i, 1);
            }
        }
        nc_device_poll(device);
        if (board->reset) {
            board->reset = false;
            nc_device_begin(device, hal, &config);
        }
    }
}

int main(int n, char **arguments)
{
    static struct board board;
    static struct nc_device device;
    struct nc_hal hal = host_hal;
    const char *path = parse_arguments(n, arguments);
    const char *fault = file_flash_open(
        &board.flash, path, NC_SLOT_TABLE_SECTORS + NC_N_SLOTS * config.slot_sectors);
    if (fault != NULL) {
        fail(fault);
    }
    hal.context = &board;
    nc_device_begin(&device, &hal, &config);
    serve(&device, &board, &hal);
    file_flash_close(&board.flash);
    return 0;
}
