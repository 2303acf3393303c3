#include "nc_firmware.h"

#include "nc_bytes.h"
#include "nc_run.h"
#include "nc_softmax.h"
#include "nc_vector.h"

#define PIECE_BYTES 64u /* of a vector, held at a time */
#define LARGEST_SHIFT 47u
#define ARGMAX_CHANNELS 256u

struct box {
    uint32_t addr, row, pixel;
    uint32_t h, w, c;
};

/* A step: what it reads and writes, and its descriptor. */
struct step {
    const struct nc_hal *hal;
    const struct nc_image *image;
    const uint32_t *words;
    uint32_t function;
    struct box in, in2, out;
};

static uint32_t address(const struct box *box, uint32_t y, uint32_t x)
{
    return box->addr + y * box->row + x * box->pixel;
}

static bool fits(const struct nc_image *image, const struct box *box)
{
    const uint64_t last = box->addr + (uint64_t)(box->h - 1u) * box->row +
                          (uint64_t)(box->w - 1u) * box->pixel + (box->c - 1u);
    return last < image->activation_bytes;
}

static void read_boxes(const uint32_t *words, struct step *step)
{
    step->in = (struct box){
        NC_GET_DESCRIPTOR_IN_ADDR(words),         NC_GET_DESCRIPTOR_IN_ROW_STRIDE(words),
        NC_GET_DESCRIPTOR_IN_PIXEL_STRIDE(words), NC_GET_DESCRIPTOR_IN_H(words),
        NC_GET_DESCRIPTOR_IN_W(words),            NC_GET_DESCRIPTOR_IN_C(words),
    };
    step->out = (struct box){
        NC_GET_DESCRIPTOR_OUT_ADDR(words),         NC_GET_DESCRIPTOR_OUT_ROW_STRIDE(words),
        NC_GET_DESCRIPTOR_OUT_PIXEL_STRIDE(words), NC_GET_DESCRIPTOR_OUT_H(words),
        NC_GET_DESCRIPTOR_OUT_W(words),            NC_GET_DESCRIPTOR_OUT_C(words),
    };
    step->in2 = (struct box){
        NC_GET_DESCRIPTOR_IN2_ADDR(words),         NC_GET_DESCRIPTOR_IN2_ROW_STRIDE(words),
        NC_GET_DESCRIPTOR_IN2_PIXEL_STRIDE(words), 1, 1, step->in.c,
    };
}

/* Whether input and output have sizes that the function takes. */
static bool has_size(const struct step *step)
{
    const struct box *in = &step->in;
    const struct box *out = &step->out;
    const bool same = out->h == in->h && out->w == in->w;
    switch (step->function) {
    case NC_FUNCTION_SOFTMAX:
        return same && out->c == in->c;
    case NC_FUNCTION_ARGMAX:
        return same && out->c == 1 && in->c <= ARGMAX_CHANNELS;
    default:
        return step->function == NC_FUNCTION_UPDATE && same && out->c == in->c && in->h == 2 &&
               in->w == 1;
    }
}

static uint8_t check_step(const struct step *step)
{
    const uint32_t *words = step->words;
    const uint32_t shift = NC_GET_DESCRIPTOR_SHIFT(words);
    const bool is_update = step->function == NC_FUNCTION_UPDATE;
    const struct box state = {NC_GET_DESCRIPTOR_ARGUMENT(words), step->in.c, step->in.c, 2, 1,
                              step->in.c};
    if (NC_GET_DESCRIPTOR_OPCODE(words) != NC_OPCODE_FIRMWARE) {
        return NC_DEVICE_ERROR_BAD_OPCODE;
    }
    if (step->in.h == 0 || step->in.w == 0 || step->in.c == 0 || step->out.c == 0 ||
        !has_size(step) || (is_update && (shift == 0 || shift > LARGEST_SHIFT)) ||
        (step->function != NC_FUNCTION_SOFTMAX && NC_GET_DESCRIPTOR_USE_TABLE(words) != 0)) {
        return NC_DEVICE_ERROR_BAD_FIELD;
    }
    return fits(step->image, &step->in) && fits(step->image, &step->out) &&
                   (!is_update || (fits(step->image, &step->in2) && fits(step->image, &state)))
               ? NC_DEVICE_ERROR_OK
               : NC_DEVICE_ERROR_ADDRESS_RANGE;
}

