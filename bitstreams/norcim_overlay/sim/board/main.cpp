// The virtual board's program. See norcim_overlay/sim/virtual_board.py.
//
// One line on stdout says how it went: "ready TERMINAL", or "error KIND TEXT" with the kinds
// name-in-use, firmware, flash-in-use, flash, port, socket. Notes go to stderr.
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "control.h"
#include "virtual_board.h"

namespace {

using board::Settings;

constexpr int kMostWaitMs = 50;  // between two batches of an idle board

volatile std::sig_atomic_t g_stop = 0;

void stop(int) { g_stop = 1; }

int fail(const char *kind, const std::string &text) {
  printf("error %s %s\n", kind, text.c_str());
  return 1;
}

bool parse(int count, char **words, Settings &settings) {
  std::map<std::string, std::string> values;
  for (int i = 1; i + 1 < count; i += 2) values[words[i]] = words[i + 1];
  const auto take = [&](const char *name, auto set) {
    const auto found = values.find(name);
    if (found == values.end()) return;
    set(found->second);
    values.erase(found);
  };
  const auto text = [&](const char *name, std::string &to) {
    take(name, [&](const std::string &value) { to = value; });
  };
  const auto real = [&](const char *name, double &to) {
    take(name, [&](const std::string &value) { to = strtod(value.c_str(), nullptr); });
  };
  text("--name", settings.name);
  text("--port", settings.port);
  text("--socket", settings.socket);
  text("--lock", settings.lock);
  text("--flash", settings.flash);
  text("--firmware", settings.firmware);
  real("--clock-hz", settings.clock_hz);
  real("--uart-hz", settings.uart_hz);
  real("--flash-scale", settings.flash_scale);
  take("--sectors", [&](const std::string &value) {
    settings.n_sectors = static_cast<uint32_t>(strtoul(value.c_str(), nullptr, 0));
  });
  take("--seed", [&](const std::string &value) {
    settings.seed = strtoull(value.c_str(), nullptr, 0);
  });
  take("--unique-id", [&](const std::string &value) {
    settings.unique_id = strtoull(value.c_str(), nullptr, 0);
  });
  take("--parent", [&](const std::string &value) {
    settings.parent = strtol(value.c_str(), nullptr, 0);
  });
  const bool is_whole = !settings.port.empty() && !settings.socket.empty() &&
                        !settings.lock.empty() && settings.n_sectors > 0 &&
                        settings.clock_hz > 0 && settings.uart_hz > 0;
  return count % 2 == 1 && values.empty() && is_whole;
}

// The lock goes with the process, whatever ends it.
bool take_lock(const std::string &path) {
  const int handle = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  return handle >= 0 && flock(handle, LOCK_EX | LOCK_NB) == 0;
}

void catch_signals() {
  struct sigaction action{};
  action.sa_handler = stop;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

// Waits for a byte or a command; an idle board waits ever longer, up to kMostWaitMs.
void wait(const board::VirtualBoard &board, const board::PseudoTerminal &terminal,
          board::Control &control, int &wait_ms) {
  wait_ms = board.is_idle() ? std::min(wait_ms + 1, kMostWaitMs) : 0;
  std::vector<pollfd> handles{{terminal.handle(), POLLIN, 0}};
  control.add_to(handles);
  if (poll(handles.data(), static_cast<nfds_t>(handles.size()), wait_ms) <= 0) return;
  const auto is_ready = [](const pollfd &handle) { return handle.revents != 0; };
  if (std::any_of(handles.begin() + 1, handles.end(), is_ready)) control.serve();
}

int serve(const Settings &settings) {
  if (!take_lock(settings.lock)) return fail("name-in-use", settings.name);
  if (!settings.firmware.empty() && access(settings.firmware.c_str(), R_OK) != 0) {
    return fail("firmware", settings.firmware);
  }
  board::NorCells cells(settings.n_sectors, settings.seed);
  if (!settings.flash.empty()) {
    bool in_use = false;
    const std::string why = cells.open(settings.flash, in_use);
    if (!why.empty()) return fail(in_use ? "flash-in-use" : "flash", why);
  }
  board::PseudoTerminal terminal;
  std::string why = terminal.open(settings.port);
  if (!why.empty()) return fail("port", why);
  board::VirtualBoard board(settings, cells, terminal);
  board::Control control([&board](const std::string &line) { return board.command(line); });
  why = control.open(settings.socket);
  if (!why.empty()) return fail("socket", why);
  printf("ready %s\n", settings.port.c_str());
  fflush(stdout);
  fclose(stdout);
  for (int wait_ms = 0; !g_stop && !board.wants_quit();) {
    if (settings.parent && getppid() != settings.parent) break;
    board.run();
    wait(board, terminal, control, wait_ms);
  }
  return 0;
}

}  // namespace

int main(int count, char **words) {
  Settings settings;
  if (!parse(count, words, settings)) {
    fprintf(stderr, "started by `norcim board run`; options come in pairs\n");
    return 2;
  }
  catch_signals();
  return serve(settings);
}
