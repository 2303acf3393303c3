/* generated, do not edit; renew with: python -m norcim.spec.render */

/* Records are arrays of 32-bit words, little-endian in memory and on the wire. For a field F of a
 * record R: NC_R_F_WORD, NC_R_F_SHIFT and NC_R_F_MASK (of the shifted value) say where it is,
 * NC_GET_R_F(words) reads it and NC_PUT_R_F(value) gives the word's bits to be or-ed in. */

#ifndef NORCIM_SPEC_H
#define NORCIM_SPEC_H

#include <stdint.h>

static inline int32_t nc_sign_extend(uint32_t value, unsigned width)
{
    const uint32_t sign = (uint32_t)1 << (width - 1u);
    return (int32_t)((value ^ sign) - sign);
}

#define NC_ABI_LEVEL 1u
#define NC_DESCRIPTOR_WORDS 32u
#define NC_TILE_WORDS 8u
#define NC_COLUMN_WORDS 2u
#define NC_PORT_WORDS 12u
#define NC_TABLE_BYTES 256u
#define NC_BIAS_DRIVE 128u /* The code that drives every bias row. */
#define NC_MAGIC 1296646990u /* The bytes `NCIM`, read as a little-endian word. */
#define NC_HEADER_WORDS 7u
#define NC_SECTION_ENTRY_WORDS 4u
#define NC_ALIGNMENT 4u /* of every section, bytes */
#define NC_MAX_HEADER_BYTES 65536u
#define NC_MAX_IMAGE_BYTES 67108864u
#define NC_MAX_ACTIVATION_BYTES 67108864u
#define NC_MAX_META_BYTES 1048576u
#define NC_MAX_META_DEPTH 16u
#define NC_MAX_DESCRIPTORS 4096u
#define NC_MAX_TILES 65536u
#define NC_MAX_COLUMNS 262144u
#define NC_MAX_PORTS 64u
#define NC_MAX_TABLES 4096u
#define NC_MAX_TAPS 67108864u /* positions x window x channels that one descriptor fetches */
#define NC_MAX_PADDED 16777216u /* positions x channels of an input with the padding that windows reach */
#define NC_FLAG_SIGNED 1u /* Header flag: the signature field holds an Ed25519 signature (else zeros). */
#define NC_UNHASHED_FIRST 92u /* first byte that the SHA-256 reads as zero */
#define NC_UNHASHED_END 192u /* first byte after those */
#define NC_SECTION_TABLE_OFFSET 192u /* where the section table begins */
#define NC_HEADER_BYTES 352u /* Bytes of header and section table at this ABI level. */
#define NC_PROTOCOL_VERSION 1u
#define NC_ANSWER 128u /* set in the type of an answer */
#define NC_MAX_PAYLOAD_BYTES 1024u /* no frame's payload is longer, whatever HELLO says */
#define NC_MIN_PAYLOAD_BYTES 160u /* what every device takes */
#define NC_FRAME_OVERHEAD_BYTES 14u /* most bytes that a frame has beside its payload, at 1,024 bytes */
#define NC_MAX_WINDOW_FRAMES 16u /* unanswered WRITE requests, whatever HELLO says */
#define NC_STALE_REQUESTS 256u /* a request so far behind the last one answered, or less, came late */
#define NC_DEFAULT_BAUD 115200u /* after reset, and after a baud rate that did not prove itself */
#define NC_N_SLOTS 2u
#define NC_SECTOR_BYTES 4096u /* what one ERASE erases */
#define NC_PAGE_BYTES 256u /* what is programmed at a time, once between two erasures */
#define NC_GRAIN_BYTES 16u /* offset and length of DATA are multiples of it */
#define NC_DATA_WINDOW_BYTES 512u /* two pages, from the first that is not complete */
#define NC_ANSWER_TIMEOUT_MS 500u /* for an answer, but for those below */
#define NC_ERASE_TIMEOUT_MS 6000u /* ERASE: a worn sector takes 4 s */
#define NC_IMAGE_TIMEOUT_MS 20000u /* VERIFY, ACTIVATE, RUN with LOAD or START: they read or run an image */
#define NC_BAUD_PROBE_MS 1000u /* a HELLO has to arrive at a new baud rate within this time */
#define NC_NO_SLOT 255u /* in place of a slot's number: none, or the active one */
#define NC_FRAME_HEADER_WORDS 1u
#define NC_HELLO_ANSWER_WORDS 15u
#define NC_SLOT_RANGE_WORDS 3u
#define NC_WRITE_ANSWER_WORDS 1u
#define NC_DATA_REQUEST_WORDS 1u
#define NC_DATA_ANSWER_WORDS 2u
#define NC_ACTIVATE_ANSWER_WORDS 1u
#define NC_RUN_REQUEST_WORDS 2u
#define NC_RUN_LENGTH_WORDS 1u
#define NC_START_ANSWER_WORDS 2u
#define NC_COUNTERS_REQUEST_WORDS 1u
#define NC_COUNTER_RECORD_WORDS 5u
#define NC_BAUD_REQUEST_WORDS 1u
#define NC_SLOT_TABLE_SECTORS 3u
#define NC_RECORD_MAGIC 1381188430u /* `NCSR`: first page of a commit */
#define NC_CLOSE_MAGIC 1129530190u /* `NCSC`: second page */
#define NC_DONE_MAGIC 1146307406u /* `NCSD`: third page */
#define NC_SLOT_RECORD_WORDS 4u
#define NC_SLOT_RECORD_BYTES 52u /* record, SHA-256, CRC-32 */

/* What a descriptor does. */
enum nc_opcode {
    NC_OPCODE_END = 0, /* stop; the last descriptor of every network's program */
    NC_OPCODE_MVM = 1, /* matrix-vector multiply on the arrays, im2col fetch, converter, digital stage */
    NC_OPCODE_DWCONV = 2, /* depthwise convolution on the vector path, requantised per channel */
    NC_OPCODE_ADD = 3, /* elementwise (a - zp_a) * m_a + (b - zp_b) * m_b, rounded once */
    NC_OPCODE_MUL = 4, /* elementwise (a - zp_a) * (b - zp_b) * m_a, rounded once */
    NC_OPCODE_MAXPOOL = 5, /* largest code of a window; positions outside the input never win */
    NC_OPCODE_AVGPOOL = 6, /* window sum of (code - zp), column record by number of missing positions */
    NC_OPCODE_TABLE = 7, /* elementwise 256-entry table lookup */
    NC_OPCODE_COPY = 8, /* strided copy; positions outside the input read pad_value */
    NC_OPCODE_FIRMWARE = 9, /* a step that the CPU runs between two program segments */
};

/* How an MVM drives the wordlines from activation codes. */
enum nc_encoding {
    NC_ENCODING_DIRECT = 0, /* the code itself, uint8 or int8 by in_signed */
    NC_ENCODING_OFFSET = 1, /* int8 code + 128, as uint8 */
    NC_ENCODING_PN = 2, /* code - in_zp split: n_rows wordlines of max(v, 0), then n_rows of max(-v, 0) */
};

/* Converter rules of arithmetic.md. */
enum nc_rule {
    NC_RULE_LOSSLESS = 0, /* code = acc */
    NC_RULE_WTM2101 = 1, /* t = trunc(4 * acc / 2^gain); code = clamp((t + 2) >> 2, -128, 127) */
    NC_RULE_LINEAR = 2, /* code = clamp(floor(acc / 2^gain + 1/2), -2^(b-1), 2^(b-1) - 1) */
};

/* The digital stage after the converter. */
enum nc_stage {
    NC_STAGE_REQUANTISE = 0, /* per-column bias, multiplier and shift from the column table */
    NC_STAGE_SHIFT = 1, /* one rounding right shift for all columns, no column table */
};

/* Firmware steps (opcode FIRMWARE); `norcim.arith` has the arithmetic. */
enum nc_function {
    NC_FUNCTION_SOFTMAX = 0, /* over channels, see `norcim.arith.softmax` */
    NC_FUNCTION_ARGMAX = 1, /* index of the first largest code over channels, see `norcim.arith.arg_max` */
    NC_FUNCTION_UPDATE = 2, /* a 16-bit state through two gates, see `norcim.arith.update` */
};

/* What a section holds. */
enum nc_section_kind {
    NC_SECTION_KIND_PROGRAM = 1, /* Descriptor records, DESCRIPTOR_WORDS words each */
    NC_SECTION_KIND_TILES = 2, /* Tile records */
    NC_SECTION_KIND_COLUMNS = 3, /* Column records */
    NC_SECTION_KIND_PORTS = 4, /* Port records, network by network, inputs first */
    NC_SECTION_KIND_WEIGHTS = 5, /* int8 cells, addressed by Tile.cells */
    NC_SECTION_KIND_VECTOR_WEIGHTS = 6, /* int8 weights of the vector path */
    NC_SECTION_KIND_TABLES = 7, /* lookup tables, TABLE_BYTES each */
    NC_SECTION_KIND_KAT_INPUT = 8, /* known-answer test: bytes of all input ports, vector by vector; may be empty */
    NC_SECTION_KIND_KAT_OUTPUT = 9, /* the bytes of all output ports that each network must give for them */
    NC_SECTION_KIND_META = 10, /* JSON object: sorted keys, no white space, no NaN, UTF-8 */
};

/* What a request asks for. */
enum nc_frame_type {
    NC_FRAME_TYPE_HELLO = 1, /* who is there; empty -> HelloAnswer */
    NC_FRAME_TYPE_ERASE = 2, /* erase one sector of a slot; SlotRange (length 0) -> empty */
    NC_FRAME_TYPE_WRITE = 3, /* the next bytes of a transfer; SlotRange, `length` bytes -> WriteAnswer */
    NC_FRAME_TYPE_READ = 4, /* read back from the cells; SlotRange -> `length` bytes */
    NC_FRAME_TYPE_VERIFY = 5, /* hash the cells, or with length 0 check the image; SlotRange -> SHA-256 */
    NC_FRAME_TYPE_ACTIVATE = 6, /* check, run the known-answer test, commit; SlotRange of 0 -> ActivateAnswer */
    NC_FRAME_TYPE_RUN = 7, /* RunRequest; payload and answer by RunAction */
    NC_FRAME_TYPE_COUNTERS = 8, /* CountersRequest -> as many CounterRecord as fit */
    NC_FRAME_TYPE_LOG = 9, /* oldest lines of the log, taken out of it; empty -> UTF-8 text */
    NC_FRAME_TYPE_RESET = 10, /* answered, then the device restarts; empty -> empty */
    NC_FRAME_TYPE_BAUD = 11, /* answered at the old rate, then the rate changes; BaudRequest -> empty */
    NC_FRAME_TYPE_DATA = 12, /* bytes of a transfer in any order; DataRequest, bytes -> DataAnswer */
};

/* What a RUN request does. */
enum nc_run_action {
    NC_RUN_ACTION_LOAD = 0, /* check a slot's image and load it; argument: slot, or NO_SLOT for the active one */
    NC_RUN_ACTION_INPUT = 1, /* put the bytes that follow at offset `argument` of the input ports, one by one */
    NC_RUN_ACTION_START = 2, /* run once the network that begins at descriptor `argument`; -> StartAnswer */
    NC_RUN_ACTION_OUTPUT = 3, /* answer with output bytes from offset `argument` on, as many as fit */
    NC_RUN_ACTION_STEP = 4, /* run RunLength descriptors from `argument` on, one by one; -> their CRC-32s */
    NC_RUN_ACTION_MEMORY = 5, /* answer with RunLength bytes of activation memory from `argument` on */
};

