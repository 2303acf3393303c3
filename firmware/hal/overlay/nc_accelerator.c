#include "nc_accelerator.h"

#include "../../lib/nc_bytes.h"
#include "nc_mmio.h"
#include "nc_time.h"

#define RUN_SECONDS 10u /* the hardware's watchdog; the host waits for 20 s */
#define RUN_MS 11000u   /* for an NPU that does not answer at all */
#define STOP_MS 10u

/* Where a section goes, and the layout registers that say so; 0: none. */
struct place {
    uint32_t window;
    uint32_t item_bytes; /* COUNT is in these */
    uint32_t first_offset;
    uint32_t count_offset;
};

#define NO_REGISTER 0u /* a read-only one */

static const struct place places[NC_N_PLACES] = {
    [NC_SECTION_KIND_PROGRAM] = {NC_RECORDS_BASE, 4u * NC_DESCRIPTOR_WORDS,
                                 NC_NPU_LAYOUT_PROGRAM_OFFSET, NC_NPU_LAYOUT_N_DESCRIPTORS_OFFSET},
    [NC_SECTION_KIND_TILES] = {NC_RECORDS_BASE, 4u * NC_TILE_WORDS, NC_NPU_LAYOUT_TILES_OFFSET,
                               NC_NPU_LAYOUT_N_TILES_OFFSET},
    [NC_SECTION_KIND_COLUMNS] = {NC_RECORDS_BASE, 4u * NC_COLUMN_WORDS,
                                 NC_NPU_LAYOUT_COLUMNS_OFFSET, NC_NPU_LAYOUT_N_COLUMNS_OFFSET},
    [NC_SECTION_KIND_WEIGHTS] = {NC_WEIGHTS_BASE, 1, NO_REGISTER,
                                 NC_NPU_LAYOUT_N_CELL_BYTES_OFFSET},
    [NC_SECTION_KIND_VECTOR_WEIGHTS] = {NC_WEIGHTS_BASE, 1, NC_NPU_LAYOUT_VECTOR_WEIGHTS_OFFSET,
                                        NC_NPU_LAYOUT_N_VECTOR_BYTES_OFFSET},
    [NC_SECTION_KIND_TABLES] = {NC_RECORDS_BASE, NC_TABLE_BYTES, NC_NPU_LAYOUT_TABLES_OFFSET,
                                NC_NPU_LAYOUT_N_TABLES_OFFSET},
};

static void set_register(uint32_t offset, uint32_t value)
{
    if (offset != NO_REGISTER) {
        nc_mmio_write(NC_NPU_BASE + offset, value);
    }
}

/* Writes bytes to a window, as words where they are aligned. */
static void put(uint32_t address, const uint8_t *bytes, uint32_t n_bytes)
{
    uint32_t at = 0;
    for (; at < n_bytes && (address + at) % 4u != 0; at++) {
        nc_mmio_write_byte(address + at, bytes[at]);
    }
    for (; n_bytes - at >= 4u; at += 4u) {
        nc_mmio_write(address + at, nc_get_u32(bytes + at));
    }
    for (; at < n_bytes; at++) {
        nc_mmio_write_byte(address + at, bytes[at]);
    }
}

static void get(uint32_t address, uint8_t *bytes, uint32_t n_bytes)
{
    uint32_t at = 0;
    while (at < n_bytes) {
        const uint32_t skipped = (address + at) % 4u;
        uint32_t word = nc_mmio_read(address + at - skipped) >> 8u * skipped;
        for (uint32_t n = 4u - skipped; n > 0 && at < n_bytes; n--) {
            bytes[at++] = (uint8_t)word;
            word >>= 8u;
        }
    }
}

/* Empties the layout: what is not loaded is not there. */
static void begin(void *context, uint32_t activation_bytes)
{
    struct nc_accelerator *npu = context;
    npu->n_record_bytes = 0;
    npu->n_weight_bytes = 0;
    for (uint32_t i = 0; i < NC_N_PLACES; i++) {
        npu->sections[i].first = 0;
        npu->sections[i].n_bytes = 0;
        set_register(places[i].first_offset, 0);
        set_register(places[i].count_offset, 0);
    }
    NC_WRITE(NPU, LAYOUT_N_ACTIVATION_BYTES, activation_bytes);
}

/* Makes room for a section up to its byte `end`; a section that is not its memory's last is full. */
static bool grow(struct nc_accelerator *npu, uint32_t kind, uint32_t end)
{
    const struct place *place = &places[kind];
    const bool in_records = place->window == NC_RECORDS_BASE;
    uint32_t *taken = in_records ? &npu->n_record_bytes : &npu->n_weight_bytes;
    const uint32_t size =
        in_records ? 4u * NC_READ(NPU, RECORD_WORDS) : NC_READ(NPU, WEIGHT_BYTES);
    if (npu->sections[kind].n_bytes == 0) {
        npu->sections[kind].first = *taken;
        set_register(place->first_offset, in_records ? *taken / 4u : *taken);
    }
    const uint32_t first = npu->sections[kind].first;
    if (first + npu->sections[kind].n_bytes != *taken || end > size - first) {
        return false;
    }
    *taken = first + end;
    npu->sections[kind].n_bytes = end;
    set_register(place->count_offset, end / place->item_bytes);
    return true;
}

