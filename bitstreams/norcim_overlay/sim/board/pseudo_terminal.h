// A pseudo-terminal that a host opens like a serial port, under a name that stays.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace board {

class PseudoTerminal {
 public:
  PseudoTerminal() = default;
  ~PseudoTerminal();
  PseudoTerminal(const PseudoTerminal &) = delete;
  PseudoTerminal &operator=(const PseudoTerminal &) = delete;

  // Opens it in raw mode and points `link` at it. Empty on success, else why not.
  std::string open(const std::string &link);

  int handle() const { return master_; }
  // Bits a second that the host has set, as a USB adapter is told.
  unsigned baud() const;
  // What the host wrote, at most `most` bytes.
  std::vector<uint8_t> read(size_t most);
  // Hands bytes to the host as far as it takes them; the rest later. What piles up because
  // nobody reads is dropped, as by an adapter.
  void write(const std::vector<uint8_t> &bytes);
  uint64_t n_dropped() const { return n_dropped_; }
  bool has_pending() const { return !pending_.empty(); }

 private:
  int master_ = -1;
  int slave_ = -1;  // kept open, so that a host that leaves does not hang it up
  std::string link_;
  std::vector<uint8_t> pending_;
  uint64_t n_dropped_ = 0;
};

}  // namespace board