/* Why a run stopped (0x01..0x0f) or a request was refused (0x10..). */
enum nc_device_error {
    NC_DEVICE_ERROR_OK = 0, /* no error */
    NC_DEVICE_ERROR_BAD_OPCODE = 1, /* the sequencer met an unknown opcode */
    NC_DEVICE_ERROR_BAD_FIELD = 2, /* an enumeration or a size of a descriptor or tile is not legal */
    NC_DEVICE_ERROR_ADDRESS_RANGE = 3, /* an access left the activation memory */
    NC_DEVICE_ERROR_TILE_RANGE = 4, /* a tile or column record lies outside its memory */
    NC_DEVICE_ERROR_WEIGHT_RANGE = 5, /* cells or vector weights lie outside their memory */
    NC_DEVICE_ERROR_TABLE_MISSING = 6, /* a table index has no table */
    NC_DEVICE_ERROR_WATCHDOG = 7, /* the run did not end in time */
    NC_DEVICE_ERROR_BAD_REQUEST = 16, /* unknown frame type, or a payload of the wrong length */
    NC_DEVICE_ERROR_BAD_SLOT = 17, /* no such slot */
    NC_DEVICE_ERROR_BAD_RANGE = 18, /* the bytes asked for leave the slot or the input */
    NC_DEVICE_ERROR_SLOT_IN_USE = 19, /* the active slot is neither erased nor written */
    NC_DEVICE_ERROR_NOT_ERASED = 20, /* flash trap: a programmed page was to be programmed again */
    NC_DEVICE_ERROR_FLASH_FAILED = 21, /* the flash reports no success, or reads back other bytes */
    NC_DEVICE_ERROR_NO_IMAGE = 22, /* the slot holds no image, or nothing is loaded */
    NC_DEVICE_ERROR_IMAGE_DAMAGED = 23, /* header, CRC-32, SHA-256 or program of the image is wrong */
    NC_DEVICE_ERROR_WRONG_ABI = 24, /* the image is of another ABI level */
    NC_DEVICE_ERROR_WRONG_CHIP = 25, /* the image was compiled for another chip */
    NC_DEVICE_ERROR_DOES_NOT_FIT = 26, /* the image needs more memory than the device has */
    NC_DEVICE_ERROR_KAT_FAILED = 27, /* the known-answer test gave other bytes */
    NC_DEVICE_ERROR_NO_NPU = 28, /* this device has no NPU: it stores images and runs none */
};

