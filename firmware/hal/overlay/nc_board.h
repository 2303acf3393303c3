/* The SoC of the overlay as the library needs it. */

#ifndef NC_BOARD_H
#define NC_BOARD_H

#include "../../lib/nc_hal.h"
#include "nc_accelerator.h"
#include "nc_nor.h"

struct nc_board {
    struct nc_accelerator npu; /* first: the context of nc_accelerator_npu */
    struct nc_nor nor;
};

/* Prepares the flash; `hal` then reaches everything. */
void nc_board_begin(struct nc_board *board, struct nc_hal *hal);

/* Of the gateware, or of the flash chip where the gateware has none. */
void nc_board_unique_id(uint32_t words[2]);

#endif
