/* The device's log: the newest lines that fit. */

#ifndef NC_LOG_H
#define NC_LOG_H

#include <stdint.h>

#ifndef NC_LOG_BYTES
#define NC_LOG_BYTES 1024u
#endif

struct nc_log {
    uint32_t n_bytes;
    uint8_t text[NC_LOG_BYTES]; /* lines, each ended by a line feed */
};

/* Adds text to the line that is being written; '%' stands for the number. Old lines make room. */
void nc_log_add(struct nc_log *log, const char *text, uint32_t number);

/* Takes out the oldest whole lines, at most `n_bytes` bytes; returns how many were taken. */
uint32_t nc_log_take(struct nc_log *log, uint8_t *out, uint32_t n_bytes);

#endif
