#include "pseudo_terminal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "termios_baud.h"

namespace board {

namespace {

constexpr size_t kMostPending = 1 << 16;

}  // namespace

PseudoTerminal::~PseudoTerminal() {
  if (!link_.empty()) unlink(link_.c_str());
  if (slave_ >= 0) close(slave_);
  if (master_ >= 0) close(master_);
}

std::string PseudoTerminal::open(const std::string &link) {
  master_ = posix_openpt(O_RDWR | O_NOCTTY);
  if (master_ < 0 || grantpt(master_) != 0 || unlockpt(master_) != 0) return strerror(errno);
  const char *name = ptsname(master_);
  if (!name) return strerror(errno);
  slave_ = ::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (slave_ < 0 || !make_raw(slave_)) return strerror(errno);
  fcntl(master_, F_SETFL, O_NONBLOCK);
  fcntl(master_, F_SETFD, FD_CLOEXEC);
  const std::string fresh = link + ".new";
  unlink(fresh.c_str());
  if (symlink(name, fresh.c_str()) != 0 || rename(fresh.c_str(), link.c_str()) != 0) {
    return strerror(errno);
  }
  link_ = link;
  return "";
}

unsigned PseudoTerminal::baud() const { return read_baud(slave_); }

std::vector<uint8_t> PseudoTerminal::read(size_t most) {
  std::vector<uint8_t> bytes(most);
  const ssize_t got = ::read(master_, bytes.data(), most);
  bytes.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return bytes;
}

void PseudoTerminal::write(const std::vector<uint8_t> &bytes) {
  pending_.insert(pending_.end(), bytes.begin(), bytes.end());
  if (pending_.empty()) return;
  const ssize_t written = ::write(master_, pending_.data(), pending_.size());
  if (written > 0) pending_.erase(pending_.begin(), pending_.begin() + written);
  if (pending_.size() > kMostPending) {
    n_dropped_ += pending_.size();
    pending_.clear();
  }
}

}  // namespace board
