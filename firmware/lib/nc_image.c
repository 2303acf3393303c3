#include "nc_image.h"

#include "nc_bytes.h"
#include "nc_crc32.h"

#define CHUNK_BYTES 256u /* a multiple of 4 */

static const uint32_t descriptor_owned[NC_DESCRIPTOR_WORDS] = NC_DESCRIPTOR_OWNED;
static const uint32_t tile_owned[NC_TILE_WORDS] = NC_TILE_OWNED;
static const uint32_t column_owned[NC_COLUMN_WORDS] = NC_COLUMN_OWNED;
static const uint32_t port_owned[NC_PORT_WORDS] = NC_PORT_OWNED;

/* What a section's length has to be: whole items, at most so many of them; for records, which
 * bits may be set. */
struct shape {
    uint32_t item_bytes;
    uint32_t max_items;
    const uint32_t *owned;
};

static const struct shape shapes[NC_N_SECTIONS] = {
    {4u * NC_DESCRIPTOR_WORDS, NC_MAX_DESCRIPTORS, descriptor_owned},
    {4u * NC_TILE_WORDS, NC_MAX_TILES, tile_owned},
    {4u * NC_COLUMN_WORDS, NC_MAX_COLUMNS, column_owned},
    {4u * NC_PORT_WORDS, NC_MAX_PORTS, port_owned},
    {1, NC_MAX_IMAGE_BYTES, NULL},
    {1, NC_MAX_IMAGE_BYTES, NULL},
    {NC_TABLE_BYTES, NC_MAX_TABLES, NULL},
    {1, NC_MAX_IMAGE_BYTES, NULL},
    {1, NC_MAX_IMAGE_BYTES, NULL},
    {1, NC_MAX_META_BYTES, NULL},
};

static uint32_t align_up(uint32_t n_bytes)
{
    return (n_bytes + NC_ALIGNMENT - 1u) / NC_ALIGNMENT * NC_ALIGNMENT;
}

static bool is_chip_name(const uint8_t *name)
{
    uint32_t n = 0;
    while (n < NC_IMAGE_HEADER_CHIP_NAME_BYTES && name[n] >= '!' && name[n] <= '~') {
        n++;
    }
    return n > 0 && nc_all(name + n, 0, NC_IMAGE_HEADER_CHIP_NAME_BYTES - n);
}

static bool header_crc_fits(const uint8_t *header)
{
    static const uint8_t zeros[NC_IMAGE_HEADER_HEADER_CRC_BYTES];
    const uint32_t after = NC_IMAGE_HEADER_HEADER_CRC_OFFSET + NC_IMAGE_HEADER_HEADER_CRC_BYTES;
    uint32_t crc = nc_crc32(0, header, NC_IMAGE_HEADER_HEADER_CRC_OFFSET);
    crc = nc_crc32(crc, zeros, NC_IMAGE_HEADER_HEADER_CRC_BYTES);
    crc = nc_crc32(crc, header + after, NC_HEADER_BYTES - after);
    return crc == nc_get_u32(header + NC_IMAGE_HEADER_HEADER_CRC_OFFSET);
}

/* The header itself: magic, ABI level, CRC, and what the CRC cannot tell. */
static uint8_t check_header(const uint8_t *header, uint32_t abi_level, struct nc_image *image)
{
    uint32_t words[NC_HEADER_WORDS];
    nc_get_words(words, header, NC_HEADER_WORDS);
    if (nc_all(header, 0xff, NC_HEADER_BYTES)) {
        return NC_DEVICE_ERROR_NO_IMAGE;
    }
    if (NC_GET_IMAGE_HEADER_MAGIC(words) != NC_MAGIC) {
        return NC_DEVICE_ERROR_IMAGE_DAMAGED;
    }
    if (NC_GET_IMAGE_HEADER_ABI_LEVEL(words) != abi_level) {
        return NC_DEVICE_ERROR_WRONG_ABI;
    }
    const uint32_t flags = NC_GET_IMAGE_HEADER_FLAGS(words);
    const bool unsigned_zeros = nc_all(header + NC_IMAGE_HEADER_SIGNATURE_OFFSET, 0,
                                       NC_IMAGE_HEADER_SIGNATURE_BYTES);
    image->total_bytes = NC_GET_IMAGE_HEADER_TOTAL_BYTES(words);
    image->activation_bytes = NC_GET_IMAGE_HEADER_ACTIVATION_BYTES(words);
    if (NC_GET_IMAGE_HEADER_HEADER_BYTES(words) != NC_HEADER_BYTES || !header_crc_fits(header) ||
        (flags & ~NC_FLAG_SIGNED) != 0 || ((flags & NC_FLAG_SIGNED) == 0 && !unsigned_zeros) ||
        NC_GET_IMAGE_HEADER_N_SECTIONS(words) != NC_N_SECTIONS ||
        !is_chip_name(header + NC_IMAGE_HEADER_CHIP_NAME_OFFSET) ||
        image->total_bytes > NC_MAX_IMAGE_BYTES ||
        image->activation_bytes > NC_MAX_ACTIVATION_BYTES) {
        return NC_DEVICE_ERROR_IMAGE_DAMAGED;
    }
    nc_copy(image->sha256, header + NC_IMAGE_HEADER_SHA256_OFFSET, NC_SHA256_BYTES);
    return NC_DEVICE_ERROR_OK;
}

