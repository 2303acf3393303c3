/* What a trap left behind; shared with start.S. */

#ifndef NC_TRAP_H
#define NC_TRAP_H

#define NC_TRAP_MAGIC 0x7452704e

#ifndef __ASSEMBLER__
#include <stdint.h>

struct nc_trap_record {
    uint32_t magic; /* NC_TRAP_MAGIC: there was one */
    uint32_t cause; /* mcause */
    uint32_t pc;    /* mepc */
    uint32_t value; /* mtval */
};

/* Kept over a reset. */
extern struct nc_trap_record nc_trap_record;

/* Where a 1 restarts the SoC. */
extern const uint32_t nc_reset_register;
#endif

#endif
