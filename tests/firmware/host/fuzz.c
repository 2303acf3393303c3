/* Feeds the device with mutated requests: fuzz SEED REQUESTS [FILE with an image]
 *
 * A request is a good frame, a good frame with bytes changed before its CRC-32 is made, or a frame
 * damaged afterwards. Whatever comes, the device answers in whole good frames, keeps its active
 * slot and goes on: a HELLO at the end is answered. Sanitizers watch the rest. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nc_bytes.h"
#include "nc_device.h"

#include "../../../firmware/host/file_flash.h"

#define SLOT_SECTORS 4u
#define ACTIVATION_BYTES 4096u

static struct file_flash flash;
static struct nc_device device;
static struct nc_frame_reader answers;
static uint8_t activations[ACTIVATION_BYTES];
static uint8_t image[SLOT_SECTORS * NC_SECTOR_BYTES];
static uint32_t n_image;
static uint32_t n_answers;
static uint32_t n_broken;
static uint8_t last_type;
static uint32_t n_by_status[256];
static bool is_reset;
static uint64_t seed;

static uint32_t draw(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

static uint8_t flash_read(void *c, uint32_t offset, uint8_t *bytes, uint32_t n)
{
    (void)c;
    return file_flash_read(&flash, offset, bytes, n);
}

static uint8_t flash_erase(void *c, uint32_t offset)
{
    (void)c;
    return draw(500) == 0 ? NC_DEVICE_ERROR_FLASH_FAILED : file_flash_erase(&flash, offset);
}

static uint8_t flash_program(void *c, uint32_t offset, const uint8_t *bytes, uint32_t n)
{
    (void)c;
    return draw(500) == 0 ? NC_DEVICE_ERROR_FLASH_FAILED
                          : file_flash_program(&flash, offset, bytes, n);
}

static void uart_write(void *c, const uint8_t *bytes, uint32_t n)
{
    struct nc_frame frame;
    (void)c;
    for (uint32_t i = 0; i < n; i++) {
        if (nc_frame_take(&answers, bytes[i], &frame)) {
            n_answers++;
            n_by_status[frame.status]++;
            last_type = frame.type;
        } else if (bytes[i] == 0) {
            n_broken++;
        }
    }
}

static bool uart_can(void *c, uint32_t baud)
{
    (void)c;
    return baud % 9600 == 0;
}

static void uart_set(void *c, uint32_t baud)
{
    (void)c;
    (void)baud;
}

static uint32_t now_ms(void *c)
{
    static uint32_t now;
    (void)c;
    return now += draw(300);
}

static void reset(void *c)
{
    (void)c;
    is_reset = true;
}

static uint8_t npu_load(void *c, uint32_t kind, uint32_t offset, const uint8_t *bytes, uint32_t n)
{
    (void)c;
    return kind + offset + bytes[0] + bytes[n - 1u] == UINT32_MAX ? NC_DEVICE_ERROR_BAD_FIELD
                                                                  : NC_DEVICE_ERROR_OK;
}

static uint8_t npu_read(void *c, uint32_t address, uint8_t *bytes, uint32_t n)
{
    (void)c;
    if (address > ACTIVATION_BYTES || n > ACTIVATION_BYTES - address) {
        abort();
    }
    memcpy(bytes, activations + address, n);
    return NC_DEVICE_ERROR_OK;
}

static uint8_t npu_write(void *c, uint32_t address, const uint8_t *bytes, uint32_t n)
{
    (void)c;
    if (address > ACTIVATION_BYTES || n > ACTIVATION_BYTES - address) {
        abort();
    }
    memcpy(activations + address, bytes, n);
    return NC_DEVICE_ERROR_OK;
}

static uint8_t npu_run(void *c, uint32_t first, struct nc_npu_stop *stop)
{
    (void)c;
    stop->descriptor = first + draw(4);
    stop->firmware = draw(3) > 0;
    stop->cycles = draw(1000);
    return draw(8) == 0 ? (uint8_t)draw(8) : (uint8_t)NC_DEVICE_ERROR_OK;
}

static void npu_begin(void *c, uint32_t activation_bytes)
{
    (void)c;
    (void)activation_bytes;
}

static void clear_counters(void *c)
{
    (void)c;
}

static void read_counters(void *c, uint32_t descriptor, uint32_t words[NC_COUNTER_RECORD_WORDS])
{
    (void)c;
    for (uint32_t i = 0; i < NC_COUNTER_RECORD_WORDS; i++) {
        words[i] = descriptor;
    }
}

static const struct nc_npu npu = {npu_begin, npu_load,       npu_read,     npu_write,
                                  npu_run,   clear_counters, read_counters};
static const struct nc_hal hal = {NULL,     flash_read, flash_erase, flash_program, uart_write,
                                  uart_can, uart_set,   now_ms,      reset,         &npu};
static const struct nc_config config = {
    .limits = {.abi_level = NC_ABI_LEVEL,
               .activation_bytes = ACTIVATION_BYTES,
               .weight_bytes = UINT32_MAX,
               .vector_weight_bytes = UINT32_MAX,
               .n_descriptors = 64,
               .n_tiles = 64,
               .n_columns = 64,
               .n_tables = 8},
    .slot_sectors = SLOT_SECTORS,
    .window_frames = 8,
    .max_payload_bytes = 600,
};

static void boot(void)
{
    is_reset = false;
    nc_device_begin(&device, &hal, &config);
}

static void send(uint8_t *raw, uint32_t type, uint32_t sequence, uint32_t n_payload, bool damage)
{
    uint8_t encoded[NC_ENCODED_BYTES];
    const uint32_t header =
        NC_PUT_FRAME_HEADER_TYPE(type) | NC_PUT_FRAME_HEADER_SEQUENCE(sequence);
    const uint32_t n = nc_frame_encode(raw, header, n_payload, encoded);
    for (uint32_t i = 0; damage && i < 1 + draw(4); i++) {
        encoded[draw(n)] = (uint8_t)draw(256);
    }
    for (uint32_t i = 0; i < n && !is_reset; i++) {
        nc_device_take(&device, encoded + i, 1);
    }
    if (is_reset) {
        boot();
    }
    nc_device_poll(&device);
}

/* The image, whole and good, into a slot that may be active; then whatever draws decide. */
static void send_image(uint32_t *sequence, uint32_t slot)
{
    uint8_t raw[NC_FRAME_BYTES];
    uint8_t *payload = raw + NC_FRAME_HEADER_BYTES;
    for (uint32_t at = 0; at < n_image; at += NC_SECTOR_BYTES) {
        nc_put_u32(payload, slot);
        nc_put_u32(payload + 4, at);
        nc_put_u32(payload + 8, 0);
        send(raw, NC_FRAME_TYPE_ERASE, (*sequence)++, 12, false);
        nc_put_u32(payload, slot);
        send(raw, NC_FRAME_TYPE_WRITE, (*sequence)++, 12, false);
        for (uint32_t i = 0; i < NC_SECTOR_BYTES && at + i < n_image; i += 512) {
            const uint32_t n = nc_min(n_image - at - i, 512);
            nc_put_u32(payload, slot);
            nc_put_u32(payload + 4, at + i);
            nc_put_u32(payload + 8, n);
            memcpy(payload + 12, image + at + i, n);
            payload[12 + draw(n)] ^= draw(6) == 0;
            send(raw, NC_FRAME_TYPE_WRITE, (*sequence)++, 12 + n, draw(100) == 0);
        }
    }
}

