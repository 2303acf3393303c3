#include "nc_run.h"

#include "nc_bytes.h"
#include "nc_firmware.h"

#define CHUNK_BYTES 256u

static uint8_t load_section(const struct nc_hal *hal, const struct nc_image *image, uint32_t kind)
{
    const struct nc_section *section = nc_image_section(image, kind);
    uint8_t chunk[CHUNK_BYTES];
    uint8_t error = NC_DEVICE_ERROR_OK;
    for (uint32_t at = 0; at < section->length && error == NC_DEVICE_ERROR_OK; at += CHUNK_BYTES) {
        const uint32_t n = nc_min(section->length - at, CHUNK_BYTES);
        error = hal->flash_read(hal->context, image->base + section->offset + at, chunk, n);
        if (error == NC_DEVICE_ERROR_OK) {
            error = hal->npu->load(hal->context, kind, at, chunk, n);
        }
    }
    return error;
}

uint8_t nc_run_load(const struct nc_hal *hal, const struct nc_image *image)
{
    static const uint32_t kinds[] = {
        NC_SECTION_KIND_PROGRAM, NC_SECTION_KIND_TILES,          NC_SECTION_KIND_COLUMNS,
        NC_SECTION_KIND_WEIGHTS, NC_SECTION_KIND_VECTOR_WEIGHTS, NC_SECTION_KIND_TABLES,
    };
    uint8_t error = NC_DEVICE_ERROR_OK;
    if (hal->npu == NULL) {
        return NC_DEVICE_ERROR_NO_NPU;
    }
    hal->npu->begin(hal->context, image->activation_bytes);
    for (uint32_t i = 0; i < sizeof kinds / sizeof kinds[0] && error == NC_DEVICE_ERROR_OK; i++) {
        error = load_section(hal, image, kinds[i]);
    }
    return error;
}

/* Bytes that are moved between the ports and a buffer: into the ports from `source`, or out of
 * them into `target`. */
struct move {
    const uint8_t *source;
    uint8_t *target;
    uint32_t at; /* in the buffer */
};

/* Moves `n_bytes` bytes of one port from its byte `index` on. */
static uint8_t move_in_port(const struct nc_hal *hal, const struct nc_port *port, uint32_t index,
                            uint32_t n_bytes, struct move *move)
{
    uint8_t error = NC_DEVICE_ERROR_OK;
    while (n_bytes > 0 && error == NC_DEVICE_ERROR_OK) {
        const uint32_t channel = index % port->c;
        const uint32_t pixel = index / port->c;
        const uint32_t address = port->addr + pixel / port->w * port->row_stride +
                                 pixel % port->w * port->pixel_stride + channel;
        const uint32_t n = nc_min(port->c - channel, n_bytes);
        error = move->target != NULL
                    ? hal->npu->read(hal->context, address, move->target + move->at, n)
                    : hal->npu->write(hal->context, address, move->source + move->at, n);
        move->at += n;
        index += n;
        n_bytes -= n;
    }
    return error;
}

static uint8_t move_bytes(const struct nc_hal *hal, const struct nc_image *image, bool outputs,
                          uint32_t offset, uint32_t n_bytes, struct move *move)
{
    struct nc_port port = {0};
    uint32_t first = 0; /* of the port, among the bytes of all */
    uint8_t error = NC_DEVICE_ERROR_OK;
    const uint32_t total = outputs ? image->output_bytes : image->input_bytes;
    if (offset > total || n_bytes > total - offset) {
        return NC_DEVICE_ERROR_BAD_RANGE;
    }
    for (uint32_t i = 0; i < image->n_ports && n_bytes > 0 && error == NC_DEVICE_ERROR_OK; i++) {
        error = nc_image_port(hal, image, i, &port);
        const uint32_t size = port.h * port.w * port.c;
        if (error != NC_DEVICE_ERROR_OK || port.is_output != outputs) {
            continue;
        }
        if (offset - first < size) {
            const uint32_t n = nc_min(size - (offset - first), n_bytes);
            error = move_in_port(hal, &port, offset - first, n, move);
            offset += n;
            n_bytes -= n;
        }
        first += size;
    }
    return error;
}

uint8_t nc_run_put(const struct nc_hal *hal, const struct nc_image *image, uint32_t offset,
                   const uint8_t *bytes, uint32_t n_bytes)
{
    struct move move = {bytes, NULL, 0};
    return move_bytes(hal, image, false, offset, n_bytes, &move);
}

uint8_t nc_run_get(const struct nc_hal *hal, const struct nc_image *image, uint32_t offset,
                   uint8_t *bytes, uint32_t n_bytes)
{
    struct move move = {NULL, bytes, 0};
    return move_bytes(hal, image, true, offset, n_bytes, &move);
}

uint8_t nc_run_descriptor(const struct nc_hal *hal, const struct nc_image *image, uint32_t index,
                          uint8_t raw[4u * NC_DESCRIPTOR_WORDS])
{
    const struct nc_section *program = nc_image_section(image, NC_SECTION_KIND_PROGRAM);
    const uint32_t n_bytes = 4u * NC_DESCRIPTOR_WORDS;
    return index < program->length / n_bytes
               ? hal->flash_read(hal->context, image->base + program->offset + index * n_bytes, raw,
                                 n_bytes)
               : (uint8_t)NC_DEVICE_ERROR_BAD_OPCODE;
}

