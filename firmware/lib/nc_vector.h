/* The firmware steps ARGMAX and UPDATE on pieces of vectors, as norcim.arith. */

#ifndef NC_VECTOR_H
#define NC_VECTOR_H

#include <stdbool.h>
#include <stdint.h>

/* A byte as the code that it stands for. */
static inline int32_t nc_code(uint8_t byte, bool is_signed)
{
    return is_signed && byte > 127 ? (int32_t)byte - 256 : (int32_t)byte;
}

/* Codes and what they are less their zero point. */
struct nc_operand {
    const uint8_t *codes;
    int32_t zero_point;
    bool is_signed;
};

struct nc_largest {
    int32_t value; /* NC_LARGEST_NONE before the first code */
    uint32_t index;
};

/* -129 is below every code. */
#define NC_LARGEST_NONE (-129)

/* Looks for a larger code in the next piece, whose first code has the index `first`. */
void nc_arg_max(struct nc_largest *largest, const struct nc_operand *piece, uint32_t first,
                uint32_t n_codes);

/* A 16-bit state's bytes of one piece, replaced by the new ones. */
struct nc_state {
    uint8_t *high;
    uint8_t *low;
    uint32_t taken, kept; /* multipliers */
    uint32_t shift;
};

void nc_update(const struct nc_state *state, const struct nc_operand *take,
               const struct nc_operand *keep, const struct nc_operand *incoming, uint32_t n_codes);

#endif
