/* The device on the SoC: what the hardware says it is, then the library, for ever. */

#include "../hal/overlay/nc_board.h"
#include "../hal/overlay/nc_mmio.h"
#include "../hal/overlay/nc_serial.h"
#include "../hal/overlay/nc_time.h"
#include "../lib/nc_bytes.h"
#include "../lib/nc_device.h"
#include "nc_chip.h" /* made by the build */
#include "nc_trap.h"

#define CHUNK_BYTES 64u

struct nc_trap_record nc_trap_record __attribute__((section(".keep")));

const uint32_t nc_reset_register = NC_SYSTEM_BASE + NC_SYSTEM_RESET_OFFSET;

static struct nc_board board;
static struct nc_device device;

_Noreturn void nc_main(void);

/* Records share one memory and weights another. */
static void read_limits(struct nc_limits *limits)
{
    static const uint8_t name[NC_IMAGE_HEADER_CHIP_NAME_BYTES] = NC_CHIP_NAME;
    static const uint8_t hash[NC_IMAGE_HEADER_CHIP_HASH_BYTES] = NC_CHIP_HASH;
    const uint32_t n_words = NC_READ(NPU, RECORD_WORDS);
    nc_copy(limits->chip_name, name, sizeof name);
    nc_copy(limits->chip_hash, hash, sizeof hash);
    limits->abi_level = NC_FIELD(NPU, ID_ABI_LEVEL, NC_READ(NPU, ID));
    limits->activation_bytes = NC_READ(NPU, ACTIVATION_BYTES);
    limits->weight_bytes = NC_READ(NPU, WEIGHT_BYTES);
    limits->vector_weight_bytes = limits->weight_bytes;
    limits->n_descriptors = nc_min(NC_READ(NPU, N_DESCRIPTORS), n_words / NC_DESCRIPTOR_WORDS);
    limits->n_tiles = n_words / NC_TILE_WORDS;
    limits->n_columns = n_words / NC_COLUMN_WORDS;
    limits->n_tables = 4u * n_words / NC_TABLE_BYTES;
    limits->record_bytes = 4u * n_words;
}

static void read_config(struct nc_config *config)
{
    uint32_t id[2];
    nc_board_unique_id(id);
    read_limits(&config->limits);
    config->slot_sectors =
        nc_min((board.nor.n_bytes / NC_SECTOR_BYTES - NC_SLOT_TABLE_SECTORS) / NC_N_SLOTS,
               NC_MAX_SLOT_SECTORS);
    config->lanes = NC_FIELD(NPU, ID_LANES, NC_READ(NPU, ID));
    config->clock_hz = NC_READ(SYSTEM, CLOCK_HZ);
    config->firmware_version = NC_FIRMWARE_VERSION;
    config->unique_id_lo = id[0];
    config->unique_id_hi = id[1];
    config->max_payload_bytes = NC_PAYLOAD_BYTES;
    config->window_frames = /* that the UART's FIFO holds while a page is programmed */
        nc_min(NC_READ(SYSTEM, RECEIVE_BYTES) / NC_ENCODED_BYTES, NC_MAX_WINDOW_FRAMES);
}

/* Says why the device has started, unless it was the power. */
static void log_start(struct nc_log *log)
{
    const uint32_t cause = NC_READ(SYSTEM, CAUSE);
    if (nc_trap_record.magic == NC_TRAP_MAGIC) {
        nc_log_add(log, "trap %", nc_trap_record.cause);
        nc_log_add(log, " at %", nc_trap_record.pc);
        nc_log_add(log, ", value %\n", nc_trap_record.value);
    } else if ((cause & NC_BIT(SYSTEM, CAUSE_WATCHDOG)) != 0) {
        nc_log_add(log, "restarted by the watchdog\n", 0);
    } else if ((cause & NC_BIT(SYSTEM, CAUSE_BUS)) != 0) {
        nc_log_add(log, "restarted by a bus error\n", 0);
    } else if ((cause & NC_BIT(SYSTEM, CAUSE_SOFTWARE)) != 0) {
        nc_log_add(log, "restarted\n", 0);
    }
    nc_trap_record.magic = 0;
}

static void log_losses(struct nc_log *log, uint32_t *seen)
{
    const uint32_t lost = NC_READ(UART, OVERRUNS);
    if (lost != *seen) {
        nc_log_add(log, "% bytes lost by the UART\n", lost - *seen);
        *seen = lost;
    }
}

_Noreturn void nc_main(void)
{
    static struct nc_config config;
    struct nc_hal hal;
    uint8_t bytes[CHUNK_BYTES];
    uint32_t n_lost = 0;
    nc_time_feed_watchdog();
    nc_serial_set(NC_DEFAULT_BAUD);
    nc_board_begin(&board, &hal);
    read_config(&config);
    nc_device_begin(&device, &hal, &config);
    log_start(&device.log);
    for (;;) {
        const uint32_t n = nc_serial_read(bytes, sizeof bytes);
        if (n > 0) {
            nc_device_take(&device, bytes, n);
            log_losses(&device.log, &n_lost);
        }
        nc_device_poll(&device);
        nc_time_feed_watchdog();
    }
}