uint8_t nc_run_words(const struct nc_hal *hal, const struct nc_image *image, uint32_t index,
                     uint32_t words[NC_DESCRIPTOR_WORDS])
{
    uint8_t raw[4u * NC_DESCRIPTOR_WORDS];
    const uint8_t error = nc_run_descriptor(hal, image, index, raw);
    if (error == NC_DEVICE_ERROR_OK) {
        nc_get_words(words, raw, NC_DESCRIPTOR_WORDS);
    }
    return error;
}

uint8_t nc_run_start(const struct nc_hal *hal, const struct nc_image *image, uint32_t first,
                     struct nc_npu_stop *stop)
{
    uint32_t cycles = 0;
    uint8_t error = hal->npu == NULL ? NC_DEVICE_ERROR_NO_NPU : NC_DEVICE_ERROR_OK;
    stop->descriptor = first;
    stop->cycles = 0;
    stop->firmware = true;
    while (error == NC_DEVICE_ERROR_OK && stop->firmware) {
        stop->descriptor = first;
        stop->cycles = 0;
        stop->firmware = false;
        error = hal->npu->run(hal->context, first, stop);
        cycles += stop->cycles;
        if (error == NC_DEVICE_ERROR_OK && stop->firmware) {
            error = stop->descriptor < first ? (uint8_t)NC_DEVICE_ERROR_BAD_FIELD
                                             : nc_run_firmware(hal, image, stop->descriptor);
            first = stop->descriptor + 1u;
        }
    }
    stop->cycles = cycles;
    return error;
}

/* Feeds a network's inputs of one vector from the flash. */
NC_OWN_FRAME static uint8_t feed(const struct nc_hal *hal, const struct nc_image *image,
                                 const struct nc_network *network, uint32_t vector)
{
    const uint32_t first = image->base +
                           nc_image_section(image, NC_SECTION_KIND_KAT_INPUT)->offset +
                           vector * image->input_bytes;
    const uint32_t end = network->input_at + network->input_bytes;
    uint8_t chunk[CHUNK_BYTES];
    uint8_t error = NC_DEVICE_ERROR_OK;
    for (uint32_t at = network->input_at; at < end && error == NC_DEVICE_ERROR_OK;
         at += CHUNK_BYTES) {
        const uint32_t n = nc_min(end - at, CHUNK_BYTES);
        error = hal->flash_read(hal->context, first + at, chunk, n);
        if (error == NC_DEVICE_ERROR_OK) {
            error = nc_run_put(hal, image, at, chunk, n);
        }
    }
    return error;
}

/* Compares a network's outputs of one vector with the flash. */
NC_OWN_FRAME static uint8_t compare(const struct nc_hal *hal, const struct nc_image *image,
                                    const struct nc_network *network, uint32_t vector)
{
    const uint32_t first = image->base +
                           nc_image_section(image, NC_SECTION_KIND_KAT_OUTPUT)->offset +
                           vector * image->output_bytes;
    const uint32_t end = network->output_at + network->output_bytes;
    uint8_t due[CHUNK_BYTES];
    uint8_t got[CHUNK_BYTES];
    uint8_t error = NC_DEVICE_ERROR_OK;
    for (uint32_t at = network->output_at; at < end && error == NC_DEVICE_ERROR_OK;
         at += CHUNK_BYTES) {
        const uint32_t n = nc_min(end - at, CHUNK_BYTES);
        error = hal->flash_read(hal->context, first + at, due, n);
        if (error == NC_DEVICE_ERROR_OK) {
            error = nc_run_get(hal, image, at, got, n);
        }
        if (error == NC_DEVICE_ERROR_OK && !nc_equal(due, got, n)) {
            error = NC_DEVICE_ERROR_KAT_FAILED;
        }
    }
    return error;
}

static uint8_t run_vector(const struct nc_hal *hal, const struct nc_image *image,
                          const struct nc_network *network, uint32_t vector)
{
    struct nc_npu_stop stop;
    uint8_t error = feed(hal, image, network, vector);
    if (error == NC_DEVICE_ERROR_OK) {
        error = nc_run_start(hal, image, network->first, &stop);
    }
    return error == NC_DEVICE_ERROR_OK ? compare(hal, image, network, vector) : error;
}

uint8_t nc_run_known_answer(const struct nc_hal *hal, const struct nc_image *image)
{
    const uint32_t n_vectors =
        nc_image_section(image, NC_SECTION_KIND_KAT_INPUT)->length / image->input_bytes;
    struct nc_network network = {0};
    uint8_t error = n_vectors == 0 ? NC_DEVICE_ERROR_KAT_FAILED : NC_DEVICE_ERROR_OK;
    for (uint32_t i = 0; i < image->n_networks && error == NC_DEVICE_ERROR_OK; i++) {
        error = nc_image_network(hal, image, i, &network);
        for (uint32_t j = 0; j < n_vectors && error == NC_DEVICE_ERROR_OK; j++) {
            error = run_vector(hal, image, &network, j);
        }
    }
    return error;
}