/* The section table: every kind once, without holes or overlaps, in whole items. */
static bool check_table(const uint8_t *header, struct nc_image *image)
{
    uint32_t words[NC_SECTION_ENTRY_WORDS];
    uint32_t offset = NC_HEADER_BYTES;
    for (uint32_t i = 0; i < NC_N_SECTIONS; i++) {
        struct nc_section *section = &image->sections[i];
        nc_get_words(words, header + NC_SECTION_TABLE_OFFSET + (size_t)16 * i,
                     NC_SECTION_ENTRY_WORDS);
        section->offset = NC_GET_SECTION_ENTRY_OFFSET(words);
        section->length = NC_GET_SECTION_ENTRY_LENGTH(words);
        section->crc32 = NC_GET_SECTION_ENTRY_CRC32(words);
        if (NC_GET_SECTION_ENTRY_KIND(words) != i + 1u || section->offset != offset ||
            offset > image->total_bytes || section->length > image->total_bytes - offset ||
            section->length % shapes[i].item_bytes != 0 ||
            section->length / shapes[i].item_bytes > shapes[i].max_items) {
            return false;
        }
        offset += align_up(section->length);
    }
    return offset == image->total_bytes;
}

static bool has_reserved_bits(const struct shape *shape, uint32_t at, const uint8_t *bytes,
                              uint32_t n_bytes)
{
    for (uint32_t i = 0; shape->owned != NULL && i < n_bytes; i += 4) {
        const uint32_t word = (at + i) % shape->item_bytes / 4u;
        if ((nc_get_u32(bytes + i) & ~shape->owned[word]) != 0) {
            return true;
        }
    }
    return false;
}

/* One section and the zeros after it: hash, CRC, reserved bits. */
static uint8_t check_section(const struct nc_hal *hal, const struct nc_image *image, uint32_t index,
                             struct nc_sha256 *hash)
{
    const struct nc_section *section = &image->sections[index];
    const uint32_t padded = align_up(section->length);
    uint8_t chunk[CHUNK_BYTES];
    uint32_t crc = 0;
    for (uint32_t at = 0; at < padded; at += CHUNK_BYTES) {
        const uint32_t n = nc_min(padded - at, CHUNK_BYTES);
        const uint32_t n_own = nc_min(section->length - at, n);
        if (hal->flash_read(hal->context, image->base + section->offset + at, chunk, n) !=
            NC_DEVICE_ERROR_OK) {
            return NC_DEVICE_ERROR_FLASH_FAILED;
        }
        nc_sha256_update(hash, chunk, n);
        crc = nc_crc32(crc, chunk, n_own);
        if (!nc_all(chunk + n_own, 0, n - n_own) ||
            has_reserved_bits(&shapes[index], at, chunk, n_own)) {
            return NC_DEVICE_ERROR_IMAGE_DAMAGED;
        }
    }
    return crc == section->crc32 ? NC_DEVICE_ERROR_OK : NC_DEVICE_ERROR_IMAGE_DAMAGED;
}

/* All sections, their CRCs and the SHA-256 over the whole image. */
static uint8_t check_content(const struct nc_hal *hal, const uint8_t *header,
                             const struct nc_image *image)
{
    static const uint8_t zeros[NC_UNHASHED_END - NC_UNHASHED_FIRST];
    struct nc_sha256 hash;
    uint8_t digest[NC_SHA256_BYTES];
    nc_sha256_begin(&hash);
    nc_sha256_update(&hash, header, NC_UNHASHED_FIRST);
    nc_sha256_update(&hash, zeros, NC_UNHASHED_END - NC_UNHASHED_FIRST);
    nc_sha256_update(&hash, header + NC_UNHASHED_END, NC_HEADER_BYTES - NC_UNHASHED_END);
    for (uint32_t i = 0; i < NC_N_SECTIONS; i++) {
        const uint8_t error = check_section(hal, image, i, &hash);
        if (error != NC_DEVICE_ERROR_OK) {
            return error;
        }
    }
    nc_sha256_end(&hash, digest);
    return nc_equal(digest, image->sha256, NC_SHA256_BYTES) ? NC_DEVICE_ERROR_OK
                                                            : NC_DEVICE_ERROR_IMAGE_DAMAGED;
}

