// The flash's pins for ctypes: whole bytes at a time, one clock edge a cycle.
#include <memory>
#include <string>

#include "nor_cells.h"
#include "spi_flash.h"

namespace {

struct Bench {
  Bench(uint32_t n_sectors, uint64_t seed, const board::FlashTimes &times, uint64_t unique_id)
      : cells(n_sectors, seed),
        flash(cells, times, unique_id, [this](const std::string &line) { log += line + "\n"; }) {}

  uint8_t step(uint8_t driven, uint8_t enable) {
    return flash.step(++now, selected, clock, driven, enable);
  }

  board::NorCells cells;
  board::SpiFlash flash;
  std::string log;
  uint64_t now = 0;
  bool selected = false;
  bool clock = false;
};

uint8_t mask(int width) { return static_cast<uint8_t>((1 << width) - 1); }

}  // namespace

extern "C" {

Bench *bench_new(uint32_t n_sectors, uint64_t seed, uint64_t program, uint64_t fresh,
                 uint64_t worn, uint64_t unique_id) {
  return new Bench(n_sectors, seed, {program, fresh, worn}, unique_id);
}

void bench_delete(Bench *bench) { delete bench; }

// 0: opened, 1: cannot be used, 2: in use.
int bench_open(Bench *bench, const char *path) {
  bool in_use = false;
  const std::string why = bench->cells.open(path, in_use);
  return why.empty() ? 0 : in_use ? 2 : 1;
}

void bench_select(Bench *bench, int selected) {
  bench->selected = selected;
  bench->step(0, 0);
}

// Drives the lines from bit 7 down; the lines above the width are not driven.
void bench_send(Bench *bench, const uint8_t *bytes, size_t n, int width) {
  for (size_t i = 0; i < n; i++) {
    for (int shift = 8 - width; shift >= 0; shift -= width) {
      const uint8_t lines = static_cast<uint8_t>(bytes[i] >> shift & mask(width));
      bench->step(lines, mask(width));
      bench->clock = true;
      bench->step(lines, mask(width));
      bench->clock = false;
      bench->step(lines, shift ? mask(width) : 0);
    }
  }
}

// Some clocks with nothing driven.
void bench_clocks(Bench *bench, int n) {
  for (int i = 0; i < n; i++) {
    bench->clock = true;
    bench->step(0, 0);
    bench->clock = false;
    bench->step(0, 0);
  }
}

void bench_receive(Bench *bench, uint8_t *bytes, size_t n, int width) {
  for (size_t i = 0; i < n; i++) {
    uint8_t byte = 0;
    for (int done = 0; done < 8; done += width) {
      bench->clock = true;
      const uint8_t lines = bench->step(0, 0);
      byte = static_cast<uint8_t>(byte << width | (width == 1 ? lines >> 1 & 1 : lines & mask(width)));
      bench->clock = false;
      bench->step(0, 0);
    }
    bytes[i] = byte;
  }
}

// One edge with both ends driving.
void bench_drive_all(Bench *bench) { bench->step(0, 0xf); }

void bench_wait(Bench *bench, uint64_t cycles) {
  bench->now += cycles;
  bench->flash.poll(bench->now);
}

void bench_arm(Bench *bench, uint64_t operation, uint32_t permille) {
  bench->flash.arm_cut(operation, permille);
}

int bench_cut_due(Bench *bench) { return bench->flash.cut_due(bench->now); }

void bench_power(Bench *bench, int on) {
  if (on) {
    bench->flash.power_on();
  } else {
    bench->selected = bench->clock = false;
    bench->flash.power_off(bench->now);
  }
}

void bench_counts(Bench *bench, uint64_t *out) {
  const board::FlashCounts &counts = bench->flash.counts();
  const uint64_t values[] = {
      counts.n_programs,    counts.n_sector_erases, counts.n_bytes_read, counts.n_trapped,
      counts.n_while_busy,  counts.n_not_enabled,   counts.n_cut_short,  counts.n_unknown,
      counts.n_contended,   counts.n_torn,          bench->cells.n_marginal(),
      bench->flash.fault(), bench->flash.is_busy(), bench->cells.file_is_sound(),
  };
  for (const uint64_t value : values) *out++ = value;
}

void bench_cells(Bench *bench, uint8_t *out) {
  for (uint32_t i = 0; i < bench->cells.n_bytes(); i++) out[i] = bench->cells.read(i);
}

uint32_t bench_erase_count(Bench *bench, uint32_t sector) {
  return bench->cells.erase_count(sector);
}

const char *bench_log(Bench *bench) { return bench->log.c_str(); }

}  // extern "C"
