#include "nc_softmax.h"

#include <stddef.h>

static int32_t value_of(const struct nc_softmax *s, uint8_t code)
{
    return s->is_signed && code > 127 ? (int32_t)code - 256 : (int32_t)code;
}

static uint32_t exponential(const struct nc_softmax *s, uint8_t code)
{
    const uint32_t distance = (uint32_t)(s->largest - value_of(s, code)) & 255u;
    const uint8_t *entry = s->table + (size_t)2 * distance;
    return (uint32_t)entry[0] | (uint32_t)entry[1] << 8;
}

void nc_softmax_find_largest(struct nc_softmax *s, const uint8_t *codes, uint32_t n_codes)
{
    for (uint32_t i = 0; i < n_codes; i++) {
        const int32_t value = value_of(s, codes[i]);
        s->largest = value > s->largest ? value : s->largest;
    }
}

void nc_softmax_add(struct nc_softmax *s, const uint8_t *codes, uint32_t n_codes)
{
    for (uint32_t i = 0; i < n_codes; i++) {
        s->sum += exponential(s, codes[i]);
    }
}

void nc_softmax_divide(const struct nc_softmax *s, uint8_t *codes, uint32_t n_codes)
{
    for (uint32_t i = 0; i < n_codes; i++) {
        const uint32_t share = (256u * exponential(s, codes[i]) + s->sum / 2u) / s->sum;
        int32_t y = (int32_t)share + s->zero_point;
        y = y < s->hi ? y : s->hi;
        codes[i] = s->map != NULL ? s->map[(uint8_t)y] : (uint8_t)y;
    }
}
