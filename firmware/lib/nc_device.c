#include "nc_device.h"

#include "nc_bytes.h"
#include "nc_device_image.h"
#include "nc_device_run.h"

/* A request's range, where it begins with a SlotRange. */
struct range {
    uint32_t slot;
    uint32_t offset;
    uint32_t length;
};

#define SLOT_RANGE_BYTES (4u * NC_SLOT_RANGE_WORDS)

void nc_device_begin(struct nc_device *device, const struct nc_hal *hal,
                     const struct nc_config *config)
{
    device->hal = *hal;
    device->config = *config;
    device->loaded_slot = NC_NO_SLOT;
    device->has_answered = false;
    device->last_sequence = 0;
    device->proving_baud = false;
    device->log.n_bytes = 0;
    device->n_encoded = 0;
    nc_frame_reader_begin(&device->reader);
    nc_store_begin(&device->store, &device->hal, config->slot_sectors);
    nc_device_boot(device);
}

static uint8_t answer_hello(struct nc_device *device, uint32_t *n_payload)
{
    const struct nc_config *config = &device->config;
    const struct nc_limits *limits = &config->limits;
    uint8_t *out = nc_device_payload(device);
    const uint32_t words[NC_HELLO_ANSWER_WORDS] = {
        NC_PUT_HELLO_ANSWER_VERSION(NC_PROTOCOL_VERSION) |
            NC_PUT_HELLO_ANSWER_WINDOW_FRAMES(config->window_frames) |
            NC_PUT_HELLO_ANSWER_MAX_PAYLOAD_BYTES(config->max_payload_bytes),
        NC_PUT_HELLO_ANSWER_ABI_LEVEL(limits->abi_level) |
            NC_PUT_HELLO_ANSWER_LANES(config->lanes),
        config->firmware_version & 0xffffffu,
        NC_PUT_HELLO_ANSWER_ACTIVE_SLOT(device->store.commit.slot) |
            NC_PUT_HELLO_ANSWER_LOADED_SLOT(device->loaded_slot) |
            NC_PUT_HELLO_ANSWER_N_SLOTS(NC_N_SLOTS),
        config->unique_id_lo,
        config->unique_id_hi,
        device->store.slot_bytes,
        limits->activation_bytes,
        limits->weight_bytes,
        limits->vector_weight_bytes,
        limits->n_descriptors,
        limits->n_tiles,
        limits->n_columns,
        limits->n_tables,
        config->clock_hz,
    };
    for (uint32_t i = 0; i < NC_HELLO_ANSWER_WORDS; i++) {
        nc_put_u32(out + (size_t)4 * i, words[i]);
    }
    out += 4u * NC_HELLO_ANSWER_WORDS;
    nc_copy(out, limits->chip_name, NC_IMAGE_HEADER_CHIP_NAME_BYTES);
    nc_copy(out + NC_IMAGE_HEADER_CHIP_NAME_BYTES, limits->chip_hash,
            NC_IMAGE_HEADER_CHIP_HASH_BYTES);
    *n_payload = 4u * NC_HELLO_ANSWER_WORDS + NC_IMAGE_HEADER_CHIP_NAME_BYTES +
                 NC_IMAGE_HEADER_CHIP_HASH_BYTES;
    device->proving_baud = false;
    return NC_DEVICE_ERROR_OK;
}

static bool get_range(const struct nc_frame *frame, struct range *range)
{
    uint32_t words[NC_SLOT_RANGE_WORDS];
    if (frame->n_payload < SLOT_RANGE_BYTES) {
        return false;
    }
    nc_get_words(words, frame->payload, NC_SLOT_RANGE_WORDS);
    range->slot = NC_GET_SLOT_RANGE_SLOT(words);
    range->offset = NC_GET_SLOT_RANGE_OFFSET(words);
    range->length = NC_GET_SLOT_RANGE_LENGTH(words);
    return true;
}

static uint8_t erase(struct nc_device *device, const struct range *range)
{
    if (range->length != 0) {
        return NC_DEVICE_ERROR_BAD_REQUEST;
    }
    const uint8_t error = nc_store_erase(&device->store, range->slot, range->offset);
    if (error == NC_DEVICE_ERROR_OK && range->slot == device->loaded_slot) {
        device->loaded_slot = NC_NO_SLOT;
    }
    return error;
}