static void send_random(uint32_t *sequence)
{
    static const uint32_t edges[] = {0, 1, 2, 255, 256, 600, 4096, 16384, 0x7fffffff, UINT32_MAX};
    uint8_t raw[NC_FRAME_BYTES];
    uint8_t *payload = raw + NC_FRAME_HEADER_BYTES;
    const uint32_t type = draw(20) == 0 ? draw(256) : 1 + draw(12);
    uint32_t n = draw(4) == 0 ? draw(NC_MAX_PAYLOAD_BYTES + 1u) : 4 * draw(6);
    for (uint32_t i = 0; i < NC_MAX_PAYLOAD_BYTES; i++) {
        payload[i] = (uint8_t)draw(256);
    }
    for (uint32_t i = 0; i < 3; i++) {
        nc_put_u32(payload + (size_t)4 * i, draw(3) == 0 ? edges[draw(10)] : draw(4));
    }
    if (type == NC_FRAME_TYPE_WRITE && n >= 12 && draw(4) > 0) {
        nc_put_u32(payload + 4, device.store.next_offset);
        nc_put_u32(payload + 8, n - 12);
    }
    *sequence += draw(10) == 0 ? draw(65536) : 1;
    send(raw, type, *sequence, n, draw(10) == 0);
}

int main(int n_arguments, char **arguments)
{
    uint32_t sequence = 0;
    uint8_t raw[NC_FRAME_BYTES];
    if (n_arguments < 3) {
        return 2;
    }
    seed = strtoull(arguments[1], NULL, 0);
    const uint32_t n_requests = (uint32_t)strtoul(arguments[2], NULL, 0);
    if (n_arguments > 3) {
        FILE *file = fopen(arguments[3], "rb");
        n_image = file == NULL ? 0 : (uint32_t)fread(image, 1, sizeof image, file);
        if (file != NULL) {
            fclose(file);
        }
    }
    if (file_flash_open(&flash, NULL, NC_SLOT_TABLE_SECTORS + NC_N_SLOTS * SLOT_SECTORS) != NULL) {
        return 2;
    }
    nc_frame_reader_begin(&answers);
    boot();
    for (uint32_t i = 0; i < n_requests; i++) {
        if (n_image > 0 && draw(200) == 0) {
            send_image(&sequence, draw(2));
        }
        send_random(&sequence);
    }
    const uint32_t n_before = n_answers;
    send(raw, NC_FRAME_TYPE_HELLO, sequence + 1, 0, false); /* flushes what is incomplete */
    send(raw, NC_FRAME_TYPE_HELLO, sequence + 1, 0, false);
    printf("answers %u ok %u\n", n_answers, n_by_status[0]);
    file_flash_close(&flash);
    return n_answers > n_before && last_type == (NC_FRAME_TYPE_HELLO | NC_ANSWER) && n_broken == 0
               ? 0
               : 1;
}
