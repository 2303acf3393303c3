/* In software; a board that has hardware for it leaves this file out. */

#include <stddef.h>

#include "nc_sha256.h"

static const uint32_t rounds[64] = {
    0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu, 0x59f111f1u, 0x923f82a4u,
    0xab1c5ed5u, 0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u, 0x72be5d74u, 0x80deb1feu,
    0x9bdc06a7u, 0xc19bf174u, 0xe49b69c1u, 0xefbe4786u, 0x0fc19dc6u, 0x240ca1ccu, 0x2de92c6fu,
    0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau, 0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u,
    0xc6e00bf3u, 0xd5a79147u, 0x06ca6351u, 0x14292967u, 0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu,
    0x53380d13u, 0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u, 0xa2bfe8a1u, 0xa81a664bu,
    0xc24b8b70u, 0xc76c51a3u, 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u, 0x19a4c116u,
    0x1e376c08u, 0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au, 0x5b9cca4fu, 0x682e6ff3u,
    0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u, 0x90befffau, 0xa4506cebu, 0xbef9a3f7u,
    0xc67178f2u,
};

static uint32_t rotate(uint32_t value, unsigned n_bits)
{
    return value >> n_bits | value << (32u - n_bits);
}

static uint32_t get_big_endian(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* The message schedule: 16 words that go round. */
static inline uint32_t schedule(uint32_t *w, unsigned i)
{
    const uint32_t w1 = w[(i + 1u) & 15u];
    const uint32_t w14 = w[(i + 14u) & 15u];
    w[i] += w[(i + 9u) & 15u] + (rotate(w1, 7) ^ rotate(w1, 18) ^ w1 >> 3) +
            (rotate(w14, 17) ^ rotate(w14, 19) ^ w14 >> 10);
    return w[i];
}

/* One round, after which the names of the eight words have moved by one. */
#define ROUND(a, b, c, d, e, f, g, h, k, word)                                       \
    do {                                                                             \
        const uint32_t sum1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);          \
        const uint32_t sum0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);          \
        const uint32_t t1 = (h) + sum1 + ((((f) ^ (g)) & (e)) ^ (g)) + (k) + (word); \
        (d) += t1;                                                                   \
        (h) = t1 + sum0 + (((a) & (b)) | (((a) | (b)) & (c)));                       \
    } while (0)

void nc_sha256_compress(uint32_t state[8], const uint8_t block[NC_SHA256_BLOCK_BYTES])
{
    uint32_t w[16];
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (unsigned i = 0; i < 16; i++) {
        w[i] = get_big_endian(block + (size_t)4 * i);
    }
    for (unsigned i = 0; i < 64; i += 8) {
        const uint32_t *k = rounds + i;
        const unsigned at = i & 15u;
        uint32_t m[8];
        for (unsigned j = 0; j < 8; j++) {
            m[j] = i < 16 ? w[at + j] : schedule(w, at + j);
        }
        ROUND(a, b, c, d, e, f, g, h, k[0], m[0]);
        ROUND(h, a, b, c, d, e, f, g, k[1], m[1]);
        ROUND(g, h, a, b, c, d, e, f, k[2], m[2]);
        ROUND(f, g, h, a, b, c, d, e, k[3], m[3]);
        ROUND(e, f, g, h, a, b, c, d, k[4], m[4]);
        ROUND(d, e, f, g, h, a, b, c, k[5], m[5]);
        ROUND(c, d, e, f, g, h, a, b, k[6], m[6]);
        ROUND(b, c, d, e, f, g, h, a, k[7], m[7]);
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
}
