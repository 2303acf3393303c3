/* Registers of the SoC for code compiled with NC_MMIO_MODEL: every access goes to the test. */

#include "../../../firmware/hal/overlay/nc_mmio.h"

typedef uint32_t read_fn(uint32_t address);
typedef void write_fn(uint32_t address, uint32_t value, uint32_t n_bytes);

void mmio_model(read_fn *read, write_fn *write);

static read_fn *model_read;
static write_fn *model_write;

void mmio_model(read_fn *read, write_fn *write)
{
    model_read = read;
    model_write = write;
}

uint32_t nc_mmio_read(uint32_t address)
{
    return model_read(address);
}

void nc_mmio_write(uint32_t address, uint32_t value)
{
    model_write(address, value, 4);
}

void nc_mmio_write_byte(uint32_t address, uint8_t value)
{
    model_write(address, value, 1);
}
