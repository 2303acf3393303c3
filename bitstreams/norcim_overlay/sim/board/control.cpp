#include "control.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace board {

namespace {

constexpr size_t kLongestLine = 256;
constexpr size_t kMostClients = 8;

}  // namespace

Control::~Control() {
  if (!path_.empty()) unlink(path_.c_str());
  for (const Client &client : clients_) close(client.handle);
  if (listener_ >= 0) close(listener_);
}

std::string Control::open(const std::string &path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return "the socket's path is too long";
  memcpy(address.sun_path, path.c_str(), path.size() + 1);
  listener_ = socket(AF_UNIX, SOCK_STREAM, 0);
  if (listener_ < 0) return strerror(errno);
  unlink(path.c_str());
  const mode_t mask = umask(0177);  // who may open it may switch the board off
  const int bound = bind(listener_, reinterpret_cast<sockaddr *>(&address), sizeof address);
  umask(mask);
  if (bound != 0 || listen(listener_, 8) != 0) return strerror(errno);
  path_ = path;
  fcntl(listener_, F_SETFL, O_NONBLOCK);
  fcntl(listener_, F_SETFD, FD_CLOEXEC);
  return "";
}

void Control::add_to(std::vector<pollfd> &handles) const {
  handles.push_back({listener_, POLLIN, 0});
  for (const Client &client : clients_) handles.push_back({client.handle, POLLIN, 0});
}

void Control::serve() {
  const int handle = accept(listener_, nullptr, nullptr);
  if (handle >= 0 && clients_.size() >= kMostClients) {
    close(handle);
  } else if (handle >= 0) {
    fcntl(handle, F_SETFL, O_NONBLOCK);
    fcntl(handle, F_SETFD, FD_CLOEXEC);
    clients_.push_back({handle, ""});
  }
  const auto is_gone = [this](Client &client) {
    if (serve(client)) return false;
    close(client.handle);
    return true;
  };
  clients_.erase(std::remove_if(clients_.begin(), clients_.end(), is_gone), clients_.end());
}

// False once the client is gone, or no use talking to.
bool Control::serve(Client &client) {
  char bytes[256];
  const ssize_t got = recv(client.handle, bytes, sizeof bytes, 0);
  if (got == 0) return false;
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  client.input.append(bytes, static_cast<size_t>(got));
  for (size_t end; (end = client.input.find('\n')) != std::string::npos;) {
    const std::string answer = answer_(client.input.substr(0, end)) + "\n";
    client.input.erase(0, end + 1);
    if (send(client.handle, answer.data(), answer.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(answer.size())) {
      return false;
    }
  }
  return client.input.size() <= kLongestLine;
}

}  // namespace board
