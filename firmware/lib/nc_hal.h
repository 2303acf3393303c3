/* What the library needs of a board. Functions that return uint8_t give an nc_device_error. */

#ifndef NC_HAL_H
#define NC_HAL_H

#include <stdbool.h>
#include <stdint.h>

#include "../include/generated/norcim_spec.h"

/* How a run of the NPU ended. */
struct nc_npu_stop {
    uint32_t descriptor; /* that ended or stopped it */
    uint32_t cycles;
    bool firmware; /* it stopped at a FIRMWARE step and goes on after it */
};

struct nc_npu {
    /* Forgets what is loaded; the image that follows uses so much activation memory. */
    void (*begin)(void *context, uint32_t activation_bytes);
    /* Puts bytes of a section of the image at an offset of the memory that holds such. */
    uint8_t (*load)(void *context, uint32_t section_kind, uint32_t offset, const uint8_t *bytes,
                    uint32_t n_bytes);
    /* Activation memory; the library keeps to the limit in its configuration. */
    uint8_t (*read)(void *context, uint32_t address, uint8_t *bytes, uint32_t n_bytes);
    uint8_t (*write)(void *context, uint32_t address, const uint8_t *bytes, uint32_t n_bytes);
    /* Runs from a descriptor to END, a FIRMWARE step or an error, and never for ever. */
    uint8_t (*run)(void *context, uint32_t first, struct nc_npu_stop *stop);
    void (*clear_counters)(void *context);
    void (*counters)(void *context, uint32_t descriptor, uint32_t words[NC_COUNTER_RECORD_WORDS]);
};

struct nc_hal {
    void *context;
    uint8_t (*flash_read)(void *context, uint32_t offset, uint8_t *bytes, uint32_t n_bytes);
    uint8_t (*flash_erase)(void *context, uint32_t offset); /* one sector */
    uint8_t (*flash_program)(void *context, uint32_t offset, const uint8_t *bytes,
                             uint32_t n_bytes); /* within a page */
    void (*uart_write)(void *context, const uint8_t *bytes, uint32_t n_bytes);
    bool (*uart_can)(void *context, uint32_t baud);
    void (*uart_set)(void *context, uint32_t baud); /* after what was written has gone out */
    uint32_t (*now_ms)(void *context);              /* wraps round */
    void (*reset)(void *context);                   /* after what was written has gone out */
    const struct nc_npu *npu;                       /* NULL: the board has none */
};

#endif
