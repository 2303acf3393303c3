#include "spi_flash.h"

#include <algorithm>
#include <cstdio>

namespace board {

namespace {

using Action = SpiFlash::Action;
using Source = SpiFlash::Source;

// opcode, address bytes, their lines, dummy clocks, data lines, what is read, what is done
constexpr SpiFlash::Command kCommands[] = {
    {0x9f, 0, 1, 0, 1, Source::kJedec, Action::kNone, false},
    {0x90, 3, 1, 0, 1, Source::kMakerDevice, Action::kNone, false},
    {0xab, 0, 1, 24, 1, Source::kDevice, Action::kWake, false},
    {0xb9, 0, 1, 0, 1, Source::kNone, Action::kPowerDown, false},
    {0x4b, 0, 1, 32, 1, Source::kUniqueId, Action::kNone, false},
    {0x05, 0, 1, 0, 1, Source::kStatus1, Action::kNone, false},
    {0x35, 0, 1, 0, 1, Source::kStatus2, Action::kNone, false},
    {0x15, 0, 1, 0, 1, Source::kStatus3, Action::kNone, false},
    {0x06, 0, 1, 0, 1, Source::kNone, Action::kEnable, false},
    {0x04, 0, 1, 0, 1, Source::kNone, Action::kDisable, false},
    {0x03, 3, 1, 0, 1, Source::kCells, Action::kNone, false},
    {0x0b, 3, 1, 8, 1, Source::kCells, Action::kNone, false},
    {0x3b, 3, 1, 8, 2, Source::kCells, Action::kNone, false},
    {0x6b, 3, 1, 8, 4, Source::kCells, Action::kNone, false},
    {0xbb, 3, 2, 4, 2, Source::kCells, Action::kNone, true},
    {0xeb, 3, 4, 6, 4, Source::kCells, Action::kNone, true},
    {0x02, 3, 1, 0, 1, Source::kNone, Action::kProgram, false},
    {0x32, 3, 1, 0, 4, Source::kNone, Action::kProgram, false},
    {0x20, 3, 1, 0, 1, Source::kNone, Action::kErase4, false},
    {0x52, 3, 1, 0, 1, Source::kNone, Action::kErase32, false},
    {0xd8, 3, 1, 0, 1, Source::kNone, Action::kErase64, false},
    {0xc7, 0, 1, 0, 1, Source::kNone, Action::kEraseChip, false},
    {0x60, 0, 1, 0, 1, Source::kNone, Action::kEraseChip, false},
    {0x66, 0, 1, 0, 1, Source::kNone, Action::kArmReset, false},
    {0x99, 0, 1, 0, 1, Source::kNone, Action::kReset, false},
};

constexpr uint8_t kMaker = 0xef;
constexpr uint8_t kMemoryType = 0x40;
constexpr uint8_t kBusy = 0x01;
constexpr uint8_t kWriteEnabled = 0x02;
constexpr uint8_t kQuadEnabled = 0x02;
constexpr uint32_t kWornErasures = 100000;

const SpiFlash::Command *find_command(uint8_t opcode) {
  const auto *end = std::end(kCommands);
  const auto *found = std::find_if(std::begin(kCommands), end,
                                   [&](const auto &command) { return command.opcode == opcode; });
  return found == end ? nullptr : found;
}

bool reads_status(const SpiFlash::Command &command) {
  return command.source == Source::kStatus1 || command.source == Source::kStatus2 ||
         command.source == Source::kStatus3;
}

// log2 of the capacity, as JEDEC IDs have it.
uint8_t capacity_code(uint32_t n_bytes) {
  uint8_t code = 0;
  while ((1ull << code) < n_bytes) code++;
  return code;
}

// Lines of a width that the flash drives: line 1 when only one is used.
uint8_t output_lines(uint32_t width) { return width == 1 ? 0x2 : width == 2 ? 0x3 : 0xf; }

}  // namespace

FlashTimes typical_times(double clock_hz, double scale) {
  const auto cycles = [&](double seconds) {
    return std::max<uint64_t>(1, static_cast<uint64_t>(seconds * clock_hz * scale));
  };
  return {cycles(0.7e-3), cycles(45e-3), cycles(400e-3)};
}

SpiFlash::SpiFlash(NorCells &cells, const FlashTimes &times, uint64_t unique_id, Log log)
    : cells_(cells), times_(times), unique_id_(unique_id), log_(std::move(log)) {}

uint8_t SpiFlash::step(uint64_t now, bool selected, bool clock, uint8_t driven,
                       uint8_t drive_enable) {
  now_ = now;
  if (selected && !selected_) {
    selected_ = true;
    clock_ = clock;
    select(now);
  } else if (!selected && selected_) {
    selected_ = false;
    deselect(now);
  }
  const uint8_t seen = resolve(driven, drive_enable);
  if (selected_ && clock != clock_) {
    clock_ = clock;
    if (clock) {
      rising(seen);
    } else {
      falling();
    }
  }
  return resolve(driven, drive_enable);
}

// The lines as both ends see them.
uint8_t SpiFlash::resolve(uint8_t driven, uint8_t drive_enable) {
  const uint8_t both = drive_enable & out_enable_;
  if (both && !contended_) {
    counts_.n_contended++;
    log_("flash: both ends drive a line");
  }
  contended_ = both != 0;
  const uint8_t undriven = static_cast<uint8_t>(~(drive_enable | out_enable_));
  return static_cast<uint8_t>(
      0xf & ((driven & drive_enable) | (out_lines_ & out_enable_ & ~drive_enable) | undriven));
}

void SpiFlash::select(uint64_t now) {
  poll(now);
  n_bits_ = n_taken_ = address_ = n_written_ = n_output_ = output_left_ = 0;
  shift_ = 0;
  page_.fill(0xff);
  command_ = continuous_;
  phase_ = Phase::kCommand;
  if (continuous_) phase_ = is_busy() ? Phase::kIgnore : Phase::kAddress;
}

void SpiFlash::deselect(uint64_t now) {
  out_enable_ = 0;
  const Action action = command_ ? command_->action : Action::kNone;
  const bool is_whole = phase_ == Phase::kWrite && n_bits_ == 0 &&
                        (n_written_ != 0) == (action == Action::kProgram);
  if (is_whole || action == Action::kWake) {
    act(now);
  } else if (action != Action::kNone) {
    counts_.n_cut_short++;
  }
  phase_ = Phase::kIdle;
}

void SpiFlash::rising(uint8_t lines) {
  if (phase_ == Phase::kRead || phase_ == Phase::kIgnore) return;
  if (phase_ == Phase::kDummy) {
    take_dummy(lines);
    return;
  }
  uint32_t width = 1;
  if (phase_ == Phase::kAddress) width = command_->address_width;
  if (phase_ == Phase::kWrite) width = command_->data_width;
  shift_ = shift_ << width | (lines & ((1u << width) - 1));
  n_bits_ += width;
  if (n_bits_ < 8) return;
  n_bits_ = 0;
  take_byte(static_cast<uint8_t>(shift_));
}

void SpiFlash::falling() {
  if (phase_ != Phase::kRead || command_->source == Source::kNone) return;
  const uint32_t width = command_->data_width;
  if (output_left_ == 0) {
    output_ = next_output();
    output_left_ = 8;
  }
  output_left_ -= width;
  const uint32_t bits = output_ >> output_left_ & ((1u << width) - 1);
  out_lines_ = static_cast<uint8_t>(width == 1 ? bits << 1 : bits);
  out_enable_ = output_lines(width);
}

void SpiFlash::take_byte(uint8_t byte) {
  switch (phase_) {
    case Phase::kCommand:
      begin_command(byte);
      break;
    case Phase::kAddress:
      address_ = address_ << 8 | byte;
      if (++n_taken_ == command_->n_address) after_address();
      break;
    case Phase::kWrite:  // more than a page wraps round within it
      page_[(address_ + n_written_) % kPageBytes] = byte;
      n_written_++;
      break;
    default:
      break;
  }
}

// The mode bits say that the next read comes without its command byte.
void SpiFlash::take_dummy(uint8_t lines) {
  const uint32_t width = command_->address_width;
  if (command_->has_mode && n_taken_ * width < 8) {
    shift_ = shift_ << width | (lines & ((1u << width) - 1));
    if ((n_taken_ + 1) * width == 8) continuous_ = (shift_ & 0x30) == 0x20 ? command_ : nullptr;
  }
  if (++n_taken_ == command_->n_dummy) phase_ = Phase::kRead;
}

void SpiFlash::begin_command(uint8_t opcode) {
  command_ = find_command(opcode);
  phase_ = Phase::kIgnore;
  if (!command_) {
    counts_.n_unknown++;
    log_("flash: unknown command");
  } else if (is_busy() && !reads_status(*command_)) {
    counts_.n_while_busy++;
    command_ = nullptr;
  } else if (powered_down_ && command_->action != Action::kWake) {
    command_ = nullptr;
  } else {
    after_command();
  }
}

void SpiFlash::after_command() {
  if (command_->action != Action::kReset) reset_armed_ = false;
  if (command_->n_address) {
    phase_ = Phase::kAddress;
  } else {
    after_address();
  }
}

void SpiFlash::after_address() {
  n_taken_ = 0;
  if (command_->n_dummy) {
    phase_ = Phase::kDummy;
  } else {
    phase_ = command_->source == Source::kNone ? Phase::kWrite : Phase::kRead;
  }
}

uint8_t SpiFlash::next_output() {
  const uint32_t index = n_output_++;
  switch (command_->source) {
    case Source::kCells:
      counts_.n_bytes_read++;
      return cells_.read((address_ + index) % cells_.n_bytes());
    case Source::kJedec: {
      const uint8_t id[] = {kMaker, kMemoryType, capacity_code(cells_.n_bytes())};
      return id[index % 3];
    }
    case Source::kMakerDevice:
      return (index + address_) % 2 ? static_cast<uint8_t>(capacity_code(cells_.n_bytes()) - 1)
                                    : kMaker;
    case Source::kDevice:
      return static_cast<uint8_t>(capacity_code(cells_.n_bytes()) - 1);
    case Source::kUniqueId:
      return static_cast<uint8_t>(unique_id_ >> (56 - 8 * (index % 8)));
    case Source::kStatus1:
      poll(now_);
      return status_1();
    case Source::kStatus2:
      return kQuadEnabled;
    default:
      return 0;
  }
}

uint8_t SpiFlash::status_1() const {
  return static_cast<uint8_t>((is_busy() ? kBusy : 0) | (write_enabled_ ? kWriteEnabled : 0));
}

void SpiFlash::act(uint64_t now) {
  switch (command_->action) {
    case Action::kEnable: write_enabled_ = true; break;
    case Action::kDisable: write_enabled_ = false; break;
    case Action::kProgram: program(now); break;
    case Action::kErase4: erase(now, 1); break;
    case Action::kErase32: erase(now, 8); break;
    case Action::kErase64: erase(now, 16); break;
    case Action::kEraseChip: erase(now, cells_.n_sectors()); break;
    case Action::kPowerDown: powered_down_ = true; break;
    case Action::kWake: powered_down_ = false; break;
    case Action::kArmReset: reset_armed_ = true; break;
    case Action::kReset:
      if (reset_armed_) write_enabled_ = reset_armed_ = false;
      break;
    case Action::kNone: break;
  }
}

void SpiFlash::program(uint64_t now) {
  if (!write_enabled_) {
    counts_.n_not_enabled++;
    return;
  }
  const uint32_t page = address_ % cells_.n_bytes() / kPageBytes;
  if (cells_.is_programmed(page)) {
    counts_.n_trapped++;
    write_enabled_ = false;
    char line[80];
    snprintf(line, sizeof line, "flash: page at 0x%06x is not erased", page * kPageBytes);
    log_(line);
    return;
  }
  start({Kind::kProgram, page, 1, now, now + times_.program, page_});
}

void SpiFlash::erase(uint64_t now, uint32_t n_sectors) {
  if (!write_enabled_) {
    counts_.n_not_enabled++;
    return;
  }
  const uint32_t sector = address_ % cells_.n_bytes() / kSectorBytes;
  const uint32_t first = sector - sector % n_sectors;
  const uint32_t n = std::min(n_sectors, cells_.n_sectors() - first);
  uint64_t time = 0;
  for (uint32_t i = 0; i < n; i++) time += erase_time(first + i);
  // A block takes about 3.3 times as long as one of its sectors, not 16 times.
  if (n > 1) time = std::max(times_.erase_fresh, time / 5);
  start({Kind::kErase, first, n, now, now + time, {}});
}

uint64_t SpiFlash::erase_time(uint32_t sector) const {
  const uint64_t wear = std::min(cells_.erase_count(sector), kWornErasures);
  return times_.erase_fresh + (times_.erase_worn - times_.erase_fresh) * wear / kWornErasures;
}

void SpiFlash::start(const Operation &operation) {
  operation_ = operation;
  n_operations_++;
}

void SpiFlash::poll(uint64_t now) {
  if (is_busy() && now >= operation_.end && !cut_due(now)) finish();
}

void SpiFlash::finish() {
  if (operation_.kind == Kind::kProgram) {
    cells_.program(operation_.first, operation_.bytes.data());
    counts_.n_programs++;
  } else {
    for (uint32_t i = 0; i < operation_.n; i++) cells_.erase(operation_.first + i);
    counts_.n_sector_erases += operation_.n;
  }
  operation_.kind = Kind::kNone;
  write_enabled_ = false;
}

void SpiFlash::power_off(uint64_t now) {
  poll(now);
  if (is_busy()) {
    const uint64_t length = operation_.end - operation_.begin;
    const uint64_t over = std::min(now - operation_.begin, length) * 1000 / length;
    const auto permille = static_cast<uint32_t>(over);
    if (operation_.kind == Kind::kProgram) {
      cells_.tear_program(operation_.first, operation_.bytes.data(), permille);
    } else {
      for (uint32_t i = 0; i < operation_.n; i++) {
        cells_.tear_erase(operation_.first + i, permille);
      }
    }
    counts_.n_torn++;
  }
  operation_.kind = Kind::kNone;
  write_enabled_ = powered_down_ = reset_armed_ = selected_ = clock_ = false;
  phase_ = Phase::kIdle;
  command_ = continuous_ = nullptr;
  out_enable_ = 0;
  cut_operation_ = UINT64_MAX;
}

void SpiFlash::power_on() { cells_.power_on(); }

void SpiFlash::arm_cut(uint64_t operation, uint32_t permille) {
  cut_operation_ = n_operations_ + operation;
  cut_permille_ = permille;
}

bool SpiFlash::cut_due(uint64_t now) const {
  if (!is_busy() || cut_operation_ != n_operations_ - 1) return false;
  const uint64_t length = operation_.end - operation_.begin;
  return (now - operation_.begin) * 1000 >= length * cut_permille_;
}

}  // namespace board
