// One end of a serial line, bit by bit: 8 data bits, no parity, one stop bit.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

namespace board {

class UartLine {
 public:
  // Cycles that one bit takes; not necessarily a whole number. Only between bytes.
  void set_bit_cycles(double cycles);

  // Queues a byte for the device.
  void send(uint8_t byte) { queue_.push_back(byte); }
  size_t n_queued() const { return queue_.size() + (sending_ ? 1 : 0); }

  // The level that drives the device's input in this cycle.
  bool drive(uint64_t now) {
    if (now >= send_due_) advance(now);
    return level_;
  }

  // The level of the device's output after this cycle's clock edge.
  void sample(uint64_t now, bool level) {
    if (receiving_ ? now >= receive_due_ : !level) take(now, level);
  }

  // Bytes that came since the last call.
  std::vector<uint8_t> take_received();
  bool is_receiving() const { return receiving_; }
  uint64_t n_framing_errors() const { return n_framing_errors_; }

  // Forgets what is under way: the power is gone.
  void clear();

 private:
  void advance(uint64_t now);
  void take(uint64_t now, bool level);
  uint64_t at(uint64_t begin, uint64_t half_bits) const {
    return begin + (half_bits * half_bit_ + 0x8000) / 0x10000;
  }

  uint64_t half_bit_ = 4 * 0x10000;  // cycles, 16 binary places

  std::deque<uint8_t> queue_;
  bool sending_ = false;
  bool level_ = true;
  uint32_t frame_ = 0;   // start bit, data, stop bit: what is still to be driven
  uint32_t n_sent_ = 0;  // bits
  uint64_t send_begin_ = 0;
  uint64_t send_due_ = 0;

  bool receiving_ = false;
  bool broken_ = false;  // the stop bit was missing: wait for the line to rise
  uint32_t shift_ = 0;
  uint32_t n_received_ = 0;  // bits, the start bit included
  uint64_t receive_begin_ = 0;
  uint64_t receive_due_ = 0;
  std::vector<uint8_t> received_;
  uint64_t n_framing_errors_ = 0;
};

}  // namespace board
