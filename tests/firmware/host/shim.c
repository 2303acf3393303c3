/* What the tests need beside the library: sizes, and a softmax over a whole vector. */

#include "nc_device.h"
#include "nc_softmax.h"

uint32_t shim_device_bytes(void);
uint32_t shim_reader_bytes(void);
uint32_t shim_frame_bytes(void);
uint32_t shim_active_slot(const struct nc_device *device);
uint32_t shim_loaded_slot(const struct nc_device *device);
void shim_softmax(uint8_t *codes, uint32_t n_codes, const uint8_t *table, uint32_t is_signed,
                  int32_t zero_point, int32_t hi, uint32_t chunk);

uint32_t shim_device_bytes(void)
{
    return (uint32_t)sizeof(struct nc_device);
}

uint32_t shim_reader_bytes(void)
{
    return (uint32_t)sizeof(struct nc_frame_reader);
}

uint32_t shim_frame_bytes(void)
{
    return (uint32_t)sizeof(struct nc_frame);
}

uint32_t shim_active_slot(const struct nc_device *device)
{
    return device->store.commit.slot;
}

uint32_t shim_loaded_slot(const struct nc_device *device)
{
    return device->loaded_slot;
}

void shim_softmax(uint8_t *codes, uint32_t n_codes, const uint8_t *table, uint32_t is_signed,
                  int32_t zero_point, int32_t hi, uint32_t chunk)
{
    struct nc_softmax s = {.table = table,
                           .is_signed = is_signed != 0,
                           .zero_point = zero_point,
                           .hi = hi,
                           .largest = NC_SOFTMAX_NONE};
    for (uint32_t pass = 0; pass < 3; pass++) {
        for (uint32_t at = 0; at < n_codes; at += chunk) {
            const uint32_t n = n_codes - at < chunk ? n_codes - at : chunk;
            if (pass == 0) {
                nc_softmax_find_largest(&s, codes + at, n);
            } else if (pass == 1) {
                nc_softmax_add(&s, codes + at, n);
            } else {
                nc_softmax_divide(&s, codes + at, n);
            }
        }
    }
}
