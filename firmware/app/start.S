/* From reset to main, and what a trap does. There is no initialised data: the RAM keeps its
 * contents over a reset, so .bss is cleared each time; .keep is left alone, for the trap's record. */

#include "nc_trap.h"

    .section .start, "ax"
    .globl nc_start
nc_start:
    csrw mie, zero
    la t0, nc_trap
    csrw mtvec, t0
    la sp, nc_stack_top
    la t0, nc_bss_first
    la t1, nc_bss_end
1:  bgeu t0, t1, 2f
    sw zero, 0(t0)
    addi t0, t0, 4
    j 1b
2:  call nc_main

/* Nothing is resumed: the record is written with registers only, then the SoC restarts. */
    .balign 4
nc_trap:
    la t0, nc_trap_record
    csrr t1, mcause
    sw t1, 4(t0)
    csrr t1, mepc
    sw t1, 8(t0)
    csrr t1, mtval
    sw t1, 12(t0)
    li t1, NC_TRAP_MAGIC
    sw t1, 0(t0)
    lw t0, nc_reset_register
    li t1, 1
    sw t1, 0(t0)
3:  j 3b
