#include "nc_step.h"

#include "nc_bytes.h"
#include "nc_crc32.h"
#include "nc_firmware.h"
#include "nc_run.h"

#define CHUNK_BYTES 256u
#define DESCRIPTOR_BYTES (4u * NC_DESCRIPTOR_WORDS)

/* What a descriptor writes. */
struct output {
    uint32_t addr;
    uint32_t h, w, c;
    uint32_t row_stride, pixel_stride, channel_stride;
};

uint32_t nc_step_count(const struct nc_image *image)
{
    return nc_image_section(image, NC_SECTION_KIND_PROGRAM)->length / DESCRIPTOR_BYTES - 1u;
}

bool nc_step_is_end(const struct nc_hal *hal, const struct nc_image *image, uint32_t index)
{
    uint32_t words[NC_DESCRIPTOR_WORDS];
    return nc_run_words(hal, image, index, words) == NC_DEVICE_ERROR_OK &&
           NC_GET_DESCRIPTOR_OPCODE(words) == NC_OPCODE_END;
}

static bool read_output(const uint32_t *words, const struct nc_image *image, struct output *out)
{
    out->addr = NC_GET_DESCRIPTOR_OUT_ADDR(words);
    out->h = NC_GET_DESCRIPTOR_OUT_H(words);
    out->w = NC_GET_DESCRIPTOR_OUT_W(words);
    out->c = NC_GET_DESCRIPTOR_OUT_C(words);
    out->row_stride = NC_GET_DESCRIPTOR_OUT_ROW_STRIDE(words);
    out->pixel_stride = NC_GET_DESCRIPTOR_OUT_PIXEL_STRIDE(words);
    out->channel_stride = NC_GET_DESCRIPTOR_OUT_CHANNEL_STRIDE(words);
    if (out->h == 0 || out->w == 0 || out->c == 0) {
        return false;
    }
    const uint64_t last = out->addr + (uint64_t)(out->h - 1u) * out->row_stride +
                          (uint64_t)(out->w - 1u) * out->pixel_stride +
                          (uint64_t)(out->c - 1u) * out->channel_stride;
    /* The second bounds the time that strides of 0 could cost. */
    return last < image->activation_bytes &&
           (uint64_t)out->h * out->w * out->c <= image->activation_bytes;
}

/* Adds `n_bytes` bytes, `stride` apart, to a CRC. */
NC_OWN_FRAME static uint8_t add_bytes(const struct nc_hal *hal, uint32_t address, uint32_t n_bytes,
                                      uint32_t stride, uint32_t *crc)
{
    uint8_t chunk[CHUNK_BYTES];
    const uint32_t most = stride == 1 ? CHUNK_BYTES : 1u;
    uint8_t error = NC_DEVICE_ERROR_OK;
    while (n_bytes > 0 && error == NC_DEVICE_ERROR_OK) {
        const uint32_t n = nc_min(n_bytes, most);
        error = hal->npu->read(hal->context, address, chunk, n);
        *crc = nc_crc32(*crc, chunk, n);
        address += n * stride;
        n_bytes -= n;
    }
    return error;
}

static uint8_t hash_output(const struct nc_hal *hal, const struct output *out, uint32_t *crc)
{
    const bool dense_row =
        out->channel_stride == 1 && (out->pixel_stride == out->c || out->w == 1);
    const uint32_t n_runs = dense_row ? 1u : out->w; /* of a row */
    const uint32_t n_bytes = dense_row ? out->w * out->c : out->c;
    uint8_t error = NC_DEVICE_ERROR_OK;
    *crc = 0;
    for (uint32_t y = 0; y < out->h; y++) {
        for (uint32_t x = 0; x < n_runs && error == NC_DEVICE_ERROR_OK; x++) {
            error = add_bytes(hal, out->addr + y * out->row_stride + x * out->pixel_stride, n_bytes,
                              out->channel_stride, crc);
        }
    }
    return error;
}

static uint8_t put_descriptor(const struct nc_hal *hal, uint32_t index, const uint8_t *raw)
{
    return hal->npu->load(hal->context, NC_SECTION_KIND_PROGRAM, index * DESCRIPTOR_BYTES, raw,
                          DESCRIPTOR_BYTES);
}

/* Runs one descriptor of the NPU, with an END in place of the one after it. */
NC_OWN_FRAME static uint8_t run_alone(const struct nc_hal *hal, const struct nc_image *image,
                                      uint32_t index, struct nc_npu_stop *stop)
{
    uint8_t next[DESCRIPTOR_BYTES];
    const uint8_t end[DESCRIPTOR_BYTES] = {NC_OPCODE_END};
    uint8_t error = nc_run_descriptor(hal, image, index + 1u, next);
    if (error == NC_DEVICE_ERROR_OK) {
        error = put_descriptor(hal, index + 1u, end);
    }
    if (error != NC_DEVICE_ERROR_OK) {
        return error;
    }
    error = hal->npu->run(hal->context, index, stop);
    const uint8_t restored = put_descriptor(hal, index + 1u, next);
    if (error == NC_DEVICE_ERROR_OK && (stop->firmware || stop->descriptor != index + 1u)) {
        error = NC_DEVICE_ERROR_BAD_OPCODE; /* it ran something else */
    }
    return error == NC_DEVICE_ERROR_OK ? restored : error;
}

uint8_t nc_step(const struct nc_hal *hal, const struct nc_image *image, uint32_t index,
                uint32_t *crc, struct nc_npu_stop *stop)
{
    uint32_t words[NC_DESCRIPTOR_WORDS];
    struct output out;
    stop->descriptor = index;
    stop->cycles = 0;
    stop->firmware = false;
    uint8_t error = nc_run_words(hal, image, index, words);
    if (error != NC_DEVICE_ERROR_OK) {
        return error;
    }
    if (!read_output(words, image, &out)) {
        return NC_DEVICE_ERROR_ADDRESS_RANGE;
    }
    error = NC_GET_DESCRIPTOR_OPCODE(words) == NC_OPCODE_FIRMWARE
                ? nc_run_firmware(hal, image, index)
                : run_alone(hal, image, index, stop);
    return error == NC_DEVICE_ERROR_OK ? hash_output(hal, &out, crc) : error;
}
