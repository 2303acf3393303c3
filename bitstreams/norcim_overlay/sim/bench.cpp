// Drives the Verilated bench by commands on stdin; answers on stdout. See verilated.py.
#include <cstdint>
#include <cstdio>
#include <vector>

#include "Vbench.h"

namespace {

Vbench *bench;

void tick() {
  bench->clk = 0;
  bench->eval();
  bench->clk = 1;
  bench->eval();
}

uint32_t take() {
  uint8_t b[4];
  if (fread(b, 1, 4, stdin) != 4) return 0;  // end of input reads as QUIT
  return b[0] | b[1] << 8 | b[2] << 16 | static_cast<uint32_t>(b[3]) << 24;
}

void give(uint32_t word) {
  for (int i = 0; i < 4; i++) putchar(static_cast<int>(word >> (8 * i) & 0xff));
}

void write_bytes() {
  bench->host_store = take();
  uint32_t addr = take();
  bench->host_write = 1;
  for (uint32_t n = take(); n;) {
    uint32_t count = n < 4 ? n : 4;
    bench->host_addr = addr;
    bench->host_count = count;
    bench->host_data = take();
    tick();
    addr += count;
    n -= count;
  }
  bench->host_write = 0;
}

void read_bytes() {
  bench->host_store = take();
  uint32_t addr = take(), n = (take() + 3) / 4;
  for (uint32_t i = 0; i < n + HOST_LATENCY; i++) {
    bench->host_addr = addr + 4 * i;
    if (i >= HOST_LATENCY) give(bench->host_read);
    tick();
  }
}

void set_layout() {
  uint32_t n = take();
  for (uint32_t i = 0; i < n; i++) bench->layout[i] = take();
}

void run() {
  bench->first = take();
  bench->watchdog = take();
  uint32_t most = take(), cycles = 0;
  bench->start = 1;
  tick();
  bench->start = 0;
  for (; bench->status & 1 && cycles < most; cycles++) tick();
  give(bench->status);
  give(cycles);
}

void read_counts() {
  bench->select = take();
  for (int i = 0; i < 4; i++) tick();
  for (int i = 0; i < 5; i++) give(bench->counts[i]);
}

void clear_counts(uint32_t n) {
  bench->clear = 1;
  tick();
  bench->clear = 0;
  while (n--) tick();
}

}  // namespace

int main() {
  bench = new Vbench;
  bench->rst = 1;
  tick();
  bench->rst = 0;
  while (uint32_t command = take()) {
    switch (command) {
      case 1: write_bytes(); break;
      case 2: read_bytes(); break;
      case 3: set_layout(); break;
      case 4: run(); break;
      case 5: read_counts(); break;
      case 6: clear_counts(take()); break;
      default: return 1;
    }
    fflush(stdout);
  }
  return 0;
}