static uint8_t write(struct nc_device *device, const struct nc_frame *frame,
                     const struct range *range, uint32_t *n_payload)
{
    if (range->length != frame->n_payload - SLOT_RANGE_BYTES) {
        return NC_DEVICE_ERROR_BAD_REQUEST;
    }
    const uint8_t error = nc_store_write(&device->store, range->slot, range->offset,
                                         frame->payload + SLOT_RANGE_BYTES, range->length);
    nc_put_u32(nc_device_payload(device), device->store.next_offset);
    *n_payload = 4u * NC_WRITE_ANSWER_WORDS;
    return error;
}

static uint8_t data(struct nc_device *device, const struct nc_frame *frame, uint32_t *n_payload)
{
    const uint32_t n_head = 4u * NC_DATA_REQUEST_WORDS;
    if (frame->n_payload < n_head) {
        return NC_DEVICE_ERROR_BAD_REQUEST;
    }
    const uint8_t error = nc_store_data(&device->store, nc_get_u32(frame->payload),
                                        frame->payload + n_head, frame->n_payload - n_head);
    nc_put_u32(nc_device_payload(device), device->store.next_offset);
    nc_put_u32(nc_device_payload(device) + 4, device->store.grains);
    *n_payload = 4u * NC_DATA_ANSWER_WORDS;
    return error;
}

static uint8_t read(struct nc_device *device, const struct range *range, uint32_t *n_payload)
{
    if (range->length > device->config.max_payload_bytes) {
        return NC_DEVICE_ERROR_BAD_RANGE;
    }
    *n_payload = range->length;
    return nc_store_read(&device->store, range->slot, range->offset, nc_device_payload(device),
                         range->length);
}

static uint8_t verify(struct nc_device *device, const struct range *range, uint32_t *n_payload)
{
    struct nc_image image;
    *n_payload = NC_SHA256_BYTES;
    if (range->length > 0) {
        return nc_store_hash(&device->store, range->slot, range->offset, range->length,
                             nc_device_payload(device));
    }
    const uint8_t error = nc_device_check_slot(device, range->slot, &image);
    if (error == NC_DEVICE_ERROR_OK) {
        nc_copy(nc_device_payload(device), image.sha256, NC_SHA256_BYTES);
    }
    return error;
}

static uint8_t activate(struct nc_device *device, uint32_t slot, uint32_t *n_payload)
{
    const uint8_t error = nc_device_activate(device, slot);
    nc_put_u32(nc_device_payload(device), device->store.commit.counter);
    *n_payload = 4u * NC_ACTIVATE_ANSWER_WORDS;
    return error;
}

/* Requests that begin with a SlotRange. */
static uint8_t execute_on_slot(struct nc_device *device, const struct nc_frame *frame,
                               uint32_t *n_payload)
{
    struct range range;
    if (!get_range(frame, &range) ||
        (frame->type != NC_FRAME_TYPE_WRITE && frame->n_payload != SLOT_RANGE_BYTES)) {
        return NC_DEVICE_ERROR_BAD_REQUEST;
    }
    switch (frame->type) {
    case NC_FRAME_TYPE_ERASE:
        return erase(device, &range);
    case NC_FRAME_TYPE_WRITE:
        return write(device, frame, &range, n_payload);
    case NC_FRAME_TYPE_READ:
        return read(device, &range, n_payload);
    case NC_FRAME_TYPE_VERIFY:
        return verify(device, &range, n_payload);
    default:
        return activate(device, range.slot, n_payload);
    }
}

/* Requests about the device as a whole. */
static uint8_t execute_on_device(struct nc_device *device, const struct nc_frame *frame,
                                 uint32_t *n_payload)
{
    if (frame->n_payload != (frame->type == NC_FRAME_TYPE_BAUD ? 4u * NC_BAUD_REQUEST_WORDS : 0)) {
        return NC_DEVICE_ERROR_BAD_REQUEST;
    }
    switch (frame->type) {
    case NC_FRAME_TYPE_HELLO:
        return answer_hello(device, n_payload);
    case NC_FRAME_TYPE_LOG:
        *n_payload =
            nc_log_take(&device->log, nc_device_payload(device), device->config.max_payload_bytes);
        return NC_DEVICE_ERROR_OK;
    case NC_FRAME_TYPE_RESET:
        return NC_DEVICE_ERROR_OK;
    default: /* BAUD: it changes once this is answered */
        return device->hal.uart_can(device->hal.context, nc_get_u32(frame->payload))
                   ? NC_DEVICE_ERROR_OK
                   : NC_DEVICE_ERROR_BAD_RANGE;
    }
}