static uint8_t load(const struct step *step, uint32_t at, uint8_t *bytes, uint32_t n_bytes)
{
    return step->hal->npu->read(step->hal->context, at, bytes, n_bytes);
}

static uint8_t store(const struct step *step, uint32_t at, const uint8_t *bytes, uint32_t n_bytes)
{
    return step->hal->npu->write(step->hal->context, at, bytes, n_bytes);
}

/* Reads `n_tables` tables from the image. */
static uint8_t read_tables(const struct step *step, uint32_t first, uint32_t n_tables,
                           uint8_t *bytes)
{
    const struct nc_image *image = step->image;
    const struct nc_section *section = nc_image_section(image, NC_SECTION_KIND_TABLES);
    const uint32_t there = section->length / NC_TABLE_BYTES;
    if (first > there || n_tables > there - first) {
        return NC_DEVICE_ERROR_TABLE_MISSING;
    }
    return step->hal->flash_read(step->hal->context,
                                 image->base + section->offset + first * NC_TABLE_BYTES, bytes,
                                 n_tables * NC_TABLE_BYTES);
}

enum pass { FIND_LARGEST, ADD, DIVIDE };

/* One pass over the channels of one position. */
static uint8_t pass_over(const struct step *step, uint32_t in, uint32_t out, enum pass pass,
                         struct nc_softmax *softmax)
{
    uint8_t chunk[PIECE_BYTES];
    uint8_t error = NC_DEVICE_ERROR_OK;
    for (uint32_t at = 0; at < step->in.c && error == NC_DEVICE_ERROR_OK; at += PIECE_BYTES) {
        const uint32_t n = nc_min(step->in.c - at, PIECE_BYTES);
        error = load(step, in + at, chunk, n);
        if (error != NC_DEVICE_ERROR_OK) {
            return error;
        }
        if (pass == FIND_LARGEST) {
            nc_softmax_find_largest(softmax, chunk, n);
        } else if (pass == ADD) {
            nc_softmax_add(softmax, chunk, n);
        } else {
            nc_softmax_divide(softmax, chunk, n);
            error = store(step, out + at, chunk, n);
        }
    }
    return error;
}

static uint8_t divide_all(const struct step *step, struct nc_softmax *softmax)
{
    uint8_t error = NC_DEVICE_ERROR_OK;
    for (uint32_t i = 0; i < step->in.h * step->in.w && error == NC_DEVICE_ERROR_OK; i++) {
        const uint32_t in = address(&step->in, i / step->in.w, i % step->in.w);
        const uint32_t out = address(&step->out, i / step->in.w, i % step->in.w);
        softmax->largest = NC_SOFTMAX_NONE;
        softmax->sum = 0;
        for (uint32_t pass = FIND_LARGEST; pass <= DIVIDE && error == NC_DEVICE_ERROR_OK; pass++) {
            error = pass_over(step, in, out, (enum pass)pass, softmax);
        }
    }
    return error;
}

static uint8_t run_softmax(const struct step *step)
{
    uint8_t table[NC_SOFTMAX_TABLE_BYTES];
    uint8_t map[NC_TABLE_BYTES];
    const bool use_map = NC_GET_DESCRIPTOR_USE_TABLE(step->words) != 0;
    uint8_t error = read_tables(step, NC_GET_DESCRIPTOR_ARGUMENT(step->words), 2, table);
    if (error == NC_DEVICE_ERROR_OK && use_map) {
        error = read_tables(step, NC_GET_DESCRIPTOR_TABLE(step->words), 1, map);
    }
    if (error != NC_DEVICE_ERROR_OK) {
        return error;
    }
    if (table[0] == 0 && table[1] == 0) { /* sums of 0 would be divided by */
        return NC_DEVICE_ERROR_TABLE_MISSING;
    }
    struct nc_softmax softmax = {
        .table = table,
        .map = use_map ? map : NULL,
        .is_signed = NC_GET_DESCRIPTOR_IN_SIGNED(step->words) != 0,
        .zero_point = NC_GET_DESCRIPTOR_OUT_ZP(step->words),
        .hi = NC_GET_DESCRIPTOR_CLAMP_HI(step->words),
    };
    return divide_all(step, &softmax);
}

