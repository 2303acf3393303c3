#include "nc_log.h"

#include "nc_bytes.h"

static void drop(struct nc_log *log, uint32_t n_bytes)
{
    log->n_bytes -= n_bytes;
    nc_copy(log->text, log->text + n_bytes, log->n_bytes); /* forwards: the ranges may overlap */
}

/* Length of the oldest lines that fit in `n_bytes`, 0 if the first does not. */
static uint32_t measure_lines(const struct nc_log *log, uint32_t n_bytes)
{
    uint32_t n_lines = 0;
    for (uint32_t i = 0; i < log->n_bytes && i < n_bytes; i++) {
        n_lines = log->text[i] == '\n' ? i + 1u : n_lines;
    }
    return n_lines;
}

static void put(struct nc_log *log, uint8_t byte)
{
    if (log->n_bytes == NC_LOG_BYTES) {
        uint32_t n_first = 0;
        while (n_first < NC_LOG_BYTES - 1u && log->text[n_first] != '\n') {
            n_first++;
        }
        drop(log, n_first + 1u);
    }
    log->text[log->n_bytes++] = byte;
}

static void put_number(struct nc_log *log, uint32_t number)
{
    uint8_t digits[10];
    uint32_t n_digits = 0;
    do {
        digits[n_digits++] = (uint8_t)('0' + number % 10u);
        number /= 10u;
    } while (number > 0);
    while (n_digits > 0) {
        put(log, digits[--n_digits]);
    }
}

void nc_log_add(struct nc_log *log, const char *text, uint32_t number)
{
    for (; *text != 0; text++) {
        if (*text == '%') {
            put_number(log, number);
        } else {
            put(log, (uint8_t)*text);
        }
    }
}

uint32_t nc_log_take(struct nc_log *log, uint8_t *out, uint32_t n_bytes)
{
    const uint32_t n = measure_lines(log, n_bytes);
    nc_copy(out, log->text, n);
    drop(log, n);
    return n;
}