/* Descriptor: One step of a program, 32 words. Fields that an opcode does not use are 0. */
#define NC_DESCRIPTOR_OPCODE_WORD 0 /* Opcode */
#define NC_DESCRIPTOR_OPCODE_SHIFT 0
#define NC_DESCRIPTOR_OPCODE_MASK 0xffu
#define NC_GET_DESCRIPTOR_OPCODE(w) (((w)[0] >> 0) & 0xffu)
#define NC_PUT_DESCRIPTOR_OPCODE(v) (((uint32_t)(v) & 0xffu) << 0)
#define NC_DESCRIPTOR_STAGE_WORD 0 /* MVM: Stage */
#define NC_DESCRIPTOR_STAGE_SHIFT 8
#define NC_DESCRIPTOR_STAGE_MASK 0xfu
#define NC_GET_DESCRIPTOR_STAGE(w) (((w)[0] >> 8) & 0xfu)
#define NC_PUT_DESCRIPTOR_STAGE(v) (((uint32_t)(v) & 0xfu) << 8)
#define NC_DESCRIPTOR_ENCODING_WORD 0 /* MVM: Encoding */
#define NC_DESCRIPTOR_ENCODING_SHIFT 12
#define NC_DESCRIPTOR_ENCODING_MASK 0xfu
#define NC_GET_DESCRIPTOR_ENCODING(w) (((w)[0] >> 12) & 0xfu)
#define NC_PUT_DESCRIPTOR_ENCODING(v) (((uint32_t)(v) & 0xfu) << 12)
#define NC_DESCRIPTOR_RULE_WORD 0 /* MVM: converter Rule */
#define NC_DESCRIPTOR_RULE_SHIFT 16
#define NC_DESCRIPTOR_RULE_MASK 0xfu
#define NC_GET_DESCRIPTOR_RULE(w) (((w)[0] >> 16) & 0xfu)
#define NC_PUT_DESCRIPTOR_RULE(v) (((uint32_t)(v) & 0xfu) << 16)
#define NC_DESCRIPTOR_IN_SIGNED_WORD 0 /* input codes are int8 (else uint8) */
#define NC_DESCRIPTOR_IN_SIGNED_SHIFT 20
#define NC_DESCRIPTOR_IN_SIGNED_MASK 0x1u
#define NC_GET_DESCRIPTOR_IN_SIGNED(w) (((w)[0] >> 20) & 0x1u)
#define NC_PUT_DESCRIPTOR_IN_SIGNED(v) (((uint32_t)(v) & 0x1u) << 20)
#define NC_DESCRIPTOR_IN2_SIGNED_WORD 0 /* second input's codes are int8 (else uint8) */
#define NC_DESCRIPTOR_IN2_SIGNED_SHIFT 21
#define NC_DESCRIPTOR_IN2_SIGNED_MASK 0x1u
#define NC_GET_DESCRIPTOR_IN2_SIGNED(w) (((w)[0] >> 21) & 0x1u)
#define NC_PUT_DESCRIPTOR_IN2_SIGNED(v) (((uint32_t)(v) & 0x1u) << 21)
#define NC_DESCRIPTOR_OUT_SIGNED_WORD 0 /* output codes are int8 (else uint8) */
#define NC_DESCRIPTOR_OUT_SIGNED_SHIFT 22
#define NC_DESCRIPTOR_OUT_SIGNED_MASK 0x1u
#define NC_GET_DESCRIPTOR_OUT_SIGNED(w) (((w)[0] >> 22) & 0x1u)
#define NC_PUT_DESCRIPTOR_OUT_SIGNED(v) (((uint32_t)(v) & 0x1u) << 22)
#define NC_DESCRIPTOR_USE_TABLE_WORD 0 /* look the clamped result up in table `table` */
#define NC_DESCRIPTOR_USE_TABLE_SHIFT 23
#define NC_DESCRIPTOR_USE_TABLE_MASK 0x1u
#define NC_GET_DESCRIPTOR_USE_TABLE(w) (((w)[0] >> 23) & 0x1u)
#define NC_PUT_DESCRIPTOR_USE_TABLE(v) (((uint32_t)(v) & 0x1u) << 23)
#define NC_DESCRIPTOR_CONVERTER_BITS_WORD 0 /* MVM: bits of the LINEAR converter, 2..16 */
#define NC_DESCRIPTOR_CONVERTER_BITS_SHIFT 24
#define NC_DESCRIPTOR_CONVERTER_BITS_MASK 0x1fu
#define NC_GET_DESCRIPTOR_CONVERTER_BITS(w) (((w)[0] >> 24) & 0x1fu)
#define NC_PUT_DESCRIPTOR_CONVERTER_BITS(v) (((uint32_t)(v) & 0x1fu) << 24)
#define NC_DESCRIPTOR_LAYER_WORD 1 /* index of the layer in the image's metadata */
#define NC_DESCRIPTOR_LAYER_SHIFT 0
#define NC_DESCRIPTOR_LAYER_MASK 0xffffu
#define NC_GET_DESCRIPTOR_LAYER(w) (((w)[1] >> 0) & 0xffffu)
#define NC_PUT_DESCRIPTOR_LAYER(v) (((uint32_t)(v) & 0xffffu) << 0)
#define NC_DESCRIPTOR_N_TILES_WORD 1 /* MVM: tile records from tile_base */
#define NC_DESCRIPTOR_N_TILES_SHIFT 16
#define NC_DESCRIPTOR_N_TILES_MASK 0xffffu
#define NC_GET_DESCRIPTOR_N_TILES(w) (((w)[1] >> 16) & 0xffffu)
#define NC_PUT_DESCRIPTOR_N_TILES(v) (((uint32_t)(v) & 0xffffu) << 16)
#define NC_DESCRIPTOR_IN_ADDR_WORD 2 /* first input: address of (0, 0, 0) */
#define NC_DESCRIPTOR_IN_ADDR_SHIFT 0
#define NC_DESCRIPTOR_IN_ADDR_MASK 0xffffffffu
#define NC_GET_DESCRIPTOR_IN_ADDR(w) (((w)[2] >> 0) & 0xffffffffu)
#define NC_PUT_DESCRIPTOR_IN_ADDR(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_DESCRIPTOR_IN_ROW_STRIDE_WORD 3 /* first input: bytes from y to y + 1 */
#define NC_DESCRIPTOR_IN_ROW_STRIDE_SHIFT 0
#define NC_DESCRIPTOR_IN_ROW_STRIDE_MASK 0xffffffffu
#define NC_GET_DESCRIPTOR_IN_ROW_STRIDE(w) (((w)[3] >> 0) & 0xffffffffu)
#define NC_PUT_DESCRIPTOR_IN_ROW_STRIDE(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_DESCRIPTOR_IN_PIXEL_STRIDE_WORD 4 /* first input: bytes from x to x + 1 */
#define NC_DESCRIPTOR_IN_PIXEL_STRIDE_SHIFT 0
#define NC_DESCRIPTOR_IN_PIXEL_STRIDE_MASK 0xffffffffu
#define NC_GET_DESCRIPTOR_IN_PIXEL_STRIDE(w) (((w)[4] >> 0) & 0xffffffffu)
#define NC_PUT_DESCRIPTOR_IN_PIXEL_STRIDE(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_DESCRIPTOR_IN_CHANNEL_STRIDE_WORD 5 /* first input: bytes from c to c + 1; 1 but for COPY */
#define NC_DESCRIPTOR_IN_CHANNEL_STRIDE_SHIFT 0
#define NC_DESCRIPTOR_IN_CHANNEL_STRIDE_MASK 0xffffffffu
#define NC_GET_DESCRIPTOR_IN_CHANNEL_STRIDE(w) (((w)[5] >> 0) & 0xffffffffu)
#define NC_PUT_DESCRIPTOR_IN_CHANNEL_STRIDE(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_DESCRIPTOR_IN_H_WORD 6 /* input height */
#define NC_DESCRIPTOR_IN_H_SHIFT 0
#define NC_DESCRIPTOR_IN_H_MASK 0xffffu
#define NC_GET_DESCRIPTOR_IN_H(w) (((w)[6] >> 0) & 0xffffu)
#define NC_PUT_DESCRIPTOR_IN_H(v) (((uint32_t)(v) & 0xffffu) << 0)
#define NC_DESCRIPTOR_IN_W_WORD 6 /* input width */
#define NC_DESCRIPTOR_IN_W_SHIFT 16
#define NC_DESCRIPTOR_IN_W_MASK 0xffffu
#define NC_GET_DESCRIPTOR_IN_W(w) (((w)[6] >> 16) & 0xffffu)
#define NC_PUT_DESCRIPTOR_IN_W(v) (((uint32_t)(v) & 0xffffu) << 16)
#define NC_DESCRIPTOR_IN_C_WORD 7 /* input channels */
#define NC_DESCRIPTOR_IN_C_SHIFT 0
#define NC_DESCRIPTOR_IN_C_MASK 0xffffu
#define NC_GET_DESCRIPTOR_IN_C(w) (((w)[7] >> 0) & 0xffffu)
#define NC_PUT_DESCRIPTOR_IN_C(v) (((uint32_t)(v) & 0xffffu) << 0)
#define NC_DESCRIPTOR_OUT_C_WORD 7 /* output channels */
#define NC_DESCRIPTOR_OUT_C_SHIFT 16
#define NC_DESCRIPTOR_OUT_C_MASK 0xffffu
#define NC_GET_DESCRIPTOR_OUT_C(w) (((w)[7] >> 16) & 0xffffu)
#define NC_PUT_DESCRIPTOR_OUT_C(v) (((uint32_t)(v) & 0xffffu) << 16)
#define NC_DESCRIPTOR_OUT_H_WORD 8 /* output height */
#define NC_DESCRIPTOR_OUT_H_SHIFT 0
#define NC_DESCRIPTOR_OUT_H_MASK 0xffffu
#define NC_GET_DESCRIPTOR_OUT_H(w) (((w)[8] >> 0) & 0xffffu)
#define NC_PUT_DESCRIPTOR_OUT_H(v) (((uint32_t)(v) & 0xffffu) << 0)
#define NC_DESCRIPTOR_OUT_W_WORD 8 /* output width */
#define NC_DESCRIPTOR_OUT_W_SHIFT 16
#define NC_DESCRIPTOR_OUT_W_MASK 0xffffu
#define NC_GET_DESCRIPTOR_OUT_W(w) (((w)[8] >> 16) & 0xffffu)
#define NC_PUT_DESCRIPTOR_OUT_W(v) (((uint32_t)(v) & 0xffffu) << 16)
#define NC_DESCRIPTOR_OUT_ADDR_WORD 9 /* output: address of (0, 0, 0) */
#define NC_DESCRIPTOR_OUT_ADDR_SHIFT 0
#define NC_DESCRIPTOR_OUT_ADDR_MASK 0xffffffffu
#define NC_GET_DESCRIPTOR_OUT_ADDR(w) (((w)[9] >> 0) & 0xffffffffu)
#define NC_PUT_DESCRIPTOR_OUT_ADDR(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_DESCRIPTOR_OUT_ROW_STRIDE_WORD 10 /* output: bytes from y to y + 1 */
#define NC_DESCRIPTOR_OUT_ROW_STRIDE_SHIFT 0
#define NC_DESCRIPTOR_OUT_ROW_STRIDE_MASK 0xffffffffu
#define NC_GET_DESCRIPTOR_OUT_ROW_STRIDE(w) (((w)[10] >> 0) & 0xffffffffu)
#define NC_PUT_DESCRIPTOR_OUT_ROW_STRIDE(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_DESCRIPTOR_OUT_PIXEL_STRIDE_WORD 11 /* output: bytes from x to x + 1 */
#define NC_DESCRIPTOR_OUT_PIXEL_STRIDE_SHIFT 0
#define NC_DESCRIPTOR_OUT_PIXEL_STRIDE_MASK 0xffffffffu
#define NC_GET_DESCRIPTOR_OUT_PIXEL_STRIDE(w) (((w)[11] >> 0) & 0xffffffffu)
#define NC_PUT_DESCRIPTOR_OUT_PIXEL_STRIDE(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_DESCRIPTOR_OUT_CHANNEL_STRIDE_WORD 12 /* output: bytes from c to c + 1; 1 but for COPY */
#define NC_DESCRIPTOR_OUT_CHANNEL_STRIDE_SHIFT 0
#define NC_DESCRIPTOR_OUT_CHANNEL_STRIDE_MASK 0xffffffffu
#define NC_GET_DESCRIPTOR_OUT_CHANNEL_STRIDE(w) (((w)[12] >> 0) & 0xffffffffu)
#define NC_PUT_DESCRIPTOR_OUT_CHANNEL_STRIDE(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_DESCRIPTOR_KERNEL_H_WORD 13 /* window height */
#define NC_DESCRIPTOR_KERNEL_H_SHIFT 0
#define NC_DESCRIPTOR_KERNEL_H_MASK 0xffffu
#define NC_GET_DESCRIPTOR_KERNEL_H(w) (((w)[13] >> 0) & 0xffffu)
#define NC_PUT_DESCRIPTOR_KERNEL_H(v) (((uint32_t)(v) & 0xffffu) << 0)
#define NC_DESCRIPTOR_KERNEL_W_WORD 13 /* window width */
#define NC_DESCRIPTOR_KERNEL_W_SHIFT 16
#define NC_DESCRIPTOR_KERNEL_W_MASK 0xffffu
#define NC_GET_DESCRIPTOR_KERNEL_W(w) (((w)[13] >> 16) & 0xffffu)
#define NC_PUT_DESCRIPTOR_KERNEL_W(v) (((uint32_t)(v) & 0xffffu) << 16)
#define NC_DESCRIPTOR_STRIDE_H_WORD 14 /* window step in y */
#define NC_DESCRIPTOR_STRIDE_H_SHIFT 0
#define NC_DESCRIPTOR_STRIDE_H_MASK 0xffffu
#define NC_GET_DESCRIPTOR_STRIDE_H(w) (((w)[14] >> 0) & 0xffffu)
#define NC_PUT_DESCRIPTOR_STRIDE_H(v) (((uint32_t)(v) & 0xffffu) << 0)
#define NC_DESCRIPTOR_STRIDE_W_WORD 14 /* window step in x */
#define NC_DESCRIPTOR_STRIDE_W_SHIFT 16
#define NC_DESCRIPTOR_STRIDE_W_MASK 0xffffu
#define NC_GET_DESCRIPTOR_STRIDE_W(w) (((w)[14] >> 16) & 0xffffu)
#define NC_PUT_DESCRIPTOR_STRIDE_W(v) (((uint32_t)(v) & 0xffffu) << 16)
#define NC_DESCRIPTOR_DILATION_H_WORD 15 /* distance of taps in y */
#define NC_DESCRIPTOR_DILATION_H_SHIFT 0
#define NC_DESCRIPTOR_DILATION_H_MASK 0xffffu
#define NC_GET_DESCRIPTOR_DILATION_H(w) (((w)[15] >> 0) & 0xffffu)
#define NC_PUT_DESCRIPTOR_DILATION_H(v) (((uint32_t)(v) & 0xffffu) << 0)
#define NC_DESCRIPTOR_DILATION_W_WORD 15 /* distance of taps in x */
#define NC_DESCRIPTOR_DILATION_W_SHIFT 16
#define NC_DESCRIPTOR_DILATION_W_MASK 0xffffu
#define NC_GET_DESCRIPTOR_DILATION_W(w) (((w)[15] >> 16) & 0xffffu)
#define NC_PUT_DESCRIPTOR_DILATION_W(v) (((uint32_t)(v) & 0xffffu) << 16)
#define NC_DESCRIPTOR_PAD_TOP_WORD 16 /* rows of padding above; below follows from out_h */
#define NC_DESCRIPTOR_PAD_TOP_SHIFT 0
#define NC_DESCRIPTOR_PAD_TOP_MASK 0xffffu
#define NC_GET_DESCRIPTOR_PAD_TOP(w) nc_sign_extend((((w)[16] >> 0) & 0xffffu), 16u)
#define NC_PUT_DESCRIPTOR_PAD_TOP(v) (((uint32_t)(v) & 0xffffu) << 0)
#define NC_DESCRIPTOR_PAD_LEFT_WORD 16 /* columns of padding left; right from out_w */
#define NC_DESCRIPTOR_PAD_LEFT_SHIFT 16
#define NC_DESCRIPTOR_PAD_LEFT_MASK 0xffffu
#define NC_GET_DESCRIPTOR_PAD_LEFT(w) nc_sign_extend((((w)[16] >> 16) & 0xffffu), 16u)
#define NC_PUT_DESCRIPTOR_PAD_LEFT(v) (((uint32_t)(v) & 0xffffu) << 16)
#define NC_DESCRIPTOR_PAD_VALUE_WORD 17 /* code byte that a position outside the input reads as */
#define NC_DESCRIPTOR_PAD_VALUE_SHIFT 0
#define NC_DESCRIPTOR_PAD_VALUE_MASK 0xffu
#define NC_GET_DESCRIPTOR_PAD_VALUE(w) (((w)[17] >> 0) & 0xffu)
#define NC_PUT_DESCRIPTOR_PAD_VALUE(v) (((uint32_t)(v) & 0xffu) << 0)
#define NC_DESCRIPTOR_IN_ZP_WORD 17 /* first input's zero point */
#define NC_DESCRIPTOR_IN_ZP_SHIFT 16
#define NC_DESCRIPTOR_IN_ZP_MASK 0xffffu
#define NC_GET_DESCRIPTOR_IN_ZP(w) nc_sign_extend((((w)[17] >> 16) & 0xffffu), 16u)
#define NC_PUT_DESCRIPTOR_IN_ZP(v) (((uint32_t)(v) & 0xffffu) << 16)
#define NC_DESCRIPTOR_IN2_ADDR_WORD 18 /* second input: address of (0, 0, 0) */
#define NC_DESCRIPTOR_IN2_ADDR_SHIFT 0
#define NC_DESCRIPTOR_IN2_ADDR_MASK 0xffffffffu
#define NC_GET_DESCRIPTOR_IN2_ADDR(w) (((w)[18] >> 0) & 0xffffffffu)
#define NC_PUT_DESCRIPTOR_IN2_ADDR(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_DESCRIPTOR_IN2_ROW_STRIDE_WORD 19 /* second input: bytes from y to y + 1 */
#define NC_DESCRIPTOR_IN2_ROW_STRIDE_SHIFT 0
#define NC_DESCRIPTOR_IN2_ROW_STRIDE_MASK 0xffffffffu
#define NC_GET_DESCRIPTOR_IN2_ROW_STRIDE(w) (((w)[19] >> 0) & 0xffffffffu)
#define NC_PUT_DESCRIPTOR_IN2_ROW_STRIDE(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_DESCRIPTOR_IN2_PIXEL_STRIDE_WORD 20 /* second input: bytes from x to x + 1 */
#define NC_DESCRIPTOR_IN2_PIXEL_STRIDE_SHIFT 0
#define NC_DESCRIPTOR_IN2_PIXEL_STRIDE_MASK 0xffffffffu
#define NC_GET_DESCRIPTOR_IN2_PIXEL_STRIDE(w) (((w)[20] >> 0) & 0xffffffffu)
#define NC_PUT_DESCRIPTOR_IN2_PIXEL_STRIDE(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_DESCRIPTOR_IN2_ZP_WORD 21 /* second input's zero point */
#define NC_DESCRIPTOR_IN2_ZP_SHIFT 0
#define NC_DESCRIPTOR_IN2_ZP_MASK 0xffffu
#define NC_GET_DESCRIPTOR_IN2_ZP(w) nc_sign_extend((((w)[21] >> 0) & 0xffffu), 16u)
#define NC_PUT_DESCRIPTOR_IN2_ZP(v) (((uint32_t)(v) & 0xffffu) << 0)
#define NC_DESCRIPTOR_OUT_ZP_WORD 21 /* output zero point, added after the shift */
#define NC_DESCRIPTOR_OUT_ZP_SHIFT 16
#define NC_DESCRIPTOR_OUT_ZP_MASK 0xffffu
#define NC_GET_DESCRIPTOR_OUT_ZP(w) nc_sign_extend((((w)[21] >> 16) & 0xffffu), 16u)
#define NC_PUT_DESCRIPTOR_OUT_ZP(v) (((uint32_t)(v) & 0xffffu) << 16)
#define NC_DESCRIPTOR_CLAMP_LO_WORD 22 /* smallest output code */
#define NC_DESCRIPTOR_CLAMP_LO_SHIFT 0
#define NC_DESCRIPTOR_CLAMP_LO_MASK 0xffffu
#define NC_GET_DESCRIPTOR_CLAMP_LO(w) nc_sign_extend((((w)[22] >> 0) & 0xffffu), 16u)
#define NC_PUT_DESCRIPTOR_CLAMP_LO(v) (((uint32_t)(v) & 0xffffu) << 0)
#define NC_DESCRIPTOR_CLAMP_HI_WORD 22 /* largest output code */
#define NC_DESCRIPTOR_CLAMP_HI_SHIFT 16
#define NC_DESCRIPTOR_CLAMP_HI_MASK 0xffffu
#define NC_GET_DESCRIPTOR_CLAMP_HI(w) nc_sign_extend((((w)[22] >> 16) & 0xffffu), 16u)
#define NC_PUT_DESCRIPTOR_CLAMP_HI(v) (((uint32_t)(v) & 0xffffu) << 16)
#define NC_DESCRIPTOR_MULTIPLIER_A_WORD 23 /* ADD, MUL: multiplier (of the first input); UPDATE: of what is let in */
#define NC_DESCRIPTOR_MULTIPLIER_A_SHIFT 0
#define NC_DESCRIPTOR_MULTIPLIER_A_MASK 0xffffu
#define NC_GET_DESCRIPTOR_MULTIPLIER_A(w) (((w)[23] >> 0) & 0xffffu)
#define NC_PUT_DESCRIPTOR_MULTIPLIER_A(v) (((uint32_t)(v) & 0xffffu) << 0)
#define NC_DESCRIPTOR_MULTIPLIER_B_WORD 23 /* ADD: multiplier of the second input; UPDATE: of the old state */
#define NC_DESCRIPTOR_MULTIPLIER_B_SHIFT 16
#define NC_DESCRIPTOR_MULTIPLIER_B_MASK 0xffffu
#define NC_GET_DESCRIPTOR_MULTIPLIER_B(w) (((w)[23] >> 16) & 0xffffu)
#define NC_PUT_DESCRIPTOR_MULTIPLIER_B(v) (((uint32_t)(v) & 0xffffu) << 16)
#define NC_DESCRIPTOR_SHIFT_WORD 24 /* ADD, MUL, UPDATE, stage SHIFT: right shift k */
#define NC_DESCRIPTOR_SHIFT_SHIFT 0
#define NC_DESCRIPTOR_SHIFT_MASK 0xffu
#define NC_GET_DESCRIPTOR_SHIFT(w) (((w)[24] >> 0) & 0xffu)
#define NC_PUT_DESCRIPTOR_SHIFT(v) (((uint32_t)(v) & 0xffu) << 0)
#define NC_DESCRIPTOR_TABLE_WORD 24 /* index of the 256-entry table */
#define NC_DESCRIPTOR_TABLE_SHIFT 16
#define NC_DESCRIPTOR_TABLE_MASK 0xffffu
#define NC_GET_DESCRIPTOR_TABLE(w) (((w)[24] >> 16) & 0xffffu)
#define NC_PUT_DESCRIPTOR_TABLE(v) (((uint32_t)(v) & 0xffffu) << 16)
#define NC_DESCRIPTOR_TILE_BASE_WORD 25 /* MVM: index of the first tile record */
#define NC_DESCRIPTOR_TILE_BASE_SHIFT 0
#define NC_DESCRIPTOR_TILE_BASE_MASK 0xffffffffu
#define NC_GET_DESCRIPTOR_TILE_BASE(w) (((w)[25] >> 0) & 0xffffffffu)
#define NC_PUT_DESCRIPTOR_TILE_BASE(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_DESCRIPTOR_COLUMN_BASE_WORD 26 /* index of the first column record */
#define NC_DESCRIPTOR_COLUMN_BASE_SHIFT 0
#define NC_DESCRIPTOR_COLUMN_BASE_MASK 0xffffffffu
#define NC_GET_DESCRIPTOR_COLUMN_BASE(w) (((w)[26] >> 0) & 0xffffffffu)
#define NC_PUT_DESCRIPTOR_COLUMN_BASE(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_DESCRIPTOR_WEIGHT_BASE_WORD 27 /* DWCONV: first byte in the vector weights, [ky][kx][c] */
#define NC_DESCRIPTOR_WEIGHT_BASE_SHIFT 0
#define NC_DESCRIPTOR_WEIGHT_BASE_MASK 0xffffffffu
#define NC_GET_DESCRIPTOR_WEIGHT_BASE(w) (((w)[27] >> 0) & 0xffffffffu)
#define NC_PUT_DESCRIPTOR_WEIGHT_BASE(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_DESCRIPTOR_FUNCTION_WORD 28 /* FIRMWARE: Function */
#define NC_DESCRIPTOR_FUNCTION_SHIFT 0
#define NC_DESCRIPTOR_FUNCTION_MASK 0xffu
#define NC_GET_DESCRIPTOR_FUNCTION(w) (((w)[28] >> 0) & 0xffu)
#define NC_PUT_DESCRIPTOR_FUNCTION(v) (((uint32_t)(v) & 0xffu) << 0)
#define NC_DESCRIPTOR_ARGUMENT_WORD 29 /* FIRMWARE: SOFTMAX: first table; UPDATE: address of the state */
#define NC_DESCRIPTOR_ARGUMENT_SHIFT 0
#define NC_DESCRIPTOR_ARGUMENT_MASK 0xffffffffu
#define NC_GET_DESCRIPTOR_ARGUMENT(w) (((w)[29] >> 0) & 0xffffffffu)
#define NC_PUT_DESCRIPTOR_ARGUMENT(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_DESCRIPTOR_OWNED {0x1fffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffff00ffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffff00ffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0x000000ffu, 0xffffffffu} /* bits that fields own; the others are 0 */

