// Cells of a NOR flash: erase sets a sector to 1s, programming only clears bits, once a page.
// The same rules and the same file as sdk/norcim/emulator/flash.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace board {

constexpr uint32_t kSectorBytes = 4096;
constexpr uint32_t kPageBytes = 256;

// A small generator of random numbers (splitmix64): the same on every system.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next();
  // True with a probability of permille / 1000.
  bool chance(uint32_t permille) { return next() % 1000 < permille; }

 private:
  uint64_t state_;
};

class NorCells {
 public:
  NorCells(uint32_t n_sectors, uint64_t seed);
  ~NorCells();
  NorCells(const NorCells &) = delete;
  NorCells &operator=(const NorCells &) = delete;

  // Keeps the cells in a file from now on: loads it, or creates it. Empty on success, else why
  // not; `in_use` says that another process has it.
  std::string open(const std::string &path, bool &in_use);

  uint32_t n_bytes() const { return static_cast<uint32_t>(data_.size()); }
  uint32_t n_sectors() const { return static_cast<uint32_t>(erase_counts_.size()); }
  uint8_t read(uint32_t offset) const { return data_[offset]; }
  uint32_t erase_count(uint32_t sector) const { return erase_counts_[sector]; }
  uint32_t most_erased() const;
  bool is_programmed(uint32_t page) const { return programmed_[page]; }

  void erase(uint32_t sector);
  // One page's bytes from its start; what is not to change is 0xff.
  void program(uint32_t page, const uint8_t *bytes);

  // The power goes in the middle: of the bits that were to change some are done, some are not,
  // and some are marginal, that is, read either way after each power-on.
  void tear_erase(uint32_t sector, uint32_t permille);
  void tear_program(uint32_t page, const uint8_t *bytes, uint32_t permille);
  // Marginal bits fall one way or the other.
  void power_on();
  size_t n_marginal() const { return marginal_.size(); }

  // False once the file could not be written.
  bool file_is_sound() const { return file_is_sound_; }

 private:
  void tear(uint32_t first, const std::vector<uint8_t> &target, uint32_t permille);
  bool load(uint64_t n_bytes);
  bool create();
  void store(uint32_t first, uint32_t n_bytes);
  void store_count(uint32_t sector);
  bool put(uint64_t offset, const void *bytes, size_t n_bytes);
  uint64_t data_offset() const;
  std::vector<uint8_t> header() const;

  std::vector<uint8_t> data_;
  std::vector<uint32_t> erase_counts_;
  std::vector<bool> programmed_;
  std::map<uint32_t, uint8_t> marginal_;  // byte offset -> bits
  Random random_;
  int file_ = -1;
  bool file_is_sound_ = true;
};

}  // namespace board
