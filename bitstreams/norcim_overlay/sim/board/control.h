// The control socket: lines of text in, one JSON object a line out.
#pragma once

#include <poll.h>

#include <functional>
#include <string>
#include <vector>

namespace board {

class Control {
 public:
  // Gives the answer to a line; without the line feed.
  using Answer = std::function<std::string(const std::string &)>;

  explicit Control(Answer answer) : answer_(std::move(answer)) {}
  ~Control();
  Control(const Control &) = delete;
  Control &operator=(const Control &) = delete;

  // Listens at a path; a socket that a dead process left there is replaced. Empty on success.
  std::string open(const std::string &path);

  // What to wait on.
  void add_to(std::vector<pollfd> &handles) const;
  // Serves what has come, without waiting.
  void serve();

 private:
  struct Client {
    int handle;
    std::string input;
  };
  bool serve(Client &client);

  Answer answer_;
  std::string path_;
  int listener_ = -1;
  std::vector<Client> clients_;
};

}  // namespace board
