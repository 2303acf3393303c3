/* The UART. */

#ifndef NC_SERIAL_H
#define NC_SERIAL_H

#include <stdbool.h>
#include <stdint.h>

/* Sends; waits while the FIFO is full. */
void nc_serial_write(const uint8_t *bytes, uint32_t n_bytes);

/* Takes at most `n_bytes` bytes that have arrived; returns how many. */
uint32_t nc_serial_read(uint8_t *bytes, uint32_t n_bytes);

/* Whether a rate can be met to within 2 %. */
bool nc_serial_can(uint32_t baud);

/* Waits until what was written has gone out. */
void nc_serial_drain(void);

/* Changes the rate after nc_serial_drain. */
void nc_serial_set(uint32_t baud);

#endif
