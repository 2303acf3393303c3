#include "uart_line.h"

#include <utility>

namespace board {

namespace {

constexpr uint32_t kFrameBits = 10;

}  // namespace

void UartLine::set_bit_cycles(double cycles) {
  half_bit_ = static_cast<uint64_t>(cycles * 0x8000 + 0.5);
}

void UartLine::advance(uint64_t now) {
  if (!sending_) {
    if (queue_.empty()) return;
    frame_ = 1u << 9 | static_cast<uint32_t>(queue_.front()) << 1;
    queue_.pop_front();
    sending_ = true;
    n_sent_ = 0;
    send_begin_ = now;
  } else if (n_sent_ == kFrameBits) {
    sending_ = false;
    advance(now);
    return;
  }
  level_ = frame_ & 1;
  frame_ >>= 1;
  n_sent_++;
  send_due_ = at(send_begin_, 2 * n_sent_);
}

void UartLine::take(uint64_t now, bool level) {
  if (broken_) {  // receiving_ is set and due at once: looks at every cycle
    broken_ = receiving_ = !level;
    return;
  }
  if (!receiving_) {
    receiving_ = true;
    n_received_ = shift_ = 0;
    receive_begin_ = now;
  } else {
    shift_ |= static_cast<uint32_t>(level) << n_received_;
    n_received_++;
  }
  receive_due_ = at(receive_begin_, 2 * n_received_ + 1);
  if (n_received_ < kFrameBits) {
    if (n_received_ == 1 && level) receiving_ = false;  // too short for a start bit
    return;
  }
  receiving_ = false;
  if (level) {
    received_.push_back(static_cast<uint8_t>(shift_ >> 1));
  } else {
    n_framing_errors_++;
    broken_ = receiving_ = true;
  }
}

std::vector<uint8_t> UartLine::take_received() { return std::exchange(received_, {}); }

void UartLine::clear() {
  queue_.clear();
  received_.clear();
  sending_ = receiving_ = broken_ = false;
  level_ = true;
  send_due_ = 0;
}

}  // namespace board
