#include "virtual_board.h"

#include <sys/resource.h>

#include <cstdio>
#include <sstream>
#include <vector>

#include "clock_edges.h"
#include "verilated.h"

namespace board {

namespace {

constexpr unsigned kBatch = 2048;           // cycles between two looks at terminal and socket
constexpr unsigned kResetCycles = 16;
constexpr unsigned kResetTail = 4;  // of these, cycles in which the NPU's clock still runs
constexpr size_t kMostQueued = 256;         // bytes on their way to the device
constexpr uint64_t kIdleAfter = 1'000'000;  // cycles

std::string json_field(const char *name, uint64_t value) {
  return std::string("\"") + name + "\":" + std::to_string(value);
}

}  // namespace

double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval &t) { return double(t.tv_sec) + 1e-6 * double(t.tv_usec); };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

VirtualBoard::VirtualBoard(const Settings &settings, NorCells &cells, PseudoTerminal &terminal)
    : settings_(settings),
      cells_(cells),
      terminal_(terminal),
      flash_(cells, typical_times(settings.clock_hz, settings.flash_scale), settings.unique_id,
             [this](const std::string &line) { note(line); }) {
  power_on();
}

VirtualBoard::~VirtualBoard() {
  if (soc_) power_off();
}

// A new model: memories and registers as they are at power-on.
void VirtualBoard::power_on() {
  flash_.power_on();
  const std::string memory = "+memory=" + settings_.firmware;
  const char *words[] = {"board", memory.c_str()};
  Verilated::commandArgs(settings_.firmware.empty() ? 1 : 2, words);
  soc_ = std::make_unique<Vsoc>();
  soc_->eval();
  flash_pins_ = ~0u;
  reset_cycles_ = kResetCycles;
  last_activity_ = cycle_;
  n_power_ons_++;
  note("power on");
}

void VirtualBoard::power_off() {
  flash_.power_off(cycle_);
  soc_->final();
  soc_.reset();
  line_.clear();
  note("power off");
}

// RAM and flash keep what they hold.
void VirtualBoard::reset() {
  reset_cycles_ = kResetCycles;
  last_activity_ = cycle_;
  n_resets_++;
}

void VirtualBoard::run() {
  if (soc_) tick(kBatch);
  exchange();
  if (soc_ && flash_.cut_due(cycle_)) power_off();
}

bool VirtualBoard::is_idle() const { return !soc_ || cycle_ - last_activity_ > kIdleAfter; }

// The hot loop. The NPU's clock stands still while it has nothing to do.
void VirtualBoard::tick(unsigned n_cycles) {
  Vsoc &soc = *soc_;
  const uint64_t npu_before = npu_cycles_;
  for (unsigned i = 0; i < n_cycles; i++) {
    const uint8_t npu_active = soc.npu_active;
    soc.rst = reset_cycles_ > kResetTail;
    soc.uart_rx = line_.drive(cycle_);
    soc.flash_dq_i = flash_inputs_;
    lower_clocks(soc);
    soc.clk = 1;
    soc.npu_clk = npu_active | (reset_cycles_ != 0);
    evaluate(soc);
    cycle_++;
    if (reset_cycles_) reset_cycles_--;
    npu_cycles_ += npu_active;
    line_.sample(cycle_, soc.uart_tx);
    if (soc.reset_request && !reset_cycles_) reset();
    const uint32_t pins = soc.flash_cs | soc.flash_sck << 1 | soc.flash_dq_o << 2 |
                          soc.flash_dq_oe << 6;
    if (pins != flash_pins_) {
      flash_pins_ = pins;
      last_activity_ = cycle_;
      flash_inputs_ = flash_.step(cycle_, pins & 1, pins >> 1 & 1, pins >> 2 & 0xf,
                                  static_cast<uint8_t>(pins >> 6));
    }
  }
  flash_.poll(cycle_);
  if (npu_cycles_ != npu_before || flash_.is_busy()) last_activity_ = cycle_;
}