/* Tile: A rectangle of cells and what it computes, 8 words. */
#define NC_TILE_ARRAY_WORD 0 /* which array */
#define NC_TILE_ARRAY_SHIFT 0
#define NC_TILE_ARRAY_MASK 0xffu
#define NC_GET_TILE_ARRAY(w) (((w)[0] >> 0) & 0xffu)
#define NC_PUT_TILE_ARRAY(v) (((uint32_t)(v) & 0xffu) << 0)
#define NC_TILE_GAIN_WORD 0 /* log2 of the converter's divisor */
#define NC_TILE_GAIN_SHIFT 8
#define NC_TILE_GAIN_MASK 0xffu
#define NC_GET_TILE_GAIN(w) (((w)[0] >> 8) & 0xffu)
#define NC_PUT_TILE_GAIN(v) (((uint32_t)(v) & 0xffu) << 8)
#define NC_TILE_ALIGN_WORD 0 /* left shift of the codes before they are summed */
#define NC_TILE_ALIGN_SHIFT 16
#define NC_TILE_ALIGN_MASK 0xffu
#define NC_GET_TILE_ALIGN(w) (((w)[0] >> 16) & 0xffu)
#define NC_PUT_TILE_ALIGN(v) (((uint32_t)(v) & 0xffu) << 16)
#define NC_TILE_FIRST_WORD 0 /* first tile of its column group */
#define NC_TILE_FIRST_SHIFT 24
#define NC_TILE_FIRST_MASK 0x1u
#define NC_GET_TILE_FIRST(w) (((w)[0] >> 24) & 0x1u)
#define NC_PUT_TILE_FIRST(v) (((uint32_t)(v) & 0x1u) << 24)
#define NC_TILE_LAST_WORD 0 /* last tile of its column group */
#define NC_TILE_LAST_SHIFT 25
#define NC_TILE_LAST_MASK 0x1u
#define NC_GET_TILE_LAST(w) (((w)[0] >> 25) & 0x1u)
#define NC_PUT_TILE_LAST(v) (((uint32_t)(v) & 0x1u) << 25)
#define NC_TILE_ROW_WORD 1 /* wordline of the first cell */
#define NC_TILE_ROW_SHIFT 0
#define NC_TILE_ROW_MASK 0xffffu
#define NC_GET_TILE_ROW(w) (((w)[1] >> 0) & 0xffffu)
#define NC_PUT_TILE_ROW(v) (((uint32_t)(v) & 0xffffu) << 0)
#define NC_TILE_COL_WORD 1 /* bitline of the first cell */
#define NC_TILE_COL_SHIFT 16
#define NC_TILE_COL_MASK 0xffffu
#define NC_GET_TILE_COL(w) (((w)[1] >> 16) & 0xffffu)
#define NC_PUT_TILE_COL(v) (((uint32_t)(v) & 0xffffu) << 16)
#define NC_TILE_N_ROWS_WORD 2 /* im2col inputs; see wordlines_per_input */
#define NC_TILE_N_ROWS_SHIFT 0
#define NC_TILE_N_ROWS_MASK 0xffffu
#define NC_GET_TILE_N_ROWS(w) (((w)[2] >> 0) & 0xffffu)
#define NC_PUT_TILE_N_ROWS(v) (((uint32_t)(v) & 0xffffu) << 0)
#define NC_TILE_N_COLS_WORD 2 /* bitlines, one output channel each */
#define NC_TILE_N_COLS_SHIFT 16
#define NC_TILE_N_COLS_MASK 0xffffu
#define NC_GET_TILE_N_COLS(w) (((w)[2] >> 16) & 0xffffu)
#define NC_PUT_TILE_N_COLS(v) (((uint32_t)(v) & 0xffffu) << 16)
#define NC_TILE_K_FIRST_WORD 3 /* index of the first input within the windowed im2col vector */
#define NC_TILE_K_FIRST_SHIFT 0
#define NC_TILE_K_FIRST_MASK 0xffffffffu
#define NC_GET_TILE_K_FIRST(w) (((w)[3] >> 0) & 0xffffffffu)
#define NC_PUT_TILE_K_FIRST(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_TILE_IN_C_FIRST_WORD 4 /* first input channel of the window */
#define NC_TILE_IN_C_FIRST_SHIFT 0
#define NC_TILE_IN_C_FIRST_MASK 0xffffu
#define NC_GET_TILE_IN_C_FIRST(w) (((w)[4] >> 0) & 0xffffu)
#define NC_PUT_TILE_IN_C_FIRST(v) (((uint32_t)(v) & 0xffffu) << 0)
#define NC_TILE_IN_C_COUNT_WORD 4 /* input channels of the window */
#define NC_TILE_IN_C_COUNT_SHIFT 16
#define NC_TILE_IN_C_COUNT_MASK 0xffffu
#define NC_GET_TILE_IN_C_COUNT(w) (((w)[4] >> 16) & 0xffffu)
#define NC_PUT_TILE_IN_C_COUNT(v) (((uint32_t)(v) & 0xffffu) << 16)
#define NC_TILE_OUT_C_FIRST_WORD 5 /* output channel of the first bitline */
#define NC_TILE_OUT_C_FIRST_SHIFT 0
#define NC_TILE_OUT_C_FIRST_MASK 0xffffu
#define NC_GET_TILE_OUT_C_FIRST(w) (((w)[5] >> 0) & 0xffffu)
#define NC_PUT_TILE_OUT_C_FIRST(v) (((uint32_t)(v) & 0xffffu) << 0)
#define NC_TILE_BIAS_ROW_WORD 5 /* first bias row, counted within the bias strip */
#define NC_TILE_BIAS_ROW_SHIFT 16
#define NC_TILE_BIAS_ROW_MASK 0xffu
#define NC_GET_TILE_BIAS_ROW(w) (((w)[5] >> 16) & 0xffu)
#define NC_PUT_TILE_BIAS_ROW(v) (((uint32_t)(v) & 0xffu) << 16)
#define NC_TILE_N_BIAS_ROWS_WORD 5 /* bias rows, each driven with 128 */
#define NC_TILE_N_BIAS_ROWS_SHIFT 24
#define NC_TILE_N_BIAS_ROWS_MASK 0xffu
#define NC_GET_TILE_N_BIAS_ROWS(w) (((w)[5] >> 24) & 0xffu)
#define NC_PUT_TILE_N_BIAS_ROWS(v) (((uint32_t)(v) & 0xffu) << 24)
#define NC_TILE_CELLS_WORD 6 /* first byte in the weights: wordlines x n_cols, then bias rows */
#define NC_TILE_CELLS_SHIFT 0
#define NC_TILE_CELLS_MASK 0xffffffffu
#define NC_GET_TILE_CELLS(w) (((w)[6] >> 0) & 0xffffffffu)
#define NC_PUT_TILE_CELLS(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_TILE_REPEATS_WORD 7 /* further copies of all wordlines: larger or finer weights */
#define NC_TILE_REPEATS_SHIFT 0
#define NC_TILE_REPEATS_MASK 0xffu
#define NC_GET_TILE_REPEATS(w) (((w)[7] >> 0) & 0xffu)
#define NC_PUT_TILE_REPEATS(v) (((uint32_t)(v) & 0xffu) << 0)
#define NC_TILE_OWNED {0x03ffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0x000000ffu} /* bits that fields own; the others are 0 */

/* Column: One output channel of the digital stage, 2 words; y = ((s + bias) * m + half >> k) + zp. */
#define NC_COLUMN_BIAS_WORD 0 /* digital bias, added to the sum of codes */
#define NC_COLUMN_BIAS_SHIFT 0
#define NC_COLUMN_BIAS_MASK 0xffffffffu
#define NC_GET_COLUMN_BIAS(w) nc_sign_extend((((w)[0] >> 0) & 0xffffffffu), 32u)
#define NC_PUT_COLUMN_BIAS(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_COLUMN_MULTIPLIER_WORD 1 /* m, 2^15..2^16 - 1 */
#define NC_COLUMN_MULTIPLIER_SHIFT 0
#define NC_COLUMN_MULTIPLIER_MASK 0xffffu
#define NC_GET_COLUMN_MULTIPLIER(w) (((w)[1] >> 0) & 0xffffu)
#define NC_PUT_COLUMN_MULTIPLIER(v) (((uint32_t)(v) & 0xffffu) << 0)
#define NC_COLUMN_SHIFT_WORD 1 /* k, 1..47 */
#define NC_COLUMN_SHIFT_SHIFT 16
#define NC_COLUMN_SHIFT_MASK 0xffu
#define NC_GET_COLUMN_SHIFT(w) (((w)[1] >> 16) & 0xffu)
#define NC_PUT_COLUMN_SHIFT(v) (((uint32_t)(v) & 0xffu) << 16)
#define NC_COLUMN_OWNED {0xffffffffu, 0x00ffffffu} /* bits that fields own; the others are 0 */

