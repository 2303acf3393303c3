/* The firmware step SOFTMAX, as norcim.arith.softmax: e = table[max - code],
 * y = min((256 * e + sum / 2) / sum + zero point, hi), in three passes over pieces of a vector. */

#ifndef NC_SOFTMAX_H
#define NC_SOFTMAX_H

#include <stdbool.h>
#include <stdint.h>

#define NC_SOFTMAX_TABLE_BYTES 512u /* 256 entries of 16 bits, little-endian */

struct nc_softmax {
    const uint8_t *table;
    bool is_signed;     /* input codes */
    int32_t zero_point; /* output */
    int32_t hi;         /* output */
    const uint8_t *map; /* looks results up, or NULL */
    int32_t largest;
    uint32_t sum;
};

/* -129 is below every code. */
#define NC_SOFTMAX_NONE (-129)

void nc_softmax_find_largest(struct nc_softmax *s, const uint8_t *codes, uint32_t n_codes);
void nc_softmax_add(struct nc_softmax *s, const uint8_t *codes, uint32_t n_codes);
/* Replaces codes by results. */
void nc_softmax_divide(const struct nc_softmax *s, uint8_t *codes, uint32_t n_codes);

#endif