static uint8_t execute(struct nc_device *device, const struct nc_frame *frame,
                       uint32_t *n_payload)
{
    const bool in_transfer =
        frame->type == NC_FRAME_TYPE_WRITE || frame->type == NC_FRAME_TYPE_DATA;
    const uint8_t unfinished =
        in_transfer ? (uint8_t)NC_DEVICE_ERROR_OK : nc_store_finish(&device->store);
    switch (frame->type) {
    case NC_FRAME_TYPE_HELLO:
    case NC_FRAME_TYPE_LOG:
    case NC_FRAME_TYPE_RESET:
    case NC_FRAME_TYPE_BAUD:
        return execute_on_device(device, frame, n_payload);
    case NC_FRAME_TYPE_ERASE:
    case NC_FRAME_TYPE_WRITE:
    case NC_FRAME_TYPE_READ:
    case NC_FRAME_TYPE_VERIFY:
    case NC_FRAME_TYPE_ACTIVATE:
        return unfinished != NC_DEVICE_ERROR_OK ? unfinished
                                                : execute_on_slot(device, frame, n_payload);
    case NC_FRAME_TYPE_RUN:
        return nc_device_run(device, frame, n_payload);
    case NC_FRAME_TYPE_DATA:
        return data(device, frame, n_payload);
    case NC_FRAME_TYPE_COUNTERS:
        return nc_device_counters(device, frame, n_payload);
    default:
        return NC_DEVICE_ERROR_BAD_REQUEST;
    }
}

/* What a request asks for once its answer is on the way. */
static void act_after_answer(struct nc_device *device, const struct nc_frame *frame)
{
    if (frame->type == NC_FRAME_TYPE_BAUD) {
        const uint32_t baud = nc_get_u32(frame->payload);
        device->hal.uart_set(device->hal.context, baud);
        device->proving_baud = true;
        device->baud_deadline_ms = device->hal.now_ms(device->hal.context) + NC_BAUD_PROBE_MS;
    }
    if (frame->type == NC_FRAME_TYPE_RESET) {
        device->hal.reset(device->hal.context);
    }
}

static void answer(struct nc_device *device, const struct nc_frame *frame)
{
    uint32_t n_payload = 0;
    const uint8_t status = execute(device, frame, &n_payload);
    const bool stopped = frame->type == NC_FRAME_TYPE_RUN && n_payload == 4u * NC_START_ANSWER_WORDS;
    const uint32_t header = NC_PUT_FRAME_HEADER_TYPE(frame->type | NC_ANSWER) |
                            NC_PUT_FRAME_HEADER_STATUS(status) |
                            NC_PUT_FRAME_HEADER_SEQUENCE(frame->sequence);
    if (status != NC_DEVICE_ERROR_OK && !(stopped && status < NC_DEVICE_ERROR_BAD_REQUEST)) {
        n_payload = 0;
    }
    device->has_answered = true;
    device->last_sequence = frame->sequence;
    device->n_encoded = nc_frame_encode(device->raw, header, n_payload, device->encoded);
    device->hal.uart_write(device->hal.context, device->encoded, device->n_encoded);
    if (status == NC_DEVICE_ERROR_OK) {
        act_after_answer(device, frame);
    }
}

static void handle(struct nc_device *device, const struct nc_frame *frame)
{
    const uint32_t behind = (uint16_t)(device->last_sequence - frame->sequence);
    if ((frame->type & NC_ANSWER) != 0 || frame->status != 0) {
        return; /* an echo, or no request */
    }
    if (frame->type != NC_FRAME_TYPE_HELLO && device->has_answered &&
        behind <= NC_STALE_REQUESTS) {
        if (behind == 0) {
            device->hal.uart_write(device->hal.context, device->encoded, device->n_encoded);
        }
        return;
    }
    answer(device, frame);
}

void nc_device_take(struct nc_device *device, const uint8_t *bytes, uint32_t n_bytes)
{
    struct nc_frame frame;
    for (uint32_t i = 0; i < n_bytes; i++) {
        if (nc_frame_take(&device->reader, bytes[i], &frame)) {
            handle(device, &frame);
        }
    }
}

void nc_device_poll(struct nc_device *device)
{
    const uint32_t now = device->hal.now_ms(device->hal.context);
    if (device->proving_baud && (int32_t)(now - device->baud_deadline_ms) >= 0) {
        device->proving_baud = false;
        device->hal.uart_set(device->hal.context, NC_DEFAULT_BAUD);
    }
}
