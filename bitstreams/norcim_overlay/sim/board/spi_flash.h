// A serial NOR flash at its pins (mode 0; one, two or four lines), like the W25Q parts of dev
// boards: JEDEC ID, status, write enable, page program, sector and block erase, fast reads.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>

#include "nor_cells.h"

namespace board {

// Busy times in cycles of virtual time.
struct FlashTimes {
  uint64_t program;
  uint64_t erase_fresh;  // of a sector that was never erased
  uint64_t erase_worn;   // of one at the end of its life; linear between
};

// From datasheets of W25Q parts: 0.7 ms, 45 ms, 400 ms after 100,000 erasures.
FlashTimes typical_times(double clock_hz, double scale);

struct FlashCounts {
  uint64_t n_programs = 0;
  uint64_t n_sector_erases = 0;
  uint64_t n_bytes_read = 0;
  uint64_t n_trapped = 0;      // a programmed page was to be programmed again: refused
  uint64_t n_while_busy = 0;   // commands that came while it was busy: ignored
  uint64_t n_not_enabled = 0;  // programs and erasures without write enable: ignored
  uint64_t n_cut_short = 0;    // deselected too early or too late: ignored
  uint64_t n_unknown = 0;      // unknown commands: ignored
  uint64_t n_contended = 0;    // both ends drove a line
  uint64_t n_torn = 0;         // operations that lost their power
};

class SpiFlash {
 public:
  using Log = std::function<void(const std::string &)>;

  SpiFlash(NorCells &cells, const FlashTimes &times, uint64_t unique_id, Log log);

  // To be called when a pin has changed; `now` in cycles. Returns what the controller's inputs
  // see: lines that nobody drives are pulled up.
  uint8_t step(uint64_t now, bool selected, bool clock, uint8_t driven, uint8_t drive_enable);

  // Ends an operation whose time is over. To be called now and then.
  void poll(uint64_t now);
  bool is_busy() const { return operation_.kind != Kind::kNone; }

  // The power goes: tears the operation in flight, forgets everything but the cells.
  void power_off(uint64_t now);
  void power_on();

  // Arranges for the power to go at an operation counted from now (0: the next), when so much of
  // its time is over; `cut_due` says that this time has come. Disarmed by power_off.
  void arm_cut(uint64_t operation, uint32_t permille);
  bool cut_due(uint64_t now) const;

  const FlashCounts &counts() const { return counts_; }
  // A sticky fault: something that real cells would not have forgiven.
  bool fault() const { return counts_.n_trapped || counts_.n_contended; }

 private:
  enum class Kind : uint8_t { kNone, kProgram, kErase };
  enum class Phase : uint8_t { kIdle, kCommand, kAddress, kDummy, kRead, kWrite, kIgnore };
  struct Operation {
    Kind kind = Kind::kNone;
    uint32_t first = 0;  // page, or sector
    uint32_t n = 0;
    uint64_t begin = 0;
    uint64_t end = 0;
    std::array<uint8_t, kPageBytes> bytes{};
  };

 public:
  enum class Source : uint8_t {
    kNone, kCells, kJedec, kMakerDevice, kDevice, kUniqueId, kStatus1, kStatus2, kStatus3,
  };
  enum class Action : uint8_t {
    kNone, kEnable, kDisable, kProgram, kErase4, kErase32, kErase64, kEraseChip, kPowerDown, kWake,
    kArmReset, kReset,
  };
  // What a command byte begins.
  struct Command {
    uint8_t opcode;
    uint8_t n_address;      // bytes
    uint8_t address_width;  // lines that carry the address, mode bits and dummies
    uint8_t n_dummy;        // clocks after the address
    uint8_t data_width;
    Source source;
    Action action;
    bool has_mode;  // the first of the dummy clocks carry mode bits
  };

 private:
  void select(uint64_t now);
  void deselect(uint64_t now);
  void rising(uint8_t lines);
  void falling();
  void take_byte(uint8_t byte);
  void take_dummy(uint8_t lines);
  void begin_command(uint8_t opcode);
  void after_command();
  void after_address();
  uint8_t next_output();
  uint8_t status_1() const;
  void act(uint64_t now);
  void program(uint64_t now);
  void erase(uint64_t now, uint32_t n_sectors);
  void start(const Operation &operation);
  void finish();
  uint64_t erase_time(uint32_t sector) const;
  uint8_t resolve(uint8_t driven, uint8_t drive_enable);

  NorCells &cells_;
  FlashTimes times_;
  uint64_t unique_id_;
  Log log_;
  FlashCounts counts_;

  Operation operation_;
  bool write_enabled_ = false;
  bool powered_down_ = false;
  bool reset_armed_ = false;
  uint64_t n_operations_ = 0;
  uint64_t cut_operation_ = UINT64_MAX;
  uint32_t cut_permille_ = 0;

  bool selected_ = false;
  bool clock_ = false;
  bool contended_ = false;
  Phase phase_ = Phase::kIdle;
  const Command *command_ = nullptr;
  const Command *continuous_ = nullptr;  // a read whose command byte is left out next time
  uint64_t now_ = 0;
  uint32_t shift_ = 0;
  uint32_t n_bits_ = 0;     // of the byte under way
  uint32_t n_taken_ = 0;    // bytes of the address, or dummy clocks
  uint32_t address_ = 0;
  uint32_t n_written_ = 0;
  std::array<uint8_t, kPageBytes> page_{};
  uint32_t n_output_ = 0;   // bytes given so far
  uint8_t output_ = 0;
  uint32_t output_left_ = 0;  // bits of `output_` not yet on the lines
  uint8_t out_lines_ = 0xf;
  uint8_t out_enable_ = 0;
};

}  // namespace board