static uint8_t run_arg_max(const struct step *step)
{
    uint8_t chunk[ARGMAX_CHANNELS];
    const struct nc_operand operand = {chunk, 0, NC_GET_DESCRIPTOR_IN_SIGNED(step->words) != 0};
    uint8_t error = NC_DEVICE_ERROR_OK;
    for (uint32_t i = 0; i < step->in.h * step->in.w && error == NC_DEVICE_ERROR_OK; i++) {
        struct nc_largest largest = {NC_LARGEST_NONE, 0};
        error = load(step, address(&step->in, i / step->in.w, i % step->in.w), chunk, step->in.c);
        if (error != NC_DEVICE_ERROR_OK) {
            return error;
        }
        nc_arg_max(&largest, &operand, 0, step->in.c);
        chunk[0] = (uint8_t)largest.index;
        error = store(step, address(&step->out, i / step->in.w, i % step->in.w), chunk, 1);
    }
    return error;
}

/* UPDATE of the channels from `at` on, as many as a piece holds. */
static uint8_t update_piece(const struct step *step, uint32_t at)
{
    uint8_t pieces[5][PIECE_BYTES]; /* take, keep, incoming, high, low */
    const uint32_t *words = step->words;
    const uint32_t old = NC_GET_DESCRIPTOR_ARGUMENT(words);
    const uint32_t from[5] = {step->in.addr, step->in.addr + step->in.row, step->in2.addr, old,
                              old + step->in.c};
    const int32_t zero_point = NC_GET_DESCRIPTOR_IN_ZP(words);
    const bool is_signed = NC_GET_DESCRIPTOR_IN_SIGNED(words) != 0;
    const struct nc_operand take = {pieces[0], zero_point, is_signed};
    const struct nc_operand keep = {pieces[1], zero_point, is_signed};
    const struct nc_operand incoming = {pieces[2], NC_GET_DESCRIPTOR_IN2_ZP(words),
                                        NC_GET_DESCRIPTOR_IN2_SIGNED(words) != 0};
    const struct nc_state state = {pieces[3], pieces[4], NC_GET_DESCRIPTOR_MULTIPLIER_A(words),
                                   NC_GET_DESCRIPTOR_MULTIPLIER_B(words),
                                   NC_GET_DESCRIPTOR_SHIFT(words)};
    const uint32_t n = nc_min(step->in.c - at, PIECE_BYTES);
    uint8_t error = NC_DEVICE_ERROR_OK;
    for (uint32_t i = 0; i < 5 && error == NC_DEVICE_ERROR_OK; i++) {
        error = load(step, from[i] + at, pieces[i], n);
    }
    if (error != NC_DEVICE_ERROR_OK) {
        return error;
    }
    nc_update(&state, &take, &keep, &incoming, n);
    error = store(step, address(&step->out, 0, 0) + at, pieces[3], n);
    return error == NC_DEVICE_ERROR_OK
               ? store(step, address(&step->out, 1, 0) + at, pieces[4], n)
               : error;
}

static uint8_t run_update(const struct step *step)
{
    uint8_t error = NC_DEVICE_ERROR_OK;
    for (uint32_t at = 0; at < step->in.c && error == NC_DEVICE_ERROR_OK; at += PIECE_BYTES) {
        error = update_piece(step, at);
    }
    return error;
}

uint8_t nc_run_firmware(const struct nc_hal *hal, const struct nc_image *image, uint32_t index)
{
    uint32_t words[NC_DESCRIPTOR_WORDS];
    struct step step = {.hal = hal, .image = image, .words = words};
    uint8_t error = nc_run_words(hal, image, index, words);
    if (error != NC_DEVICE_ERROR_OK) {
        return error;
    }
    step.function = NC_GET_DESCRIPTOR_FUNCTION(words);
    read_boxes(words, &step);
    error = check_step(&step);
    if (error != NC_DEVICE_ERROR_OK) {
        return error;
    }
    switch (step.function) {
    case NC_FUNCTION_SOFTMAX:
        return run_softmax(&step);
    case NC_FUNCTION_ARGMAX:
        return run_arg_max(&step);
    default:
        return run_update(&step);
    }
}
