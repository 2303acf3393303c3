/* The device: what answers the wire protocol (docs/reference/protocol.md). One struct, no heap. */

#ifndef NC_DEVICE_H
#define NC_DEVICE_H

#include "nc_frame.h"
#include "nc_hal.h"
#include "nc_image.h"
#include "nc_log.h"
#include "nc_store.h"

struct nc_config {
    struct nc_limits limits;
    uint32_t slot_sectors; /* at most NC_MAX_SLOT_SECTORS */
    uint32_t lanes;
    uint32_t clock_hz;
    uint32_t firmware_version; /* major << 16 | minor << 8 | patch */
    uint32_t unique_id_lo;
    uint32_t unique_id_hi;
    uint32_t window_frames;     /* that the UART's buffer holds, at most NC_MAX_WINDOW_FRAMES */
    uint32_t max_payload_bytes; /* NC_MIN_PAYLOAD_BYTES..NC_PAYLOAD_BYTES */
};

struct nc_device {
    struct nc_hal hal;
    struct nc_config config;
    struct nc_store store;
    struct nc_image image; /* that is loaded */
    uint8_t loaded_slot;
    bool has_answered;
    uint16_t last_sequence;
    bool proving_baud; /* a HELLO has to arrive before the deadline */
    uint32_t baud_deadline_ms;
    struct nc_log log;
    struct nc_frame_reader reader;
    uint8_t raw[NC_FRAME_BYTES]; /* answer: header, payload, CRC */
    uint32_t n_encoded;
    uint8_t encoded[NC_ENCODED_BYTES]; /* the last answer, as sent */
};

/* From power-on: repairs the slot table, then loads the newest committed image that is sound. */
void nc_device_begin(struct nc_device *device, const struct nc_hal *hal,
                     const struct nc_config *config);

/* Takes bytes from the host; answers go out through the HAL. */
void nc_device_take(struct nc_device *device, const uint8_t *bytes, uint32_t n_bytes);

/* To be called at least every 100 ms: what depends on time. */
void nc_device_poll(struct nc_device *device);

#endif
