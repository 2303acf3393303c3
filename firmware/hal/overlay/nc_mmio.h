/* Access to registers and memory windows of the SoC. */

#ifndef NC_MMIO_H
#define NC_MMIO_H

#include <stdint.h>

#include "../../include/generated/norcim_spec.h"

#ifdef NC_MMIO_MODEL /* tests put a model of the hardware here */
uint32_t nc_mmio_read(uint32_t address);
void nc_mmio_write(uint32_t address, uint32_t value);
void nc_mmio_write_byte(uint32_t address, uint8_t value);
#else
static inline uint32_t nc_mmio_read(uint32_t address)
{
    return *(const volatile uint32_t *)(uintptr_t)address;
}

static inline void nc_mmio_write(uint32_t address, uint32_t value)
{
    *(volatile uint32_t *)(uintptr_t)address = value;
}

static inline void nc_mmio_write_byte(uint32_t address, uint8_t value)
{
    *(volatile uint8_t *)(uintptr_t)address = value;
}
#endif

/* NC_READ(UART, STATUS) reads that register; NC_WRITE(UART, DIVISOR, 434) writes one. */
#define NC_READ(peripheral, name) \
    nc_mmio_read(NC_##peripheral##_BASE + NC_##peripheral##_##name##_OFFSET)
#define NC_WRITE(peripheral, name, value) \
    nc_mmio_write(NC_##peripheral##_BASE + NC_##peripheral##_##name##_OFFSET, (value))

/* NC_FIELD(UART, STATUS_SPACE, word) takes a field out of a register's value. */
#define NC_FIELD(peripheral, field, word) \
    ((word) >> NC_##peripheral##_##field##_SHIFT & NC_##peripheral##_##field##_MASK)
#define NC_BIT(peripheral, field) ((uint32_t)1 << NC_##peripheral##_##field##_SHIFT)

#endif
