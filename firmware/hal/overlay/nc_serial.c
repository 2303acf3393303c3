#include "nc_serial.h"

#include "nc_mmio.h"
#include "nc_time.h"

#define MIN_DIVISOR 5u
#define MAX_DIVISOR 0xffffu
#define DRAIN_MS 1000u /* for a full FIFO at 9,600 baud */

static uint32_t divisor_of(uint32_t baud)
{
    return baud == 0 ? 0 : (NC_READ(SYSTEM, UART_HZ) + baud / 2u) / baud;
}

void nc_serial_write(const uint8_t *bytes, uint32_t n_bytes)
{
    uint32_t at = 0;
    while (at < n_bytes) {
        uint32_t space = NC_FIELD(UART, STATUS_SPACE, NC_READ(UART, STATUS));
        for (; space > 0 && at < n_bytes; space--) {
            NC_WRITE(UART, DATA, bytes[at++]);
        }
    }
}

uint32_t nc_serial_read(uint8_t *bytes, uint32_t n_bytes)
{
    uint32_t n = 0;
    while (n < n_bytes) {
        const uint32_t word = NC_READ(UART, DATA);
        if ((word & NC_BIT(UART, DATA_VALID)) == 0) {
            break;
        }
        bytes[n++] = (uint8_t)word;
    }
    return n;
}

bool nc_serial_can(uint32_t baud)
{
    const uint32_t divisor = divisor_of(baud);
    if (divisor < MIN_DIVISOR || divisor > MAX_DIVISOR) {
        return false;
    }
    const uint32_t got = NC_READ(SYSTEM, UART_HZ) / divisor;
    const uint32_t off = got > baud ? got - baud : baud - got;
    return off <= baud / 50u;
}

void nc_serial_drain(void)
{
    const uint32_t since = nc_time_ms();
    while ((NC_READ(UART, STATUS) & NC_BIT(UART, STATUS_IDLE)) == 0 &&
           nc_time_ms() - since < DRAIN_MS) {
    }
}

void nc_serial_set(uint32_t baud)
{
    nc_serial_drain();
    NC_WRITE(UART, DIVISOR, divisor_of(baud));
}
