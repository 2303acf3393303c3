#include "nc_frame.h"

#include "nc_bytes.h"
#include "nc_crc32.h"

uint32_t nc_cobs_encode(const uint8_t *bytes, uint32_t n_bytes, uint8_t *out)
{
    uint32_t code_at = 0;
    uint32_t n_out = 1;
    uint8_t code = 1;
    for (uint32_t i = 0; i < n_bytes; i++) {
        if (bytes[i] != 0) {
            out[n_out++] = bytes[i];
            code++;
        }
        if (bytes[i] == 0 || (code == 0xff && i + 1u < n_bytes)) {
            out[code_at] = code;
            code_at = n_out++;
            code = 1;
        }
    }
    out[code_at] = code;
    return n_out;
}

uint32_t nc_cobs_decode(uint8_t *bytes, uint32_t n_bytes)
{
    uint32_t n_out = 0;
    uint32_t at = 0;
    while (at < n_bytes) {
        const uint8_t code = bytes[at++];
        if (code == 0 || code - 1u > n_bytes - at) {
            return 0;
        }
        for (uint32_t i = 1; i < code; i++) {
            bytes[n_out++] = bytes[at++];
        }
        if (code != 0xff && at < n_bytes) {
            bytes[n_out++] = 0;
        }
    }
    return n_out;
}

void nc_frame_reader_begin(struct nc_frame_reader *reader)
{
    reader->n_bytes = 0;
    reader->overflow = false;
}

static bool parse(const uint8_t *bytes, uint32_t n_bytes, struct nc_frame *frame)
{
    uint32_t header[NC_FRAME_HEADER_WORDS];
    if (n_bytes < NC_FRAME_HEADER_BYTES + 4u || n_bytes > NC_FRAME_BYTES ||
        nc_crc32(0, bytes, n_bytes - 4u) != nc_get_u32(bytes + n_bytes - 4u)) {
        return false;
    }
    nc_get_words(header, bytes, NC_FRAME_HEADER_WORDS);
    frame->type = (uint8_t)NC_GET_FRAME_HEADER_TYPE(header);
    frame->status = (uint8_t)NC_GET_FRAME_HEADER_STATUS(header);
    frame->sequence = (uint16_t)NC_GET_FRAME_HEADER_SEQUENCE(header);
    frame->payload = bytes + NC_FRAME_HEADER_BYTES;
    frame->n_payload = n_bytes - NC_FRAME_HEADER_BYTES - 4u;
    return true;
}

bool nc_frame_take(struct nc_frame_reader *reader, uint8_t byte, struct nc_frame *frame)
{
    if (byte != 0) {
        if (reader->n_bytes < NC_ENCODED_BYTES) {
            reader->bytes[reader->n_bytes++] = byte;
        } else {
            reader->overflow = true;
        }
        return false;
    }
    const uint32_t n_encoded = reader->overflow ? 0 : reader->n_bytes;
    nc_frame_reader_begin(reader);
    return parse(reader->bytes, nc_cobs_decode(reader->bytes, n_encoded), frame);
}

uint32_t nc_frame_encode(uint8_t *raw, uint32_t header, uint32_t n_payload, uint8_t *out)
{
    const uint32_t n_covered = NC_FRAME_HEADER_BYTES + n_payload;
    nc_put_u32(raw, header);
    nc_put_u32(raw + n_covered, nc_crc32(0, raw, n_covered));
    const uint32_t n_encoded = nc_cobs_encode(raw, n_covered + 4u, out);
    out[n_encoded] = 0;
    return n_encoded + 1u;
}