/* Sections come one after the other, each from its first byte on; what is there may be replaced. */
static uint8_t load(void *context, uint32_t section_kind, uint32_t offset, const uint8_t *bytes,
                    uint32_t n_bytes)
{
    struct nc_accelerator *npu = context;
    if (section_kind >= NC_N_PLACES || places[section_kind].window == 0 ||
        offset > npu->sections[section_kind].n_bytes ||
        (offset + n_bytes > npu->sections[section_kind].n_bytes &&
         !grow(npu, section_kind, offset + n_bytes))) {
        return NC_DEVICE_ERROR_DOES_NOT_FIT;
    }
    put(places[section_kind].window + npu->sections[section_kind].first + offset, bytes, n_bytes);
    return NC_DEVICE_ERROR_OK;
}

static uint8_t read_activations(void *context, uint32_t address, uint8_t *bytes, uint32_t n_bytes)
{
    (void)context;
    get(NC_ACTIVATIONS_BASE + address, bytes, n_bytes);
    return NC_DEVICE_ERROR_OK;
}

static uint8_t write_activations(void *context, uint32_t address, const uint8_t *bytes,
                                 uint32_t n_bytes)
{
    (void)context;
    put(NC_ACTIVATIONS_BASE + address, bytes, n_bytes);
    return NC_DEVICE_ERROR_OK;
}

/* Waits while a bit of STATUS is set; false if it takes too long. */
static bool wait_while(uint32_t bit, uint32_t limit_ms)
{
    const uint32_t since = nc_time_ms();
    while ((NC_READ(NPU, STATUS) & bit) != 0) {
        if (nc_time_ms() - since > limit_ms) {
            return false;
        }
    }
    return true;
}

static uint8_t run(void *context, uint32_t first, struct nc_npu_stop *stop)
{
    (void)context;
    NC_WRITE(NPU, FIRST, first);
    NC_WRITE(NPU, WATCHDOG, RUN_SECONDS * NC_READ(SYSTEM, CLOCK_HZ));
    NC_WRITE(NPU, CONTROL, NC_BIT(NPU, CONTROL_START));
    const bool ended = wait_while(NC_BIT(NPU, STATUS_BUSY), RUN_MS);
    const uint32_t status = NC_READ(NPU, STATUS);
    if (!ended) {
        NC_WRITE(NPU, CONTROL, NC_BIT(NPU, CONTROL_STOP));
        (void)wait_while(NC_BIT(NPU, STATUS_BUSY), STOP_MS);
    }
    stop->descriptor = NC_READ(NPU, DESCRIPTOR);
    stop->cycles = NC_READ(NPU, RUN_CYCLES);
    stop->firmware = ended && NC_FIELD(NPU, STATUS_FIRMWARE, status) != 0;
    const bool done = stop->firmware || NC_FIELD(NPU, STATUS_DONE, status) != 0;
    const uint8_t error = (uint8_t)NC_FIELD(NPU, STATUS_ERROR, status);
    if (ended && error != NC_DEVICE_ERROR_OK) {
        return error;
    }
    return ended && done ? NC_DEVICE_ERROR_OK : NC_DEVICE_ERROR_WATCHDOG;
}

static void clear_counters(void *context)
{
    (void)context;
    NC_WRITE(NPU, CONTROL, NC_BIT(NPU, CONTROL_CLEAR));
    (void)wait_while(NC_BIT(NPU, STATUS_CLEARING), STOP_MS);
}

static void counters(void *context, uint32_t descriptor, uint32_t words[NC_COUNTER_RECORD_WORDS])
{
    (void)context;
    NC_WRITE(NPU, COUNTER_SELECT, descriptor);
    words[NC_COUNTER_RECORD_CYCLES_WORD] = NC_READ(NPU, CYCLES);
    words[NC_COUNTER_RECORD_STALLS_WORD] = NC_READ(NPU, STALLS);
    words[NC_COUNTER_RECORD_MACS_WORD] = NC_READ(NPU, MACS);
    words[NC_COUNTER_RECORD_CONVERSIONS_WORD] = NC_READ(NPU, CONVERSIONS);
    words[NC_COUNTER_RECORD_SATURATED_WORD] = NC_READ(NPU, SATURATED);
}

const struct nc_npu nc_accelerator_npu = {
    .begin = begin,
    .load = load,
    .read = read_activations,
    .write = write_activations,
    .run = run,
    .clear_counters = clear_counters,
    .counters = counters,
};
