/* The NPU. */

#ifndef NC_ACCELERATOR_H
#define NC_ACCELERATOR_H

#include "../../lib/nc_hal.h"

#define NC_N_PLACES (NC_SECTION_KIND_TABLES + 1u)

/* What the NPU's memories hold. */
struct nc_accelerator {
    uint32_t n_record_bytes; /* taken in the record memory */
    uint32_t n_weight_bytes; /* taken in the weight memory */
    struct {
        uint32_t first; /* byte of its memory */
        uint32_t n_bytes;
    } sections[NC_N_PLACES]; /* by kind */
};

/* For struct nc_hal, whose context begins with a struct nc_accelerator. */
extern const struct nc_npu nc_accelerator_npu;

#endif