/* Port: An input or output of a network in activation memory, 12 words. */
#define NC_PORT_IS_OUTPUT_WORD 0 /* 0 input, 1 output */
#define NC_PORT_IS_OUTPUT_SHIFT 0
#define NC_PORT_IS_OUTPUT_MASK 0x1u
#define NC_GET_PORT_IS_OUTPUT(w) (((w)[0] >> 0) & 0x1u)
#define NC_PUT_PORT_IS_OUTPUT(v) (((uint32_t)(v) & 0x1u) << 0)
#define NC_PORT_SIGNED_WORD 0 /* codes are int8 (else uint8) */
#define NC_PORT_SIGNED_SHIFT 1
#define NC_PORT_SIGNED_MASK 0x1u
#define NC_GET_PORT_SIGNED(w) (((w)[0] >> 1) & 0x1u)
#define NC_PUT_PORT_SIGNED(v) (((uint32_t)(v) & 0x1u) << 1)
#define NC_PORT_ZERO_POINT_WORD 0 /* real = scale * (code - zero_point) */
#define NC_PORT_ZERO_POINT_SHIFT 16
#define NC_PORT_ZERO_POINT_MASK 0xffffu
#define NC_GET_PORT_ZERO_POINT(w) nc_sign_extend((((w)[0] >> 16) & 0xffffu), 16u)
#define NC_PUT_PORT_ZERO_POINT(v) (((uint32_t)(v) & 0xffffu) << 16)
#define NC_PORT_SCALE_WORD 1 /* IEEE 754 binary32 bits of the scale */
#define NC_PORT_SCALE_SHIFT 0
#define NC_PORT_SCALE_MASK 0xffffffffu
#define NC_GET_PORT_SCALE(w) (((w)[1] >> 0) & 0xffffffffu)
#define NC_PUT_PORT_SCALE(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_PORT_ADDR_WORD 2 /* address of (0, 0, 0) */
#define NC_PORT_ADDR_SHIFT 0
#define NC_PORT_ADDR_MASK 0xffffffffu
#define NC_GET_PORT_ADDR(w) (((w)[2] >> 0) & 0xffffffffu)
#define NC_PUT_PORT_ADDR(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_PORT_ROW_STRIDE_WORD 3 /* bytes from y to y + 1 */
#define NC_PORT_ROW_STRIDE_SHIFT 0
#define NC_PORT_ROW_STRIDE_MASK 0xffffffffu
#define NC_GET_PORT_ROW_STRIDE(w) (((w)[3] >> 0) & 0xffffffffu)
#define NC_PUT_PORT_ROW_STRIDE(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_PORT_PIXEL_STRIDE_WORD 4 /* bytes from x to x + 1 */
#define NC_PORT_PIXEL_STRIDE_SHIFT 0
#define NC_PORT_PIXEL_STRIDE_MASK 0xffffffffu
#define NC_GET_PORT_PIXEL_STRIDE(w) (((w)[4] >> 0) & 0xffffffffu)
#define NC_PUT_PORT_PIXEL_STRIDE(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_PORT_H_WORD 5 /* height */
#define NC_PORT_H_SHIFT 0
#define NC_PORT_H_MASK 0xffffu
#define NC_GET_PORT_H(w) (((w)[5] >> 0) & 0xffffu)
#define NC_PUT_PORT_H(v) (((uint32_t)(v) & 0xffffu) << 0)
#define NC_PORT_W_WORD 5 /* width */
#define NC_PORT_W_SHIFT 16
#define NC_PORT_W_MASK 0xffffu
#define NC_GET_PORT_W(w) (((w)[5] >> 16) & 0xffffu)
#define NC_PUT_PORT_W(v) (((uint32_t)(v) & 0xffffu) << 16)
#define NC_PORT_C_WORD 6 /* channels */
#define NC_PORT_C_SHIFT 0
#define NC_PORT_C_MASK 0xffffu
#define NC_GET_PORT_C(w) (((w)[6] >> 0) & 0xffffu)
#define NC_PUT_PORT_C(v) (((uint32_t)(v) & 0xffffu) << 0)
#define NC_PORT_FIRST_WORD 6 /* number of the first descriptor of the port's network */
#define NC_PORT_FIRST_SHIFT 16
#define NC_PORT_FIRST_MASK 0xffffu
#define NC_GET_PORT_FIRST(w) (((w)[6] >> 16) & 0xffffu)
#define NC_PUT_PORT_FIRST(v) (((uint32_t)(v) & 0xffffu) << 16)
#define NC_PORT_OWNED {0xffff0003u, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu} /* bits that fields own; the others are 0 */

/* ImageHeader: The first 7 words of an image. */
#define NC_IMAGE_HEADER_MAGIC_WORD 0 /* MAGIC */
#define NC_IMAGE_HEADER_MAGIC_SHIFT 0
#define NC_IMAGE_HEADER_MAGIC_MASK 0xffffffffu
#define NC_GET_IMAGE_HEADER_MAGIC(w) (((w)[0] >> 0) & 0xffffffffu)
#define NC_PUT_IMAGE_HEADER_MAGIC(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_IMAGE_HEADER_ABI_LEVEL_WORD 1 /* ABI_LEVEL of the program and of this format */
#define NC_IMAGE_HEADER_ABI_LEVEL_SHIFT 0
#define NC_IMAGE_HEADER_ABI_LEVEL_MASK 0xffffffffu
#define NC_GET_IMAGE_HEADER_ABI_LEVEL(w) (((w)[1] >> 0) & 0xffffffffu)
#define NC_PUT_IMAGE_HEADER_ABI_LEVEL(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_IMAGE_HEADER_FLAGS_WORD 2 /* FLAG_SIGNED or 0 */
#define NC_IMAGE_HEADER_FLAGS_SHIFT 0
#define NC_IMAGE_HEADER_FLAGS_MASK 0xffffffffu
#define NC_GET_IMAGE_HEADER_FLAGS(w) (((w)[2] >> 0) & 0xffffffffu)
#define NC_PUT_IMAGE_HEADER_FLAGS(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_IMAGE_HEADER_HEADER_BYTES_WORD 3 /* header and section table */
#define NC_IMAGE_HEADER_HEADER_BYTES_SHIFT 0
#define NC_IMAGE_HEADER_HEADER_BYTES_MASK 0xffffffffu
#define NC_GET_IMAGE_HEADER_HEADER_BYTES(w) (((w)[3] >> 0) & 0xffffffffu)
#define NC_PUT_IMAGE_HEADER_HEADER_BYTES(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_IMAGE_HEADER_TOTAL_BYTES_WORD 4 /* the whole image */
#define NC_IMAGE_HEADER_TOTAL_BYTES_SHIFT 0
#define NC_IMAGE_HEADER_TOTAL_BYTES_MASK 0xffffffffu
#define NC_GET_IMAGE_HEADER_TOTAL_BYTES(w) (((w)[4] >> 0) & 0xffffffffu)
#define NC_PUT_IMAGE_HEADER_TOTAL_BYTES(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_IMAGE_HEADER_N_SECTIONS_WORD 5 /* entries of the section table: one of each SectionKind */
#define NC_IMAGE_HEADER_N_SECTIONS_SHIFT 0
#define NC_IMAGE_HEADER_N_SECTIONS_MASK 0xffffffffu
#define NC_GET_IMAGE_HEADER_N_SECTIONS(w) (((w)[5] >> 0) & 0xffffffffu)
#define NC_PUT_IMAGE_HEADER_N_SECTIONS(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_IMAGE_HEADER_ACTIVATION_BYTES_WORD 6 /* activation memory that the program needs */
#define NC_IMAGE_HEADER_ACTIVATION_BYTES_SHIFT 0
#define NC_IMAGE_HEADER_ACTIVATION_BYTES_MASK 0xffffffffu
#define NC_GET_IMAGE_HEADER_ACTIVATION_BYTES(w) (((w)[6] >> 0) & 0xffffffffu)
#define NC_PUT_IMAGE_HEADER_ACTIVATION_BYTES(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_IMAGE_HEADER_OWNED {0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu} /* bits that fields own; the others are 0 */

/* SectionEntry: One entry of the section table, 4 words. */
#define NC_SECTION_ENTRY_KIND_WORD 0 /* SectionKind */
#define NC_SECTION_ENTRY_KIND_SHIFT 0
#define NC_SECTION_ENTRY_KIND_MASK 0xffffffffu
#define NC_GET_SECTION_ENTRY_KIND(w) (((w)[0] >> 0) & 0xffffffffu)
#define NC_PUT_SECTION_ENTRY_KIND(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_SECTION_ENTRY_OFFSET_WORD 1 /* first byte, from the start of the image; a multiple of 4 */
#define NC_SECTION_ENTRY_OFFSET_SHIFT 0
#define NC_SECTION_ENTRY_OFFSET_MASK 0xffffffffu
#define NC_GET_SECTION_ENTRY_OFFSET(w) (((w)[1] >> 0) & 0xffffffffu)
#define NC_PUT_SECTION_ENTRY_OFFSET(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_SECTION_ENTRY_LENGTH_WORD 2 /* bytes, exact, without padding */
#define NC_SECTION_ENTRY_LENGTH_SHIFT 0
#define NC_SECTION_ENTRY_LENGTH_MASK 0xffffffffu
#define NC_GET_SECTION_ENTRY_LENGTH(w) (((w)[2] >> 0) & 0xffffffffu)
#define NC_PUT_SECTION_ENTRY_LENGTH(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_SECTION_ENTRY_CRC32_WORD 3 /* CRC-32 (IEEE 802.3, as zlib) of those bytes */
#define NC_SECTION_ENTRY_CRC32_SHIFT 0
#define NC_SECTION_ENTRY_CRC32_MASK 0xffffffffu
#define NC_GET_SECTION_ENTRY_CRC32(w) (((w)[3] >> 0) & 0xffffffffu)
#define NC_PUT_SECTION_ENTRY_CRC32(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_SECTION_ENTRY_OWNED {0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu} /* bits that fields own; the others are 0 */

/* FrameHeader: Begins every frame, 1 word. */
#define NC_FRAME_HEADER_TYPE_WORD 0 /* FrameType; an answer's has ANSWER set */
#define NC_FRAME_HEADER_TYPE_SHIFT 0
#define NC_FRAME_HEADER_TYPE_MASK 0xffu
#define NC_GET_FRAME_HEADER_TYPE(w) (((w)[0] >> 0) & 0xffu)
#define NC_PUT_FRAME_HEADER_TYPE(v) (((uint32_t)(v) & 0xffu) << 0)
#define NC_FRAME_HEADER_STATUS_WORD 0 /* DeviceError of an answer; 0 in a request */
#define NC_FRAME_HEADER_STATUS_SHIFT 8
#define NC_FRAME_HEADER_STATUS_MASK 0xffu
#define NC_GET_FRAME_HEADER_STATUS(w) (((w)[0] >> 8) & 0xffu)
#define NC_PUT_FRAME_HEADER_STATUS(v) (((uint32_t)(v) & 0xffu) << 8)
#define NC_FRAME_HEADER_SEQUENCE_WORD 0 /* number of the request */
#define NC_FRAME_HEADER_SEQUENCE_SHIFT 16
#define NC_FRAME_HEADER_SEQUENCE_MASK 0xffffu
#define NC_GET_FRAME_HEADER_SEQUENCE(w) (((w)[0] >> 16) & 0xffffu)
#define NC_PUT_FRAME_HEADER_SEQUENCE(v) (((uint32_t)(v) & 0xffffu) << 16)
#define NC_FRAME_HEADER_OWNED {0xffffffffu} /* bits that fields own; the others are 0 */

