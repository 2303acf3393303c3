#include "nor_cells.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace board {

namespace {

constexpr size_t kHeaderBytes = 16;

void put_word(std::vector<uint8_t> &bytes, uint32_t word) {
  for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<uint8_t>(word >> shift));
}

}  // namespace

uint64_t Random::next() {
  state_ += 0x9e3779b97f4a7c15;
  uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

NorCells::NorCells(uint32_t n_sectors, uint64_t seed)
    : data_(static_cast<size_t>(n_sectors) * kSectorBytes, 0xff),
      erase_counts_(n_sectors, 0),
      programmed_(static_cast<size_t>(n_sectors) * (kSectorBytes / kPageBytes), false),
      random_(seed) {}

NorCells::~NorCells() {
  if (file_ >= 0) close(file_);
}

std::string NorCells::open(const std::string &path, bool &in_use) {
  in_use = false;
  file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (file_ < 0) return strerror(errno);
  if (flock(file_, LOCK_EX | LOCK_NB) != 0) {
    in_use = errno == EWOULDBLOCK;
    return in_use ? "another process has it open" : strerror(errno);
  }
  struct stat found;
  if (fstat(file_, &found) != 0) return strerror(errno);
  if (!S_ISREG(found.st_mode)) return "it is no regular file";
  if (found.st_size == 0) return create() ? "" : "it cannot be written";
  return load(static_cast<uint64_t>(found.st_size)) ? "" : "it is no flash of this size";
}

uint32_t NorCells::most_erased() const {
  return *std::max_element(erase_counts_.begin(), erase_counts_.end());
}

void NorCells::erase(uint32_t sector) {
  const uint32_t first = sector * kSectorBytes;
  std::fill_n(data_.begin() + first, kSectorBytes, 0xff);
  std::fill_n(programmed_.begin() + first / kPageBytes, kSectorBytes / kPageBytes, false);
  marginal_.erase(marginal_.lower_bound(first), marginal_.lower_bound(first + kSectorBytes));
  erase_counts_[sector]++;
  store(first, kSectorBytes);
  store_count(sector);
}

void NorCells::program(uint32_t page, const uint8_t *bytes) {
  const uint32_t first = page * kPageBytes;
  programmed_[page] = true;
  for (uint32_t i = 0; i < kPageBytes; i++) data_[first + i] &= bytes[i];
  store(first, kPageBytes);
}

void NorCells::tear_erase(uint32_t sector, uint32_t permille) {
  tear(sector * kSectorBytes, std::vector<uint8_t>(kSectorBytes, 0xff), permille);
  erase_counts_[sector]++;
  store_count(sector);
}

void NorCells::tear_program(uint32_t page, const uint8_t *bytes, uint32_t permille) {
  programmed_[page] = true;
  std::vector<uint8_t> target(bytes, bytes + kPageBytes);
  for (uint32_t i = 0; i < kPageBytes; i++) target[i] &= data_[page * kPageBytes + i];
  tear(page * kPageBytes, target, permille);
}

// In half of the cases every bit that was to change is marginal: the cells of one page may all
// lean one way.
void NorCells::tear(uint32_t first, const std::vector<uint8_t> &target, uint32_t permille) {
  const bool all_marginal = random_.chance(500);
  for (uint32_t i = 0; i < target.size(); i++) {
    const uint8_t changing = data_[first + i] ^ target[i];
    for (uint8_t bit = 1; bit; bit = static_cast<uint8_t>(bit << 1)) {
      if (!(changing & bit)) continue;
      if (all_marginal || random_.chance(250)) {
        marginal_[first + i] |= bit;
      } else if (random_.chance(permille)) {
        data_[first + i] ^= bit;
      }
    }
  }
  store(first, static_cast<uint32_t>(target.size()));
}

void NorCells::power_on() {
  const uint32_t bias = static_cast<uint32_t>(random_.next() % 3) * 500;
  for (const auto &[offset, mask] : marginal_) {
    uint8_t ones = 0;
    for (uint8_t bit = 1; bit; bit = static_cast<uint8_t>(bit << 1)) {
      if (random_.chance(bias)) ones |= bit;
    }
    data_[offset] = static_cast<uint8_t>((data_[offset] & ~mask) | (ones & mask));
    store(offset, 1);
  }
}

std::vector<uint8_t> NorCells::header() const {
  std::vector<uint8_t> bytes{'N', 'C', 'F', 'L', 'A', 'S', 'H', '1'};
  put_word(bytes, kSectorBytes);
  put_word(bytes, n_sectors());
  return bytes;
}

uint64_t NorCells::data_offset() const { return kHeaderBytes + 4 * erase_counts_.size(); }

// Cells are stored inverted, so that blank flash is a hole in the file.
bool NorCells::create() {
  return put(0, header().data(), kHeaderBytes) &&
         ftruncate(file_, static_cast<off_t>(data_offset() + data_.size())) == 0;
}

bool NorCells::load(uint64_t n_bytes) {
  std::vector<uint8_t> raw(data_offset() + data_.size());
  if (n_bytes != raw.size()) return false;
  for (size_t done = 0; done < raw.size();) {
    const ssize_t got = pread(file_, &raw[done], raw.size() - done, static_cast<off_t>(done));
    if (got <= 0) return false;
    done += static_cast<size_t>(got);
  }
  const std::vector<uint8_t> due = header();
  if (!std::equal(due.begin(), due.end(), raw.begin())) return false;
  for (size_t i = 0; i < erase_counts_.size(); i++) {
    const uint8_t *at = &raw[kHeaderBytes + 4 * i];
    erase_counts_[i] = at[0] | at[1] << 8 | at[2] << 16 | static_cast<uint32_t>(at[3]) << 24;
  }
  for (size_t i = 0; i < data_.size(); i++) {
    data_[i] = static_cast<uint8_t>(~raw[data_offset() + i]);
    if (data_[i] != 0xff) programmed_[i / kPageBytes] = true;
  }
  return true;
}

void NorCells::store(uint32_t first, uint32_t n_bytes) {
  if (file_ < 0) return;
  std::vector<uint8_t> inverted(n_bytes);
  for (uint32_t i = 0; i < n_bytes; i++) inverted[i] = static_cast<uint8_t>(~data_[first + i]);
  put(data_offset() + first, inverted.data(), n_bytes);
}

void NorCells::store_count(uint32_t sector) {
  if (file_ < 0) return;
  std::vector<uint8_t> bytes;
  put_word(bytes, erase_counts_[sector]);
  put(kHeaderBytes + 4 * static_cast<uint64_t>(sector), bytes.data(), bytes.size());
}

bool NorCells::put(uint64_t offset, const void *bytes, size_t n_bytes) {
  const ssize_t written = pwrite(file_, bytes, n_bytes, static_cast<off_t>(offset));
  file_is_sound_ = file_is_sound_ && written == static_cast<ssize_t>(n_bytes);
  return file_is_sound_;
}

}  // namespace board
