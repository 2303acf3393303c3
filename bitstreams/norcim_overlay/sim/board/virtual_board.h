// The board: the Verilated SoC with a power switch, a flash and a serial line around it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "nor_cells.h"
#include "pseudo_terminal.h"
#include "spi_flash.h"
#include "uart_line.h"

class Vsoc;

namespace board {

struct Settings {
  std::string name = "board";
  std::string port;    // link to the terminal
  std::string socket;  // control socket
  std::string lock;    // held while the board runs
  std::string flash;   // file of the flash, empty: in memory
  std::string firmware;  // file of hex words that the CPU's memory holds at power-on
  uint32_t n_sectors = 1024;
  double clock_hz = 4e6;    // cycles of a second of virtual time
  double uart_hz = 921600;  // a bit takes uart_hz / baud cycles
  double flash_scale = 1;   // of the flash's busy times
  uint64_t seed = 0;
  uint64_t unique_id = 0;
  long parent = 0;  // ends with this process; 0: does not
};

class VirtualBoard {
 public:
  VirtualBoard(const Settings &settings, NorCells &cells, PseudoTerminal &terminal);
  ~VirtualBoard();

  // Runs some cycles and carries bytes between line and terminal.
  void run();
  // Nothing has happened for so long that the host's next byte can be waited for.
  bool is_idle() const;
  // Bytes for the host that it has not taken yet.
  bool is_blocked() const { return terminal_.has_pending(); }
  bool wants_quit() const { return wants_quit_; }

  // The answer to a line of the control socket.
  std::string command(const std::string &line);

 private:
  void power_on();
  void power_off();
  void reset();
  void tick(unsigned n_cycles);
  void exchange();
  void follow_baud();
  std::string status() const;
  std::string flash_status() const;
  void note(const std::string &line);

  const Settings settings_;
  NorCells &cells_;
  PseudoTerminal &terminal_;
  SpiFlash flash_;
  UartLine line_;
  std::unique_ptr<Vsoc> soc_;  // none while the power is off
  uint64_t cycle_ = 0;         // of virtual time; stands still while the power is off
  uint64_t npu_cycles_ = 0;
  uint64_t last_activity_ = 0;
  uint32_t flash_pins_ = ~0u;
  uint8_t flash_inputs_ = 0xf;
  unsigned baud_ = 0;
  unsigned reset_cycles_ = 0;
  unsigned n_power_ons_ = 0;
  unsigned n_resets_ = 0;
  uint64_t n_from_host_ = 0;
  uint64_t n_to_host_ = 0;
  bool wants_quit_ = false;
};

// Seconds of processor time that this process has used.
double cpu_seconds();

}  // namespace board