// Bytes from the host wait in the terminal while the line is full, as in an adapter's buffer.
void VirtualBoard::exchange() {
  const std::vector<uint8_t> received = line_.take_received();
  n_to_host_ += received.size();
  terminal_.write(received);
  follow_baud();
  if (!received.empty() || line_.is_receiving() || line_.n_queued()) last_activity_ = cycle_;
  if (line_.n_queued() >= kMostQueued) return;
  const std::vector<uint8_t> sent = terminal_.read(kMostQueued);
  if (sent.empty()) return;
  last_activity_ = cycle_;
  if (!soc_) return;  // nobody hears it
  n_from_host_ += sent.size();
  for (const uint8_t byte : sent) line_.send(byte);
}

// The host has set another rate: what it wrote before is sent at the old one.
void VirtualBoard::follow_baud() {
  const unsigned baud = terminal_.baud();
  if (baud == 0 || baud == baud_ || line_.n_queued() || line_.is_receiving()) return;
  baud_ = baud;
  line_.set_bit_cycles(settings_.uart_hz / baud);
}

std::string VirtualBoard::command(const std::string &line) {
  std::istringstream words(line);
  std::string verb, argument;
  words >> verb;
  if (verb == "status") return status();
  if (verb == "flash") return flash_status();
  if (verb == "reset") {
    reset();
    return status();
  }
  if (verb == "power" && words >> argument && (argument == "on" || argument == "off")) {
    if (argument == "on" && !soc_) power_on();
    if (argument == "off" && soc_) power_off();
    return status();
  }
  uint64_t operation = 0;
  uint32_t permille = 0;
  if (verb == "cut" && words >> operation >> permille && permille <= 1000) {
    flash_.arm_cut(operation, permille);
    return status();
  }
  if (verb == "quit") {
    wants_quit_ = true;
    return status();
  }
  return R"({"error":"unknown command: status, flash, reset, power on|off, cut N PERMILLE, quit"})";
}

std::string VirtualBoard::status() const {
  char text[640];
  snprintf(text, sizeof text,
           R"({"name":"%s","power":%s,"idle":%s,"cycles":%llu,"npu_cycles":%llu,)"
           R"("cpu_s":%.6f,"clock_hz":%.0f,"baud":%u,"bytes_from_host":%llu,)"
           R"("bytes_to_host":%llu,"bytes_dropped":%llu,"framing_errors":%llu,)"
           R"("power_ons":%u,"resets":%u})",
           settings_.name.c_str(), soc_ ? "true" : "false", is_idle() ? "true" : "false",
           static_cast<unsigned long long>(cycle_), static_cast<unsigned long long>(npu_cycles_),
           cpu_seconds(), settings_.clock_hz, baud_,
           static_cast<unsigned long long>(n_from_host_),
           static_cast<unsigned long long>(n_to_host_),
           static_cast<unsigned long long>(terminal_.n_dropped()),
           static_cast<unsigned long long>(line_.n_framing_errors()), n_power_ons_, n_resets_);
  return text;
}

std::string VirtualBoard::flash_status() const {
  const FlashCounts &counts = flash_.counts();
  const std::pair<const char *, uint64_t> fields[] = {
      {"bytes", cells_.n_bytes()},
      {"programs", counts.n_programs},
      {"sector_erases", counts.n_sector_erases},
      {"bytes_read", counts.n_bytes_read},
      {"trapped", counts.n_trapped},
      {"while_busy", counts.n_while_busy},
      {"not_enabled", counts.n_not_enabled},
      {"cut_short", counts.n_cut_short},
      {"unknown", counts.n_unknown},
      {"contended", counts.n_contended},
      {"torn", counts.n_torn},
      {"marginal_bytes", cells_.n_marginal()},
      {"most_erased", cells_.most_erased()},
  };
  std::string text = "{";
  for (const auto &[name, value] : fields) text += json_field(name, value) + ",";
  text += std::string("\"busy\":") + (flash_.is_busy() ? "true" : "false");
  text += std::string(",\"file_is_sound\":") + (cells_.file_is_sound() ? "true" : "false");
  text += std::string(",\"fault\":") + (flash_.fault() ? "true" : "false");
  return text + "}";
}

void VirtualBoard::note(const std::string &line) {
  fprintf(stderr, "%llu %s\n", static_cast<unsigned long long>(cycle_), line.c_str());
}

}  // namespace board
