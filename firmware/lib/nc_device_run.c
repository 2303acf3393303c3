#include "nc_device_run.h"

#include "nc_bytes.h"
#include "nc_device_image.h"
#include "nc_run.h"
#include "nc_step.h"

#define RUN_REQUEST_BYTES (4u * NC_RUN_REQUEST_WORDS)

/* Says where a run ended, or where an error stopped it. */
static uint8_t answer_stop(struct nc_device *device, const struct nc_npu_stop *stop, uint8_t error,
                           uint32_t *n_payload)
{
    nc_put_u32(nc_device_payload(device), stop->descriptor);
    nc_put_u32(nc_device_payload(device) + 4, stop->cycles);
    *n_payload = 4u * NC_START_ANSWER_WORDS;
    return error;
}

/* Runs the network that begins at descriptor `first`. */
static uint8_t start(struct nc_device *device, uint32_t first, uint32_t *n_payload)
{
    struct nc_network network = {0};
    struct nc_npu_stop stop;
    uint32_t index = 0;
    do {
        if (index >= device->image.n_networks) {
            return NC_DEVICE_ERROR_BAD_RANGE;
        }
        const uint8_t error = nc_image_network(&device->hal, &device->image, index++, &network);
        if (error != NC_DEVICE_ERROR_OK) {
            return error;
        }
    } while (network.first != first);
    device->hal.npu->clear_counters(device->hal.context);
    const uint8_t error = nc_run_start(&device->hal, &device->image, first, &stop);
    return answer_stop(device, &stop, error, n_payload);
}

static uint8_t output(struct nc_device *device, uint32_t offset, uint32_t *n_payload)
{
    const uint32_t total = device->image.output_bytes;
    if (offset > total) {
        return NC_DEVICE_ERROR_BAD_RANGE;
    }
    *n_payload = nc_min(total - offset, device->config.max_payload_bytes);
    return nc_run_get(&device->hal, &device->image, offset, nc_device_payload(device), *n_payload);
}

/* Runs `n` descriptors one by one; the answer is the CRC-32 of each one's output. */
static uint8_t step(struct nc_device *device, uint32_t first, uint32_t n, uint32_t *n_payload)
{
    const uint32_t n_there = nc_step_count(&device->image);
    uint8_t *out = nc_device_payload(device);
    struct nc_npu_stop stop;
    uint32_t crc = 0;
    if (first > n_there) {
        return NC_DEVICE_ERROR_BAD_RANGE;
    }
    n = nc_min(nc_min(n, n_there - first), device->config.max_payload_bytes / 4u);
    uint32_t i = 0;
    for (; i < n && !nc_step_is_end(&device->hal, &device->image, first + i); i++) {
        const uint8_t error = nc_step(&device->hal, &device->image, first + i, &crc, &stop);
        if (error != NC_DEVICE_ERROR_OK) {
            return answer_stop(device, &stop, error, n_payload);
        }
        nc_put_u32(out + (size_t)4 * i, crc);
    }
    *n_payload = 4u * i;
    return NC_DEVICE_ERROR_OK;
}

static uint8_t memory(struct nc_device *device, uint32_t address, uint32_t n_bytes,
                      uint32_t *n_payload)
{
    const uint32_t there = device->image.activation_bytes;
    if (address > there || n_bytes > there - address ||
        n_bytes > device->config.max_payload_bytes) {
        return NC_DEVICE_ERROR_BAD_RANGE;
    }
    *n_payload = n_bytes;
    return device->hal.npu->read(device->hal.context, address, nc_device_payload(device), n_bytes);
}

/* Whether a request has the length that its action asks for. */
static bool has_length(uint32_t action, uint32_t n_bytes)
{
    switch (action) {
    case NC_RUN_ACTION_INPUT:
        return true;
    case NC_RUN_ACTION_STEP:
    case NC_RUN_ACTION_MEMORY:
        return n_bytes == 4u * NC_RUN_LENGTH_WORDS;
    default:
        return action <= NC_RUN_ACTION_MEMORY && n_bytes == 0;
    }
}

/* An action on the loaded image. `rest` is what follows the RunRequest. */
static uint8_t act(struct nc_device *device, uint32_t action, uint32_t argument,
                   const uint8_t *rest, uint32_t n_rest, uint32_t *n_payload)
{
    switch (action) {
    case NC_RUN_ACTION_INPUT:
        return nc_run_put(&device->hal, &device->image, argument, rest, n_rest);
    case NC_RUN_ACTION_START:
        return start(device, argument, n_payload);
    case NC_RUN_ACTION_OUTPUT:
        return output(device, argument, n_payload);
    case NC_RUN_ACTION_STEP:
        return step(device, argument, nc_get_u32(rest), n_payload);
    default:
        return memory(device, argument, nc_get_u32(rest), n_payload);
    }
}

uint8_t nc_device_run(struct nc_device *device, const struct nc_frame *frame, uint32_t *n_payload)
{
    uint32_t words[NC_RUN_REQUEST_WORDS];
    if (frame->n_payload < RUN_REQUEST_BYTES) {
        return NC_DEVICE_ERROR_BAD_REQUEST;
    }
    nc_get_words(words, frame->payload, NC_RUN_REQUEST_WORDS);
    const uint32_t action = NC_GET_RUN_REQUEST_ACTION(words);
    const uint32_t argument = NC_GET_RUN_REQUEST_ARGUMENT(words);
    const uint32_t n_rest = frame->n_payload - RUN_REQUEST_BYTES;
    if (!has_length(action, n_rest)) {
        return NC_DEVICE_ERROR_BAD_REQUEST;
    }
    if (device->hal.npu == NULL) {
        return NC_DEVICE_ERROR_NO_NPU;
    }
    if (action == NC_RUN_ACTION_LOAD) {
        return nc_device_load_slot(device, argument);
    }
    return device->loaded_slot == NC_NO_SLOT
               ? (uint8_t)NC_DEVICE_ERROR_NO_IMAGE
               : act(device, action, argument, frame->payload + RUN_REQUEST_BYTES, n_rest,
                     n_payload);
}

uint8_t nc_device_counters(struct nc_device *device, const struct nc_frame *frame,
                           uint32_t *n_payload)
{
    const uint32_t n_record = 4u * NC_COUNTER_RECORD_WORDS;
    uint32_t words[NC_COUNTER_RECORD_WORDS];
    if (frame->n_payload != 4u * NC_COUNTERS_REQUEST_WORDS) {
        return NC_DEVICE_ERROR_BAD_REQUEST;
    }
    if (device->loaded_slot == NC_NO_SLOT) {
        return NC_DEVICE_ERROR_NO_IMAGE;
    }
    const uint32_t first = nc_get_u32(frame->payload);
    const uint32_t n_there = nc_image_section(&device->image, NC_SECTION_KIND_PROGRAM)->length /
                             (4u * NC_DESCRIPTOR_WORDS);
    const uint32_t n_fit = device->config.max_payload_bytes / n_record;
    const uint32_t n = first < n_there ? nc_min(n_there - first, n_fit) : 0;
    for (uint32_t i = 0; i < n; i++) {
        device->hal.npu->counters(device->hal.context, first + i, words);
        for (uint32_t j = 0; j < NC_COUNTER_RECORD_WORDS; j++) {
            nc_put_u32(nc_device_payload(device) + (size_t)n_record * i + (size_t)4 * j, words[j]);
        }
    }
    *n_payload = n * n_record;
    return NC_DEVICE_ERROR_OK;
}
