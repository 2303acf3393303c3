#include "nc_vector.h"

static int32_t value_at(const struct nc_operand *operand, uint32_t index)
{
    return nc_code(operand->codes[index], operand->is_signed) - operand->zero_point;
}

void nc_arg_max(struct nc_largest *largest, const struct nc_operand *piece, uint32_t first,
                uint32_t n_codes)
{
    for (uint32_t i = 0; i < n_codes; i++) {
        const int32_t value = nc_code(piece->codes[i], piece->is_signed);
        if (value > largest->value) {
            largest->value = value;
            largest->index = first + i;
        }
    }
}

/* A value shifted right by 1..47, exact halves up. */
static int64_t round_shift(int64_t value, uint32_t shift)
{
    return (value + ((int64_t)1 << (shift - 1u))) >> shift;
}

void nc_update(const struct nc_state *state, const struct nc_operand *take,
               const struct nc_operand *keep, const struct nc_operand *incoming, uint32_t n_codes)
{
    for (uint32_t i = 0; i < n_codes; i++) {
        const int32_t old = 256 * nc_code(state->high[i], true) + nc_code(state->low[i], true);
        const int64_t taken = (int64_t)(value_at(take, i) * value_at(incoming, i)) * state->taken;
        const int64_t kept = (int64_t)(value_at(keep, i) * old) * state->kept;
        int64_t sum = round_shift(taken + kept, state->shift);
        sum = sum < -32768 ? -32768 : sum;
        sum = sum > 32639 ? 32639 : sum; /* 256 * 127 + 127 */
        const int32_t high = ((int32_t)sum + 128) >> 8;
        state->high[i] = (uint8_t)high;
        state->low[i] = (uint8_t)((int32_t)sum - 256 * high);
    }
}