/* HelloAnswer: Who is there, 15 words; then CHIP_NAME and CHIP_HASH as in an image's header. */
#define NC_HELLO_ANSWER_VERSION_WORD 0 /* PROTOCOL_VERSION */
#define NC_HELLO_ANSWER_VERSION_SHIFT 0
#define NC_HELLO_ANSWER_VERSION_MASK 0xffu
#define NC_GET_HELLO_ANSWER_VERSION(w) (((w)[0] >> 0) & 0xffu)
#define NC_PUT_HELLO_ANSWER_VERSION(v) (((uint32_t)(v) & 0xffu) << 0)
#define NC_HELLO_ANSWER_WINDOW_FRAMES_WORD 0 /* WRITE requests that may be unanswered */
#define NC_HELLO_ANSWER_WINDOW_FRAMES_SHIFT 8
#define NC_HELLO_ANSWER_WINDOW_FRAMES_MASK 0xffu
#define NC_GET_HELLO_ANSWER_WINDOW_FRAMES(w) (((w)[0] >> 8) & 0xffu)
#define NC_PUT_HELLO_ANSWER_WINDOW_FRAMES(v) (((uint32_t)(v) & 0xffu) << 8)
#define NC_HELLO_ANSWER_MAX_PAYLOAD_BYTES_WORD 0 /* longest payload that the device takes */
#define NC_HELLO_ANSWER_MAX_PAYLOAD_BYTES_SHIFT 16
#define NC_HELLO_ANSWER_MAX_PAYLOAD_BYTES_MASK 0xffffu
#define NC_GET_HELLO_ANSWER_MAX_PAYLOAD_BYTES(w) (((w)[0] >> 16) & 0xffffu)
#define NC_PUT_HELLO_ANSWER_MAX_PAYLOAD_BYTES(v) (((uint32_t)(v) & 0xffffu) << 16)
#define NC_HELLO_ANSWER_ABI_LEVEL_WORD 1 /* ABI_LEVEL of the images that it executes */
#define NC_HELLO_ANSWER_ABI_LEVEL_SHIFT 0
#define NC_HELLO_ANSWER_ABI_LEVEL_MASK 0xffffu
#define NC_GET_HELLO_ANSWER_ABI_LEVEL(w) (((w)[1] >> 0) & 0xffffu)
#define NC_PUT_HELLO_ANSWER_ABI_LEVEL(v) (((uint32_t)(v) & 0xffffu) << 0)
#define NC_HELLO_ANSWER_LANES_WORD 1 /* multiply-accumulates a cycle */
#define NC_HELLO_ANSWER_LANES_SHIFT 16
#define NC_HELLO_ANSWER_LANES_MASK 0xffffu
#define NC_GET_HELLO_ANSWER_LANES(w) (((w)[1] >> 16) & 0xffffu)
#define NC_PUT_HELLO_ANSWER_LANES(v) (((uint32_t)(v) & 0xffffu) << 16)
#define NC_HELLO_ANSWER_FIRMWARE_PATCH_WORD 2 /* firmware version, third number */
#define NC_HELLO_ANSWER_FIRMWARE_PATCH_SHIFT 0
#define NC_HELLO_ANSWER_FIRMWARE_PATCH_MASK 0xffu
#define NC_GET_HELLO_ANSWER_FIRMWARE_PATCH(w) (((w)[2] >> 0) & 0xffu)
#define NC_PUT_HELLO_ANSWER_FIRMWARE_PATCH(v) (((uint32_t)(v) & 0xffu) << 0)
#define NC_HELLO_ANSWER_FIRMWARE_MINOR_WORD 2 /* second number */
#define NC_HELLO_ANSWER_FIRMWARE_MINOR_SHIFT 8
#define NC_HELLO_ANSWER_FIRMWARE_MINOR_MASK 0xffu
#define NC_GET_HELLO_ANSWER_FIRMWARE_MINOR(w) (((w)[2] >> 8) & 0xffu)
#define NC_PUT_HELLO_ANSWER_FIRMWARE_MINOR(v) (((uint32_t)(v) & 0xffu) << 8)
#define NC_HELLO_ANSWER_FIRMWARE_MAJOR_WORD 2 /* first number */
#define NC_HELLO_ANSWER_FIRMWARE_MAJOR_SHIFT 16
#define NC_HELLO_ANSWER_FIRMWARE_MAJOR_MASK 0xffu
#define NC_GET_HELLO_ANSWER_FIRMWARE_MAJOR(w) (((w)[2] >> 16) & 0xffu)
#define NC_PUT_HELLO_ANSWER_FIRMWARE_MAJOR(v) (((uint32_t)(v) & 0xffu) << 16)
#define NC_HELLO_ANSWER_ACTIVE_SLOT_WORD 3 /* slot that is loaded after a reset, or NO_SLOT */
#define NC_HELLO_ANSWER_ACTIVE_SLOT_SHIFT 0
#define NC_HELLO_ANSWER_ACTIVE_SLOT_MASK 0xffu
#define NC_GET_HELLO_ANSWER_ACTIVE_SLOT(w) (((w)[3] >> 0) & 0xffu)
#define NC_PUT_HELLO_ANSWER_ACTIVE_SLOT(v) (((uint32_t)(v) & 0xffu) << 0)
#define NC_HELLO_ANSWER_LOADED_SLOT_WORD 3 /* slot that is loaded now, or NO_SLOT */
#define NC_HELLO_ANSWER_LOADED_SLOT_SHIFT 8
#define NC_HELLO_ANSWER_LOADED_SLOT_MASK 0xffu
#define NC_GET_HELLO_ANSWER_LOADED_SLOT(w) (((w)[3] >> 8) & 0xffu)
#define NC_PUT_HELLO_ANSWER_LOADED_SLOT(v) (((uint32_t)(v) & 0xffu) << 8)
#define NC_HELLO_ANSWER_N_SLOTS_WORD 3 /* slots */
#define NC_HELLO_ANSWER_N_SLOTS_SHIFT 16
#define NC_HELLO_ANSWER_N_SLOTS_MASK 0xffu
#define NC_GET_HELLO_ANSWER_N_SLOTS(w) (((w)[3] >> 16) & 0xffu)
#define NC_PUT_HELLO_ANSWER_N_SLOTS(v) (((uint32_t)(v) & 0xffu) << 16)
#define NC_HELLO_ANSWER_UNIQUE_ID_LO_WORD 4 /* unique id, low word */
#define NC_HELLO_ANSWER_UNIQUE_ID_LO_SHIFT 0
#define NC_HELLO_ANSWER_UNIQUE_ID_LO_MASK 0xffffffffu
#define NC_GET_HELLO_ANSWER_UNIQUE_ID_LO(w) (((w)[4] >> 0) & 0xffffffffu)
#define NC_PUT_HELLO_ANSWER_UNIQUE_ID_LO(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_HELLO_ANSWER_UNIQUE_ID_HI_WORD 5 /* unique id, high word */
#define NC_HELLO_ANSWER_UNIQUE_ID_HI_SHIFT 0
#define NC_HELLO_ANSWER_UNIQUE_ID_HI_MASK 0xffffffffu
#define NC_GET_HELLO_ANSWER_UNIQUE_ID_HI(w) (((w)[5] >> 0) & 0xffffffffu)
#define NC_PUT_HELLO_ANSWER_UNIQUE_ID_HI(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_HELLO_ANSWER_SLOT_BYTES_WORD 6 /* bytes of a slot */
#define NC_HELLO_ANSWER_SLOT_BYTES_SHIFT 0
#define NC_HELLO_ANSWER_SLOT_BYTES_MASK 0xffffffffu
#define NC_GET_HELLO_ANSWER_SLOT_BYTES(w) (((w)[6] >> 0) & 0xffffffffu)
#define NC_PUT_HELLO_ANSWER_SLOT_BYTES(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_HELLO_ANSWER_ACTIVATION_BYTES_WORD 7 /* activation memory */
#define NC_HELLO_ANSWER_ACTIVATION_BYTES_SHIFT 0
#define NC_HELLO_ANSWER_ACTIVATION_BYTES_MASK 0xffffffffu
#define NC_GET_HELLO_ANSWER_ACTIVATION_BYTES(w) (((w)[7] >> 0) & 0xffffffffu)
#define NC_PUT_HELLO_ANSWER_ACTIVATION_BYTES(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_HELLO_ANSWER_WEIGHT_BYTES_WORD 8 /* cells and vector weights, together */
#define NC_HELLO_ANSWER_WEIGHT_BYTES_SHIFT 0
#define NC_HELLO_ANSWER_WEIGHT_BYTES_MASK 0xffffffffu
#define NC_GET_HELLO_ANSWER_WEIGHT_BYTES(w) (((w)[8] >> 0) & 0xffffffffu)
#define NC_PUT_HELLO_ANSWER_WEIGHT_BYTES(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_HELLO_ANSWER_VECTOR_WEIGHT_BYTES_WORD 9 /* vector weights alone */
#define NC_HELLO_ANSWER_VECTOR_WEIGHT_BYTES_SHIFT 0
#define NC_HELLO_ANSWER_VECTOR_WEIGHT_BYTES_MASK 0xffffffffu
#define NC_GET_HELLO_ANSWER_VECTOR_WEIGHT_BYTES(w) (((w)[9] >> 0) & 0xffffffffu)
#define NC_PUT_HELLO_ANSWER_VECTOR_WEIGHT_BYTES(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_HELLO_ANSWER_N_DESCRIPTORS_WORD 10 /* descriptors that fit */
#define NC_HELLO_ANSWER_N_DESCRIPTORS_SHIFT 0
#define NC_HELLO_ANSWER_N_DESCRIPTORS_MASK 0xffffffffu
#define NC_GET_HELLO_ANSWER_N_DESCRIPTORS(w) (((w)[10] >> 0) & 0xffffffffu)
#define NC_PUT_HELLO_ANSWER_N_DESCRIPTORS(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_HELLO_ANSWER_N_TILES_WORD 11 /* tile records that fit */
#define NC_HELLO_ANSWER_N_TILES_SHIFT 0
#define NC_HELLO_ANSWER_N_TILES_MASK 0xffffffffu
#define NC_GET_HELLO_ANSWER_N_TILES(w) (((w)[11] >> 0) & 0xffffffffu)
#define NC_PUT_HELLO_ANSWER_N_TILES(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_HELLO_ANSWER_N_COLUMNS_WORD 12 /* column records that fit */
#define NC_HELLO_ANSWER_N_COLUMNS_SHIFT 0
#define NC_HELLO_ANSWER_N_COLUMNS_MASK 0xffffffffu
#define NC_GET_HELLO_ANSWER_N_COLUMNS(w) (((w)[12] >> 0) & 0xffffffffu)
#define NC_PUT_HELLO_ANSWER_N_COLUMNS(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_HELLO_ANSWER_N_TABLES_WORD 13 /* tables that fit */
#define NC_HELLO_ANSWER_N_TABLES_SHIFT 0
#define NC_HELLO_ANSWER_N_TABLES_MASK 0xffffffffu
#define NC_GET_HELLO_ANSWER_N_TABLES(w) (((w)[13] >> 0) & 0xffffffffu)
#define NC_PUT_HELLO_ANSWER_N_TABLES(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_HELLO_ANSWER_CLOCK_HZ_WORD 14 /* clock of the NPU, for turning cycles into time */
#define NC_HELLO_ANSWER_CLOCK_HZ_SHIFT 0
#define NC_HELLO_ANSWER_CLOCK_HZ_MASK 0xffffffffu
#define NC_GET_HELLO_ANSWER_CLOCK_HZ(w) (((w)[14] >> 0) & 0xffffffffu)
#define NC_PUT_HELLO_ANSWER_CLOCK_HZ(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_HELLO_ANSWER_OWNED {0xffffffffu, 0xffffffffu, 0x00ffffffu, 0x00ffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu} /* bits that fields own; the others are 0 */

/* SlotRange: Bytes of a slot, 3 words. */
#define NC_SLOT_RANGE_SLOT_WORD 0 /* number of the slot */
#define NC_SLOT_RANGE_SLOT_SHIFT 0
#define NC_SLOT_RANGE_SLOT_MASK 0xffu
#define NC_GET_SLOT_RANGE_SLOT(w) (((w)[0] >> 0) & 0xffu)
#define NC_PUT_SLOT_RANGE_SLOT(v) (((uint32_t)(v) & 0xffu) << 0)
#define NC_SLOT_RANGE_OFFSET_WORD 1 /* first byte, from the start of the slot */
#define NC_SLOT_RANGE_OFFSET_SHIFT 0
#define NC_SLOT_RANGE_OFFSET_MASK 0xffffffffu
#define NC_GET_SLOT_RANGE_OFFSET(w) (((w)[1] >> 0) & 0xffffffffu)
#define NC_PUT_SLOT_RANGE_OFFSET(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_SLOT_RANGE_LENGTH_WORD 2 /* bytes */
#define NC_SLOT_RANGE_LENGTH_SHIFT 0
#define NC_SLOT_RANGE_LENGTH_MASK 0xffffffffu
#define NC_GET_SLOT_RANGE_LENGTH(w) (((w)[2] >> 0) & 0xffffffffu)
#define NC_PUT_SLOT_RANGE_LENGTH(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_SLOT_RANGE_OWNED {0x000000ffu, 0xffffffffu, 0xffffffffu} /* bits that fields own; the others are 0 */

