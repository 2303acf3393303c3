#include "nc_sha256.h"

#include "nc_bytes.h"

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
static uint32_t schedule(uint32_t *w, unsigned i)
{
    const uint32_t w1 = w[(i + 1u) & 15u];
    const uint32_t w14 = w[(i + 14u) & 15u];
    w[i & 15u] += w[(i + 9u) & 15u] + (rotate(w1, 7) ^ rotate(w1, 18) ^ w1 >> 3) +
                  (rotate(w14, 17) ^ rotate(w14, 19) ^ w14 >> 10);
    return w[i & 15u];
}

static void compress(struct nc_sha256 *hash)
{
    uint32_t w[16];
    uint32_t s[8];
    for (unsigned i = 0; i < 16; i++) {
        w[i] = get_big_endian(hash->block + (size_t)4 * i);
    }
    for (unsigned i = 0; i < 8; i++) {
        s[i] = hash->state[i];
    }
    for (unsigned i = 0; i < 64; i++) {
        const uint32_t sum1 = rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25);
        const uint32_t sum0 = rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22);
        const uint32_t word = i < 16 ? w[i] : schedule(w, i);
        const uint32_t t1 = s[7] + sum1 + ((s[4] & s[5]) ^ (~s[4] & s[6])) + rounds[i] + word;
        const uint32_t t2 = sum0 + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        for (unsigned j = 7; j > 0; j--) {
            s[j] = s[j - 1u];
        }
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (unsigned i = 0; i < 8; i++) {
        hash->state[i] += s[i];
    }
}

void nc_sha256_begin(struct nc_sha256 *hash)
{
    static const uint32_t start[8] = {0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au,
                                      0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u};
    for (unsigned i = 0; i < 8; i++) {
        hash->state[i] = start[i];
    }
    hash->n_bytes = 0;
}

void nc_sha256_update(struct nc_sha256 *hash, const uint8_t *bytes, uint32_t n_bytes)
{
    for (uint32_t i = 0; i < n_bytes; i++) {
        hash->block[hash->n_bytes & 63u] = bytes[i];
        hash->n_bytes++;
        if ((hash->n_bytes & 63u) == 0) {
            compress(hash);
        }
    }
}

void nc_sha256_end(struct nc_sha256 *hash, uint8_t digest[NC_SHA256_BYTES])
{
    const uint64_t n_bits = hash->n_bytes * 8u;
    const uint8_t one = 0x80;
    const uint8_t zero = 0;
    nc_sha256_update(hash, &one, 1);
    while ((hash->n_bytes & 63u) != 56u) {
        nc_sha256_update(hash, &zero, 1);
    }
    for (unsigned shift = 64; shift > 0; shift -= 8) {
        const uint8_t byte = (uint8_t)(n_bits >> (shift - 8u));
        nc_sha256_update(hash, &byte, 1);
    }
    for (unsigned i = 0; i < NC_SHA256_BYTES; i++) {
        digest[i] = (uint8_t)(hash->state[i / 4u] >> (24u - 8u * (i & 3u)));
    }
}
