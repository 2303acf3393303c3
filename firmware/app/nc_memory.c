/* What compilers call for structs. */

#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n_bytes);
void *memset(void *to, int value, size_t n_bytes);

void *memcpy(void *restrict to, const void *restrict from, size_t n_bytes)
{
    uint8_t *target = to;
    const uint8_t *source = from;
    if ((((uintptr_t)target | (uintptr_t)source) & 3u) == 0) {
        for (; n_bytes >= 4; n_bytes -= 4) {
            *(uint32_t *)(void *)target = *(const uint32_t *)(const void *)source;
            target += 4;
            source += 4;
        }
    }
    while (n_bytes-- > 0) {
        *target++ = *source++;
    }
    return to;
}

void *memset(void *to, int value, size_t n_bytes)
{
    uint8_t *target = to;
    while (n_bytes-- > 0) {
        *target++ = (uint8_t)value;
    }
    return to;
}