/* WriteAnswer: How far a transfer is, 1 word. */
#define NC_WRITE_ANSWER_NEXT_OFFSET_WORD 0 /* every byte of the transfer before it has arrived */
#define NC_WRITE_ANSWER_NEXT_OFFSET_SHIFT 0
#define NC_WRITE_ANSWER_NEXT_OFFSET_MASK 0xffffffffu
#define NC_GET_WRITE_ANSWER_NEXT_OFFSET(w) (((w)[0] >> 0) & 0xffffffffu)
#define NC_PUT_WRITE_ANSWER_NEXT_OFFSET(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_WRITE_ANSWER_OWNED {0xffffffffu} /* bits that fields own; the others are 0 */

/* DataRequest: Where bytes of a transfer belong, 1 word; the bytes follow. */
#define NC_DATA_REQUEST_OFFSET_WORD 0 /* first byte, from the start of the slot */
#define NC_DATA_REQUEST_OFFSET_SHIFT 0
#define NC_DATA_REQUEST_OFFSET_MASK 0xffffffffu
#define NC_GET_DATA_REQUEST_OFFSET(w) (((w)[0] >> 0) & 0xffffffffu)
#define NC_PUT_DATA_REQUEST_OFFSET(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_DATA_REQUEST_OWNED {0xffffffffu} /* bits that fields own; the others are 0 */

/* DataAnswer: What a transfer has, 2 words. */
#define NC_DATA_ANSWER_BASE_WORD 0 /* first byte of the first page that is not complete */
#define NC_DATA_ANSWER_BASE_SHIFT 0
#define NC_DATA_ANSWER_BASE_MASK 0xffffffffu
#define NC_GET_DATA_ANSWER_BASE(w) (((w)[0] >> 0) & 0xffffffffu)
#define NC_PUT_DATA_ANSWER_BASE(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_DATA_ANSWER_GRAINS_WORD 1 /* bit i: the grain at base + i * GRAIN_BYTES has arrived */
#define NC_DATA_ANSWER_GRAINS_SHIFT 0
#define NC_DATA_ANSWER_GRAINS_MASK 0xffffffffu
#define NC_GET_DATA_ANSWER_GRAINS(w) (((w)[1] >> 0) & 0xffffffffu)
#define NC_PUT_DATA_ANSWER_GRAINS(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_DATA_ANSWER_OWNED {0xffffffffu, 0xffffffffu} /* bits that fields own; the others are 0 */

/* ActivateAnswer: The commit, 1 word. */
#define NC_ACTIVATE_ANSWER_COUNTER_WORD 0 /* monotonic counter of the slot table after the commit */
#define NC_ACTIVATE_ANSWER_COUNTER_SHIFT 0
#define NC_ACTIVATE_ANSWER_COUNTER_MASK 0xffffffffu
#define NC_GET_ACTIVATE_ANSWER_COUNTER(w) (((w)[0] >> 0) & 0xffffffffu)
#define NC_PUT_ACTIVATE_ANSWER_COUNTER(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_ACTIVATE_ANSWER_OWNED {0xffffffffu} /* bits that fields own; the others are 0 */

/* RunRequest: A step of a run, 2 words. */
#define NC_RUN_REQUEST_ACTION_WORD 0 /* RunAction */
#define NC_RUN_REQUEST_ACTION_SHIFT 0
#define NC_RUN_REQUEST_ACTION_MASK 0xffu
#define NC_GET_RUN_REQUEST_ACTION(w) (((w)[0] >> 0) & 0xffu)
#define NC_PUT_RUN_REQUEST_ACTION(v) (((uint32_t)(v) & 0xffu) << 0)
#define NC_RUN_REQUEST_ARGUMENT_WORD 1 /* slot, offset, descriptor or address, by the action */
#define NC_RUN_REQUEST_ARGUMENT_SHIFT 0
#define NC_RUN_REQUEST_ARGUMENT_MASK 0xffffffffu
#define NC_GET_RUN_REQUEST_ARGUMENT(w) (((w)[1] >> 0) & 0xffffffffu)
#define NC_PUT_RUN_REQUEST_ARGUMENT(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_RUN_REQUEST_OWNED {0x000000ffu, 0xffffffffu} /* bits that fields own; the others are 0 */

/* RunLength: How many descriptors or bytes, 1 word; follows RunRequest. */
#define NC_RUN_LENGTH_LENGTH_WORD 0 /* descriptors to run, or bytes to read */
#define NC_RUN_LENGTH_LENGTH_SHIFT 0
#define NC_RUN_LENGTH_LENGTH_MASK 0xffffffffu
#define NC_GET_RUN_LENGTH_LENGTH(w) (((w)[0] >> 0) & 0xffffffffu)
#define NC_PUT_RUN_LENGTH_LENGTH(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_RUN_LENGTH_OWNED {0xffffffffu} /* bits that fields own; the others are 0 */

/* StartAnswer: How a run ended, 2 words. */
#define NC_START_ANSWER_DESCRIPTOR_WORD 0 /* number of the descriptor that ended or stopped the run */
#define NC_START_ANSWER_DESCRIPTOR_SHIFT 0
#define NC_START_ANSWER_DESCRIPTOR_MASK 0xffffffffu
#define NC_GET_START_ANSWER_DESCRIPTOR(w) (((w)[0] >> 0) & 0xffffffffu)
#define NC_PUT_START_ANSWER_DESCRIPTOR(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_START_ANSWER_CYCLES_WORD 1 /* cycles from start to last store */
#define NC_START_ANSWER_CYCLES_SHIFT 0
#define NC_START_ANSWER_CYCLES_MASK 0xffffffffu
#define NC_GET_START_ANSWER_CYCLES(w) (((w)[1] >> 0) & 0xffffffffu)
#define NC_PUT_START_ANSWER_CYCLES(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_START_ANSWER_OWNED {0xffffffffu, 0xffffffffu} /* bits that fields own; the others are 0 */

/* CountersRequest: Which counters, 1 word. */
#define NC_COUNTERS_REQUEST_FIRST_WORD 0 /* number of the first descriptor */
#define NC_COUNTERS_REQUEST_FIRST_SHIFT 0
#define NC_COUNTERS_REQUEST_FIRST_MASK 0xffffffffu
#define NC_GET_COUNTERS_REQUEST_FIRST(w) (((w)[0] >> 0) & 0xffffffffu)
#define NC_PUT_COUNTERS_REQUEST_FIRST(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_COUNTERS_REQUEST_OWNED {0xffffffffu} /* bits that fields own; the others are 0 */

/* CounterRecord: Counters of one descriptor in the last run, 5 words. */
#define NC_COUNTER_RECORD_CYCLES_WORD 0 /* cycles from fetch to last store */
#define NC_COUNTER_RECORD_CYCLES_SHIFT 0
#define NC_COUNTER_RECORD_CYCLES_MASK 0xffffffffu
#define NC_GET_COUNTER_RECORD_CYCLES(w) (((w)[0] >> 0) & 0xffffffffu)
#define NC_PUT_COUNTER_RECORD_CYCLES(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_COUNTER_RECORD_STALLS_WORD 1 /* cycles in which the lanes waited for memory */
#define NC_COUNTER_RECORD_STALLS_SHIFT 0
#define NC_COUNTER_RECORD_STALLS_MASK 0xffffffffu
#define NC_GET_COUNTER_RECORD_STALLS(w) (((w)[1] >> 0) & 0xffffffffu)
#define NC_PUT_COUNTER_RECORD_STALLS(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_COUNTER_RECORD_MACS_WORD 2 /* multiply-accumulates */
#define NC_COUNTER_RECORD_MACS_SHIFT 0
#define NC_COUNTER_RECORD_MACS_MASK 0xffffffffu
#define NC_GET_COUNTER_RECORD_MACS(w) (((w)[2] >> 0) & 0xffffffffu)
#define NC_PUT_COUNTER_RECORD_MACS(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_COUNTER_RECORD_CONVERSIONS_WORD 3 /* conversions */
#define NC_COUNTER_RECORD_CONVERSIONS_SHIFT 0
#define NC_COUNTER_RECORD_CONVERSIONS_MASK 0xffffffffu
#define NC_GET_COUNTER_RECORD_CONVERSIONS(w) (((w)[3] >> 0) & 0xffffffffu)
#define NC_PUT_COUNTER_RECORD_CONVERSIONS(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_COUNTER_RECORD_SATURATED_WORD 4 /* conversions that clipped */
#define NC_COUNTER_RECORD_SATURATED_SHIFT 0
#define NC_COUNTER_RECORD_SATURATED_MASK 0xffffffffu
#define NC_GET_COUNTER_RECORD_SATURATED(w) (((w)[4] >> 0) & 0xffffffffu)
#define NC_PUT_COUNTER_RECORD_SATURATED(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_COUNTER_RECORD_OWNED {0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu} /* bits that fields own; the others are 0 */

/* BaudRequest: A new rate, 1 word. */
#define NC_BAUD_REQUEST_BAUD_WORD 0 /* bits a second */
#define NC_BAUD_REQUEST_BAUD_SHIFT 0
#define NC_BAUD_REQUEST_BAUD_MASK 0xffffffffu
#define NC_GET_BAUD_REQUEST_BAUD(w) (((w)[0] >> 0) & 0xffffffffu)
#define NC_PUT_BAUD_REQUEST_BAUD(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_BAUD_REQUEST_OWNED {0xffffffffu} /* bits that fields own; the others are 0 */

/* SlotRecord: What a commit says, 4 words; then the image's SHA-256, then the CRC-32 of these 48 bytes. */
#define NC_SLOT_RECORD_MAGIC_WORD 0 /* RECORD_MAGIC, CLOSE_MAGIC or DONE_MAGIC */
#define NC_SLOT_RECORD_MAGIC_SHIFT 0
#define NC_SLOT_RECORD_MAGIC_MASK 0xffffffffu
#define NC_GET_SLOT_RECORD_MAGIC(w) (((w)[0] >> 0) & 0xffffffffu)
#define NC_PUT_SLOT_RECORD_MAGIC(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_SLOT_RECORD_COUNTER_WORD 1 /* monotonic counter */
#define NC_SLOT_RECORD_COUNTER_SHIFT 0
#define NC_SLOT_RECORD_COUNTER_MASK 0xffffffffu
#define NC_GET_SLOT_RECORD_COUNTER(w) (((w)[1] >> 0) & 0xffffffffu)
#define NC_PUT_SLOT_RECORD_COUNTER(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_SLOT_RECORD_SLOT_WORD 2 /* the active slot, or NO_SLOT */
#define NC_SLOT_RECORD_SLOT_SHIFT 0
#define NC_SLOT_RECORD_SLOT_MASK 0xffu
#define NC_GET_SLOT_RECORD_SLOT(w) (((w)[2] >> 0) & 0xffu)
#define NC_PUT_SLOT_RECORD_SLOT(v) (((uint32_t)(v) & 0xffu) << 0)
#define NC_SLOT_RECORD_IMAGE_BYTES_WORD 3 /* bytes of the image in it */
#define NC_SLOT_RECORD_IMAGE_BYTES_SHIFT 0
#define NC_SLOT_RECORD_IMAGE_BYTES_MASK 0xffffffffu
#define NC_GET_SLOT_RECORD_IMAGE_BYTES(w) (((w)[3] >> 0) & 0xffffffffu)
#define NC_PUT_SLOT_RECORD_IMAGE_BYTES(v) (((uint32_t)(v) & 0xffffffffu) << 0)
#define NC_SLOT_RECORD_OWNED {0xffffffffu, 0xffffffffu, 0x000000ffu, 0xffffffffu} /* bits that fields own; the others are 0 */

/* Byte fields of an image's header */
#define NC_IMAGE_HEADER_CHIP_NAME_OFFSET 28 /* name of the chip file, ASCII, padded with zeros */
#define NC_IMAGE_HEADER_CHIP_NAME_BYTES 32
#define NC_IMAGE_HEADER_CHIP_HASH_OFFSET 60 /* SHA-256 of the chip file's values */
#define NC_IMAGE_HEADER_CHIP_HASH_BYTES 32
#define NC_IMAGE_HEADER_HEADER_CRC_OFFSET 92 /* CRC-32 of header and section table, little-endian */
#define NC_IMAGE_HEADER_HEADER_CRC_BYTES 4
#define NC_IMAGE_HEADER_SHA256_OFFSET 96 /* SHA-256 of the image */
#define NC_IMAGE_HEADER_SHA256_BYTES 32
#define NC_IMAGE_HEADER_SIGNATURE_OFFSET 128 /* Ed25519 signature; zeros when FLAG_SIGNED is clear */
#define NC_IMAGE_HEADER_SIGNATURE_BYTES 64
#define NC_SIGNATURE_DOMAIN "norcim image 1\000\000" /* without the C string's own zero */
#define NC_SIGNATURE_DOMAIN_BYTES 16u