uint8_t nc_image_port(const struct nc_hal *hal, const struct nc_image *image, uint32_t index,
                      struct nc_port *port)
{
    uint8_t raw[4u * NC_PORT_WORDS];
    uint32_t words[NC_PORT_WORDS];
    const uint32_t offset =
        image->base + nc_image_section(image, NC_SECTION_KIND_PORTS)->offset + index * (uint32_t)sizeof raw;
    if (hal->flash_read(hal->context, offset, raw, sizeof raw) != NC_DEVICE_ERROR_OK) {
        return NC_DEVICE_ERROR_FLASH_FAILED;
    }
    nc_get_words(words, raw, NC_PORT_WORDS);
    port->is_output = NC_GET_PORT_IS_OUTPUT(words) != 0;
    port->first = NC_GET_PORT_FIRST(words);
    port->addr = NC_GET_PORT_ADDR(words);
    port->row_stride = NC_GET_PORT_ROW_STRIDE(words);
    port->pixel_stride = NC_GET_PORT_PIXEL_STRIDE(words);
    port->h = NC_GET_PORT_H(words);
    port->w = NC_GET_PORT_W(words);
    port->c = NC_GET_PORT_C(words);
    return NC_DEVICE_ERROR_OK;
}

/* Whether a port lies in activation memory; its bytes are added to the image's. */
static bool add_port(struct nc_image *image, const struct nc_port *port)
{
    const uint64_t n_bytes = (uint64_t)port->h * port->w * port->c;
    uint32_t *sum = port->is_output ? &image->output_bytes : &image->input_bytes;
    if (n_bytes == 0 || n_bytes > image->activation_bytes) {
        return false;
    }
    const uint64_t last = port->addr + (uint64_t)(port->h - 1u) * port->row_stride +
                          (uint64_t)(port->w - 1u) * port->pixel_stride + (port->c - 1u);
    *sum += (uint32_t)n_bytes; /* at most 64 ports of 64 MiB: below 2^32 + 1, checked below */
    return last < image->activation_bytes && *sum >= n_bytes;
}

/* Whether a network may begin at a descriptor: another one's END lies before it. */
static bool begins_at(const struct nc_hal *hal, const struct nc_image *image, uint32_t first)
{
    const struct nc_section *program = nc_image_section(image, NC_SECTION_KIND_PROGRAM);
    const uint32_t n_bytes = 4u * NC_DESCRIPTOR_WORDS;
    uint8_t raw[4];
    uint32_t words[1];
    if (first == 0 || first >= program->length / n_bytes ||
        hal->flash_read(hal->context, image->base + program->offset + (first - 1u) * n_bytes, raw,
                        sizeof raw) != NC_DEVICE_ERROR_OK) {
        return false;
    }
    nc_get_words(words, raw, 1);
    return NC_GET_DESCRIPTOR_OPCODE(words) == NC_OPCODE_END;
}

/* Whether a port may follow another: an output its inputs, the next network's inputs the outputs
 * of the one before. */
static bool may_follow(const struct nc_hal *hal, struct nc_image *image,
                       const struct nc_port *before, const struct nc_port *port)
{
    if (port->first == before->first) {
        return port->is_output || !before->is_output;
    }
    image->n_networks++;
    return before->is_output && !port->is_output && port->first > before->first &&
           begins_at(hal, image, port->first);
}

/* The ports, network by network, inputs first, and that the known-answer test holds whole inputs
 * and outputs. */
static uint8_t check_ports(const struct nc_hal *hal, struct nc_image *image)
{
    const uint32_t n_kat_in = nc_image_section(image, NC_SECTION_KIND_KAT_INPUT)->length;
    const uint32_t n_kat_out = nc_image_section(image, NC_SECTION_KIND_KAT_OUTPUT)->length;
    struct nc_port before = {0}; /* as if an input of the first network came before */
    struct nc_port port = {0};
    image->n_ports =
        nc_image_section(image, NC_SECTION_KIND_PORTS)->length / (4u * NC_PORT_WORDS);
    image->n_networks = 1;
    image->input_bytes = 0;
    image->output_bytes = 0;
    for (uint32_t i = 0; i < image->n_ports; i++) {
        const uint8_t error = nc_image_port(hal, image, i, &port);
        if (error != NC_DEVICE_ERROR_OK) {
            return error;
        }
        if ((i == 0 && port.is_output) || !may_follow(hal, image, &before, &port) ||
            !add_port(image, &port)) {
            return NC_DEVICE_ERROR_IMAGE_DAMAGED;
        }
        before = port;
    }
    if (!before.is_output || image->input_bytes == 0 || image->output_bytes == 0 ||
        n_kat_in % image->input_bytes != 0 || n_kat_out % image->output_bytes != 0 ||
        n_kat_in / image->input_bytes != n_kat_out / image->output_bytes) {
        return NC_DEVICE_ERROR_IMAGE_DAMAGED;
    }
    return NC_DEVICE_ERROR_OK;
}

