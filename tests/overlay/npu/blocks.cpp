// Runs cycles of one block by a header, its inputs on stdin and its outputs on stdout. See blocks.py.
#include <cstdint>
#include <cstdio>
#include <vector>

#include "Vblocks.h"

namespace {

bool take(void *to, size_t n_words) { return fread(to, 4, n_words, stdin) == n_words; }

}  // namespace

int main() {
  Vblocks top;
  uint32_t header[4];  // block, cycles, words in and words out a cycle
  while (take(header, 4)) {
    const uint32_t n_cycles = header[1], n_in = header[2], n_out = header[3];
    std::vector<uint32_t> in(static_cast<size_t>(n_cycles) * n_in);
    std::vector<uint32_t> out(static_cast<size_t>(n_cycles) * n_out);
    if (!take(in.data(), in.size())) return 1;
    top.select = header[0];
    for (uint32_t cycle = 0; cycle <= n_cycles; cycle++) {
      top.rst = cycle == 0;
      for (uint32_t i = 0; cycle && i < n_in; i++) top.given[i] = in[(cycle - 1) * n_in + i];
      top.clk = 0;
      top.eval();
      for (uint32_t i = 0; cycle && i < n_out; i++) out[(cycle - 1) * n_out + i] = top.found[i];
      top.clk = 1;
      top.eval();
    }
    fwrite(out.data(), 4, out.size(), stdout);
    fflush(stdout);
  }
  return 0;
}
