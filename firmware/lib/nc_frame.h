/* Frames of the wire protocol: COBS(header, payload, CRC-32) and one zero byte. */

#ifndef NC_FRAME_H
#define NC_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "../include/generated/norcim_spec.h"

/* What buffers are made for; a small device may be built for less, and says so in HELLO. */
#ifndef NC_PAYLOAD_BYTES
#define NC_PAYLOAD_BYTES NC_MAX_PAYLOAD_BYTES
#endif

#define NC_FRAME_HEADER_BYTES 4u
#define NC_FRAME_BYTES (NC_FRAME_HEADER_BYTES + NC_PAYLOAD_BYTES + 4u)
#define NC_ENCODED_BYTES (NC_PAYLOAD_BYTES + NC_FRAME_OVERHEAD_BYTES)

/* Encodes `n_bytes` bytes without a zero at the end; `out` takes n_bytes + n_bytes / 254 + 1.
 * Returns how many bytes were written. */
uint32_t nc_cobs_encode(const uint8_t *bytes, uint32_t n_bytes, uint8_t *out);

/* Decodes in place what stood before a zero byte. Returns how many bytes came out, or 0 if it is
 * no encoding of at least one byte. */
uint32_t nc_cobs_decode(uint8_t *bytes, uint32_t n_bytes);

/* Gathers bytes until a whole frame is there. */
struct nc_frame_reader {
    uint32_t n_bytes;
    bool overflow;
    uint8_t bytes[NC_ENCODED_BYTES];
};

/* A frame within a reader, good until the next byte is taken. */
struct nc_frame {
    uint8_t type;
    uint8_t status;
    uint16_t sequence;
    const uint8_t *payload;
    uint32_t n_payload;
};

void nc_frame_reader_begin(struct nc_frame_reader *reader);

/* Takes one byte; true if it ended a good frame. Broken frames are dropped in silence. */
bool nc_frame_take(struct nc_frame_reader *reader, uint8_t byte, struct nc_frame *frame);

/* Writes a frame with its zero byte into NC_ENCODED_BYTES of `out`; returns its length.
 * The payload is at `raw` + NC_FRAME_HEADER_BYTES, with room for 4 bytes after it. */
uint32_t nc_frame_encode(uint8_t *raw, uint32_t header, uint32_t n_payload, uint8_t *out);

#endif