uint8_t nc_image_network(const struct nc_hal *hal, const struct nc_image *image, uint32_t index,
                         struct nc_network *network)
{
    struct nc_port port = {0};
    struct nc_network found = {0};
    uint32_t number = 0;
    for (uint32_t i = 0; i < image->n_ports; i++) {
        const uint8_t error = nc_image_port(hal, image, i, &port);
        if (error != NC_DEVICE_ERROR_OK) {
            return error;
        }
        if (port.first != found.first) {
            if (number == index) {
                break;
            }
            number++;
            found.first = port.first;
            found.input_at += found.input_bytes;
            found.output_at += found.output_bytes;
            found.input_bytes = 0;
            found.output_bytes = 0;
        }
        *(port.is_output ? &found.output_bytes : &found.input_bytes) += port.h * port.w * port.c;
    }
    *network = found;
    return number == index ? NC_DEVICE_ERROR_OK : NC_DEVICE_ERROR_BAD_RANGE;
}

static uint32_t count_items(const struct nc_image *image, uint32_t kind)
{
    return nc_image_section(image, kind)->length / shapes[kind - 1u].item_bytes;
}

static uint32_t record_bytes(const struct nc_image *image)
{
    return nc_image_section(image, NC_SECTION_KIND_PROGRAM)->length +
           nc_image_section(image, NC_SECTION_KIND_TILES)->length +
           nc_image_section(image, NC_SECTION_KIND_COLUMNS)->length +
           nc_image_section(image, NC_SECTION_KIND_TABLES)->length;
}

static uint8_t check_limits(const uint8_t *header, const struct nc_limits *limits,
                            const struct nc_image *image)
{
    if (limits->chip_name[0] != 0 &&
        (!nc_equal(header + NC_IMAGE_HEADER_CHIP_NAME_OFFSET, limits->chip_name,
                   NC_IMAGE_HEADER_CHIP_NAME_BYTES) ||
         !nc_equal(header + NC_IMAGE_HEADER_CHIP_HASH_OFFSET, limits->chip_hash,
                   NC_IMAGE_HEADER_CHIP_HASH_BYTES))) {
        return NC_DEVICE_ERROR_WRONG_CHIP;
    }
    if (image->activation_bytes > limits->activation_bytes ||
        count_items(image, NC_SECTION_KIND_WEIGHTS) +
                count_items(image, NC_SECTION_KIND_VECTOR_WEIGHTS) >
            limits->weight_bytes ||
        count_items(image, NC_SECTION_KIND_VECTOR_WEIGHTS) > limits->vector_weight_bytes ||
        count_items(image, NC_SECTION_KIND_PROGRAM) > limits->n_descriptors ||
        count_items(image, NC_SECTION_KIND_TILES) > limits->n_tiles ||
        count_items(image, NC_SECTION_KIND_COLUMNS) > limits->n_columns ||
        count_items(image, NC_SECTION_KIND_TABLES) > limits->n_tables ||
        record_bytes(image) > limits->record_bytes) {
        return NC_DEVICE_ERROR_DOES_NOT_FIT;
    }
    return NC_DEVICE_ERROR_OK;
}

uint8_t nc_image_check(const struct nc_hal *hal, const struct nc_limits *limits, uint32_t base,
                       uint32_t slot_bytes, struct nc_image *image)
{
    uint8_t header[NC_HEADER_BYTES];
    image->base = base;
    if (hal->flash_read(hal->context, base, header, NC_HEADER_BYTES) != NC_DEVICE_ERROR_OK) {
        return NC_DEVICE_ERROR_FLASH_FAILED;
    }
    uint8_t error = check_header(header, limits->abi_level, image);
    if (error == NC_DEVICE_ERROR_OK && image->total_bytes > slot_bytes) {
        error = NC_DEVICE_ERROR_DOES_NOT_FIT;
    }
    if (error == NC_DEVICE_ERROR_OK && !check_table(header, image)) {
        error = NC_DEVICE_ERROR_IMAGE_DAMAGED;
    }
    if (error == NC_DEVICE_ERROR_OK) {
        error = check_content(hal, header, image);
    }
    if (error == NC_DEVICE_ERROR_OK) {
        error = check_ports(hal, image);
    }
    return error == NC_DEVICE_ERROR_OK ? check_limits(header, limits, image) : error;
}
