/* Bytes and little-endian words, without a C library. */

#ifndef NC_BYTES_H
#define NC_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* For a function with a buffer: inlined, the buffer would lie on the stack under whatever the caller
 * calls next. */
#define NC_OWN_FRAME __attribute__((noinline))

static inline uint32_t nc_get_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

static inline void nc_put_u32(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)value;
    bytes[1] = (uint8_t)(value >> 8);
    bytes[2] = (uint8_t)(value >> 16);
    bytes[3] = (uint8_t)(value >> 24);
}

static inline void nc_get_words(uint32_t *words, const uint8_t *bytes, uint32_t n_words)
{
    for (uint32_t i = 0; i < n_words; i++) {
        words[i] = nc_get_u32(bytes + (size_t)4 * i);
    }
}

static inline void nc_copy(uint8_t *to, const uint8_t *from, uint32_t n_bytes)
{
    for (uint32_t i = 0; i < n_bytes; i++) {
        to[i] = from[i];
    }
}

static inline void nc_fill(uint8_t *to, uint8_t value, uint32_t n_bytes)
{
    for (uint32_t i = 0; i < n_bytes; i++) {
        to[i] = value;
    }
}

static inline bool nc_equal(const uint8_t *a, const uint8_t *b, uint32_t n_bytes)
{
    uint8_t differs = 0;
    for (uint32_t i = 0; i < n_bytes; i++) {
        differs |= (uint8_t)(a[i] ^ b[i]);
    }
    return differs == 0;
}

static inline bool nc_all(const uint8_t *bytes, uint8_t value, uint32_t n_bytes)
{
    for (uint32_t i = 0; i < n_bytes; i++) {
        if (bytes[i] != value) {
            return false;
        }
    }
    return true;
}

static inline uint32_t nc_min(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

#endif
