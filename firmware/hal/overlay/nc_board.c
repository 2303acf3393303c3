#include "nc_board.h"

#include "nc_mmio.h"
#include "nc_serial.h"
#include "nc_time.h"

static uint8_t read_flash(void *context, uint32_t offset, uint8_t *bytes, uint32_t n_bytes)
{
    return nc_nor_read(&((struct nc_board *)context)->nor, offset, bytes, n_bytes);
}

static uint8_t erase_flash(void *context, uint32_t offset)
{
    return nc_nor_erase(&((struct nc_board *)context)->nor, offset);
}

static uint8_t program_flash(void *context, uint32_t offset, const uint8_t *bytes,
                             uint32_t n_bytes)
{
    return nc_nor_program(&((struct nc_board *)context)->nor, offset, bytes, n_bytes);
}

static void write_uart(void *context, const uint8_t *bytes, uint32_t n_bytes)
{
    (void)context;
    nc_serial_write(bytes, n_bytes);
}

static bool can_baud(void *context, uint32_t baud)
{
    (void)context;
    return nc_serial_can(baud);
}

static void set_baud(void *context, uint32_t baud)
{
    (void)context;
    nc_serial_set(baud);
}

static uint32_t now_ms(void *context)
{
    (void)context;
    return nc_time_ms();
}

static void reset(void *context)
{
    (void)context;
    nc_serial_drain();
    NC_WRITE(SYSTEM, RESET, NC_BIT(SYSTEM, RESET_NOW));
    for (;;) {
    }
}

void nc_board_begin(struct nc_board *board, struct nc_hal *hal)
{
    board->nor.base = NC_READ(SYSTEM, FLASH_BASE);
    board->nor.n_bytes = NC_READ(SYSTEM, FLASH_BYTES);
    nc_nor_begin(&board->nor);
    hal->context = board;
    hal->flash_read = read_flash;
    hal->flash_erase = erase_flash;
    hal->flash_program = program_flash;
    hal->uart_write = write_uart;
    hal->uart_can = can_baud;
    hal->uart_set = set_baud;
    hal->now_ms = now_ms;
    hal->reset = reset;
    hal->npu = &nc_accelerator_npu;
}

void nc_board_unique_id(uint32_t words[2])
{
    words[0] = NC_READ(SYSTEM, UNIQUE_ID_LO);
    words[1] = NC_READ(SYSTEM, UNIQUE_ID_HI);
    if ((words[0] | words[1]) == 0) {
        nc_nor_read_unique_id(words);
    }
}