/* Memory map of the SoC; registers at byte offsets from their peripheral's base */
#define NC_IO_BASE 0x80000000u /* addresses from here on are not cached */
#define NC_RAM_BASE 0x00000000u /* the CPU's memory, with the firmware in it */
#define NC_ACTIVATIONS_BASE 0x81000000u /* activation memory of the NPU */
#define NC_WEIGHTS_BASE 0x82000000u /* weight memory: cells, then vector weights */
#define NC_RECORDS_BASE 0x83000000u /* record memory: descriptors, tiles, columns, tables */
#define NC_UART_BASE 0x80000000u /* serial line to the host */
#define NC_UART_DATA_OFFSET 0x00u /* the receiver's and the transmitter's FIFO */
#define NC_UART_DATA_BYTE_SHIFT 0 /* read: the oldest byte received, which is taken; write: send */
#define NC_UART_DATA_BYTE_MASK 0xffu
#define NC_UART_DATA_VALID_SHIFT 8 /* read: there was one */
#define NC_UART_DATA_VALID_MASK 0x1u
#define NC_UART_STATUS_OFFSET 0x04u /* state of the FIFOs */
#define NC_UART_STATUS_RECEIVED_SHIFT 0 /* bytes that wait to be read */
#define NC_UART_STATUS_RECEIVED_MASK 0x7fffu
#define NC_UART_STATUS_SPACE_SHIFT 16 /* bytes that may be written; more are lost */
#define NC_UART_STATUS_SPACE_MASK 0x7fffu
#define NC_UART_STATUS_IDLE_SHIFT 31 /* all that was written has gone out */
#define NC_UART_STATUS_IDLE_MASK 0x1u
#define NC_UART_DIVISOR_OFFSET 0x08u /* clock cycles a bit, at least 5 */
#define NC_UART_OVERRUNS_OFFSET 0x0cu /* bytes lost because the receiver's FIFO was full */
#define NC_UART_FRAMING_OFFSET 0x10u /* bytes dropped because they had no stop bit */
#define NC_TIMER_BASE 0x80000100u /* time */
#define NC_TIMER_MILLISECONDS_OFFSET 0x00u /* since reset; wraps round */
#define NC_TIMER_CYCLES_OFFSET 0x04u /* clock cycles since reset; wraps round */
#define NC_FLASH_BASE 0x80000200u /* SPI flash controller */
#define NC_FLASH_CONTROL_OFFSET 0x00u /* how the words that are written from now on go out */
#define NC_FLASH_CONTROL_LENGTH_SHIFT 0 /* bits of a word, at most 32 */
#define NC_FLASH_CONTROL_LENGTH_MASK 0x3fu
#define NC_FLASH_CONTROL_WIDTH_SHIFT 6 /* data lines: 1 or 2 */
#define NC_FLASH_CONTROL_WIDTH_MASK 0xfu
#define NC_FLASH_CONTROL_DRIVE_SHIFT 10 /* line 0 is an output; 0: its words are received only */
#define NC_FLASH_CONTROL_DRIVE_MASK 0x1u
#define NC_FLASH_CONTROL_SELECT_SHIFT 11 /* the chip is selected */
#define NC_FLASH_CONTROL_SELECT_MASK 0x1u
#define NC_FLASH_CONTROL_SWAP_SHIFT 12 /* words of 32 bits begin with their lowest byte */
#define NC_FLASH_CONTROL_SWAP_MASK 0x1u
#define NC_FLASH_STATUS_OFFSET 0x04u /* state of the FIFOs of 8 words */
#define NC_FLASH_STATUS_RECEIVED_SHIFT 0 /* a word waits to be read */
#define NC_FLASH_STATUS_RECEIVED_MASK 0x1u
#define NC_FLASH_STATUS_SPACE_SHIFT 1 /* a word may be written */
#define NC_FLASH_STATUS_SPACE_MASK 0x1u
#define NC_FLASH_DATA_OFFSET 0x08u /* write: send a word; read: take what came back for one */
#define NC_SYSTEM_BASE 0x80000300u /* what this SoC is; reset */
#define NC_SYSTEM_GATEWARE_OFFSET 0x00u /* hash of the gateware's sources and sizes, low word */
#define NC_SYSTEM_RESET_OFFSET 0x04u /* restarts the whole SoC */
#define NC_SYSTEM_RESET_NOW_SHIFT 0 /* restart */
#define NC_SYSTEM_RESET_NOW_MASK 0x1u
#define NC_SYSTEM_CAUSE_OFFSET 0x08u /* what the last reset was */
#define NC_SYSTEM_CAUSE_SOFTWARE_SHIFT 0 /* RESET was written */
#define NC_SYSTEM_CAUSE_SOFTWARE_MASK 0x1u
#define NC_SYSTEM_CAUSE_WATCHDOG_SHIFT 1 /* WATCHDOG ran out */
#define NC_SYSTEM_CAUSE_WATCHDOG_MASK 0x1u
#define NC_SYSTEM_CAUSE_BUS_SHIFT 2 /* the CPU asked for data at an address that nothing answers */
#define NC_SYSTEM_CAUSE_BUS_MASK 0x1u
#define NC_SYSTEM_WATCHDOG_OFFSET 0x0cu /* milliseconds until the SoC restarts; 0: never */
#define NC_SYSTEM_CLOCK_HZ_OFFSET 0x10u /* clock cycles a second */
#define NC_SYSTEM_UART_HZ_OFFSET 0x14u /* DIVISOR of the UART is this, divided by the baud rate */
#define NC_SYSTEM_UNIQUE_ID_LO_OFFSET 0x18u /* unique id; both words 0: it is the flash's */
#define NC_SYSTEM_UNIQUE_ID_HI_OFFSET 0x1cu /* unique id, high word */
#define NC_SYSTEM_FLASH_BASE_OFFSET 0x20u /* first byte of the flash that is ours */
#define NC_SYSTEM_FLASH_BYTES_OFFSET 0x24u /* bytes of the flash that are ours */
#define NC_SYSTEM_RECEIVE_BYTES_OFFSET 0x28u /* bytes that the UART's receiver holds */
#define NC_SHA256_BASE 0x80000400u /* SHA-256 of one block */
#define NC_SHA256_STATE_0_OFFSET 0x00u /* word 0 of the hash's state */
#define NC_SHA256_STATE_1_OFFSET 0x04u /* word 1 of the hash's state */
#define NC_SHA256_STATE_2_OFFSET 0x08u /* word 2 of the hash's state */
#define NC_SHA256_STATE_3_OFFSET 0x0cu /* word 3 of the hash's state */
#define NC_SHA256_STATE_4_OFFSET 0x10u /* word 4 of the hash's state */
#define NC_SHA256_STATE_5_OFFSET 0x14u /* word 5 of the hash's state */
#define NC_SHA256_STATE_6_OFFSET 0x18u /* word 6 of the hash's state */
#define NC_SHA256_STATE_7_OFFSET 0x1cu /* word 7 of the hash's state */
#define NC_SHA256_WORD_OFFSET 0x20u /* write: a word of the block; the 16th begins the rounds */
#define NC_SHA256_STATUS_OFFSET 0x24u /* state of the rounds */
#define NC_SHA256_STATUS_BUSY_SHIFT 0 /* they go on; nothing may be written */
#define NC_SHA256_STATUS_BUSY_MASK 0x1u
#define NC_NPU_BASE 0x80010000u /* the NPU */
#define NC_NPU_ID_OFFSET 0x00u /* what this NPU is */
#define NC_NPU_ID_ABI_LEVEL_SHIFT 0 /* ABI_LEVEL that the sequencer executes */
#define NC_NPU_ID_ABI_LEVEL_MASK 0xffffu
#define NC_NPU_ID_LANES_SHIFT 16 /* multiply-accumulates a cycle */
#define NC_NPU_ID_LANES_MASK 0xffffu
#define NC_NPU_CONTROL_OFFSET 0x04u /* starts and stops the sequencer */
#define NC_NPU_CONTROL_START_SHIFT 0 /* run from descriptor FIRST; clears STATUS, not the counters */
#define NC_NPU_CONTROL_START_MASK 0x1u
#define NC_NPU_CONTROL_STOP_SHIFT 1 /* stop after the access in flight; STATUS.busy falls */
#define NC_NPU_CONTROL_STOP_MASK 0x1u
#define NC_NPU_CONTROL_CLEAR_SHIFT 2 /* clear the counters of all descriptors */
#define NC_NPU_CONTROL_CLEAR_MASK 0x1u
#define NC_NPU_STATUS_OFFSET 0x08u /* state of the sequencer */
#define NC_NPU_STATUS_BUSY_SHIFT 0 /* descriptors are being executed */
#define NC_NPU_STATUS_BUSY_MASK 0x1u
#define NC_NPU_STATUS_DONE_SHIFT 1 /* END was reached */
#define NC_NPU_STATUS_DONE_MASK 0x1u
#define NC_NPU_STATUS_FIRMWARE_SHIFT 2 /* stopped at a FIRMWARE step: run it, set FIRST, start */
#define NC_NPU_STATUS_FIRMWARE_MASK 0x1u
#define NC_NPU_STATUS_CLEARING_SHIFT 3 /* the counters are being cleared */
#define NC_NPU_STATUS_CLEARING_MASK 0x1u
#define NC_NPU_STATUS_ERROR_SHIFT 8 /* DeviceError that stopped the run, or 0 */
#define NC_NPU_STATUS_ERROR_MASK 0xffu
#define NC_NPU_DESCRIPTOR_OFFSET 0x0cu /* number of the descriptor that runs or that stopped */
#define NC_NPU_FIRST_OFFSET 0x14u /* number of the descriptor at which start begins */
#define NC_NPU_WATCHDOG_OFFSET 0x18u /* cycles a run may take before it is stopped; 0: no limit */
#define NC_NPU_COUNTER_SELECT_OFFSET 0x20u /* descriptor whose counters are read below */
#define NC_NPU_CYCLES_OFFSET 0x24u /* cycles from fetch to last store */
#define NC_NPU_STALLS_OFFSET 0x28u /* of these, cycles in which the lanes waited for memory */
#define NC_NPU_MACS_OFFSET 0x2cu /* multiply-accumulates, padding included */
#define NC_NPU_CONVERSIONS_OFFSET 0x30u /* column sums that went through the converter stage */
#define NC_NPU_SATURATED_OFFSET 0x34u /* of these, conversions that clipped */
#define NC_NPU_RUN_CYCLES_OFFSET 0x38u /* cycles of the last run, from start to its end */
#define NC_NPU_LAYOUT_PROGRAM_OFFSET 0x40u /* word of the record memory where descriptors begin */
#define NC_NPU_LAYOUT_TILES_OFFSET 0x44u /* where the tile records begin */
#define NC_NPU_LAYOUT_COLUMNS_OFFSET 0x48u /* where the column records begin */
#define NC_NPU_LAYOUT_TABLES_OFFSET 0x4cu /* where the tables begin */
#define NC_NPU_LAYOUT_N_DESCRIPTORS_OFFSET 0x50u /* descriptors */
#define NC_NPU_LAYOUT_N_TILES_OFFSET 0x54u /* tile records */
#define NC_NPU_LAYOUT_N_COLUMNS_OFFSET 0x58u /* column records */
#define NC_NPU_LAYOUT_N_TABLES_OFFSET 0x5cu /* tables */
#define NC_NPU_LAYOUT_N_ACTIVATION_BYTES_OFFSET 0x60u /* bytes of activations that may be used */
#define NC_NPU_LAYOUT_N_CELL_BYTES_OFFSET 0x64u /* bytes of cells, from byte 0 of the weights */
#define NC_NPU_LAYOUT_VECTOR_WEIGHTS_OFFSET 0x68u /* byte where the vector weights begin */
#define NC_NPU_LAYOUT_N_VECTOR_BYTES_OFFSET 0x6cu /* bytes of vector weights */
#define NC_NPU_ACTIVATION_BYTES_OFFSET 0x80u /* size of the activation memory */
#define NC_NPU_WEIGHT_BYTES_OFFSET 0x84u /* size of the weight memory */
#define NC_NPU_RECORD_WORDS_OFFSET 0x88u /* size of the record memory */
#define NC_NPU_N_DESCRIPTORS_OFFSET 0x8cu /* descriptors that have counters */

#endif
