#include "dictionary.hpp"

#include <zdict.h>

#include <algorithm>
#include <cstring>
#include <queue>

namespace recording {
namespace {

constexpr size_t string_bytes = 8;
constexpr size_t largest_piece = 64 << 10;
constexpr size_t smallest_piece = 64;
constexpr size_t pieces_at_least = 8;  // in a dictionary
constexpr uint64_t least_share = 4;    // one of this many strings of a piece is in another sample, or it is not taken
constexpr size_t header_bytes = 256;   // zstd's entropy tables and ids take at most this much of a dictionary
constexpr size_t smallest_content = 256;
constexpr size_t entropy_samples_bytes = 8 << 20;  // the statistics don't need more
constexpr size_t entropy_sample_bytes = 64 << 10;

// In how many samples each string occurs. Strings whose hashes are equal count as one.
class Strings {
 public:
  explicit Strings(size_t total_bytes) {
    while (bits_ < 24 && (size_t{1} << bits_) < 8 * total_bytes) ++bits_;
    entries_.resize(size_t{1} << bits_);
  }

  // Begins a sample or a piece, in which each string counts once.
  void begin() { ++turn_; }

  void count(const uint8_t* at) {
    Entry& entry = entries_[index(at)];
    if (entry.turn != turn_) entry = {entry.samples + 1, turn_};
  }

  // How many other samples hold the string; 0 if it came before since `begin`.
  uint32_t worth(const uint8_t* at) {
    Entry& entry = entries_[index(at)];
    if (entry.turn == turn_) return 0;
    entry.turn = turn_;
    return entry.samples ? entry.samples - 1 : 0;
  }

  void take(const uint8_t* at) { entries_[index(at)].samples = 0; }

 private:
  struct Entry {
    uint32_t samples = 0;
    uint32_t turn = 0;
  };

  size_t index(const uint8_t* at) const {
    uint64_t string;
    std::memcpy(&string, at, string_bytes);
    return (string * 0x9E3779B97F4A7C15u) >> (64 - bits_);
  }

  unsigned bits_ = 12;
  uint32_t turn_ = 0;
  std::vector<Entry> entries_;
};

struct Piece {
  uint64_t worth;
  uint32_t sample;
  size_t start;

  // The earliest of several that are worth as much comes first.
  bool operator<(const Piece& other) const {
    if (worth != other.worth) return worth < other.worth;
    return sample != other.sample ? sample > other.sample : start > other.start;
  }
};

template <typename Use>
void each_string(Span piece, Use use) {
  for (const uint8_t* at = piece.begin; at + string_bytes <= piece.end; ++at) use(at);
}

Span piece_at(Span sample, size_t start, size_t length) {
  return {sample.begin + start, sample.begin + std::min(start + length, sample.size())};
}

}  // namespace

std::vector<uint8_t> common_content(const std::vector<Span>& samples, size_t size) {
  const size_t length = std::clamp(size / pieces_at_least, smallest_piece, largest_piece);
  size_t total = 0;
  for (const Span sample : samples) total += sample.size();
  Strings strings(total);
  for (const Span sample : samples) {
    strings.begin();
    each_string(sample, [&](const uint8_t* at) { strings.count(at); });
  }
  const auto worth_of = [&](uint32_t sample, size_t start) {
    uint64_t worth = 0;
    strings.begin();
    each_string(piece_at(samples[sample], start, length), [&](const uint8_t* at) { worth += strings.worth(at); });
    return worth;
  };
  std::priority_queue<Piece> pieces;
  const auto offer = [&](const Piece& piece) {
    const size_t size_of_piece = piece_at(samples[piece.sample], piece.start, length).size();
    if (piece.worth * least_share > size_of_piece) pieces.push(piece);
  };
  for (uint32_t sample = 0; sample < samples.size(); ++sample) {
    for (size_t start = 0; start + string_bytes <= samples[sample].size(); start += length / 4) {
      offer({worth_of(sample, start), sample, start});
    }
  }
  std::vector<Span> chosen;
  size_t used = 0;
  while (used < size && !pieces.empty()) {
    const Piece best = pieces.top();
    pieces.pop();
    const uint64_t worth = worth_of(best.sample, best.start);  // pieces taken since may hold some of its strings
    if (worth < best.worth) {
      offer({worth, best.sample, best.start});
      continue;
    }
    const Span piece = piece_at(samples[best.sample], best.start, std::min(length, size - used));
    each_string(piece, [&](const uint8_t* at) { strings.take(at); });
    chosen.push_back(piece);
    used += piece.size();
  }
  std::vector<uint8_t> content;
  content.reserve(used);
  for (auto piece = chosen.rbegin(); piece != chosen.rend(); ++piece) {
    content.insert(content.end(), piece->begin, piece->end);
  }
  return content;
}

std::vector<uint8_t> train_dictionary(const std::vector<Span>& samples, size_t size, int level) {
  if (size < header_bytes + smallest_content) return {};
  const std::vector<uint8_t> content = common_content(samples, size - header_bytes);
  if (content.size() < smallest_content) return {};
  std::vector<uint8_t> text;
  std::vector<size_t> sizes;
  for (const Span sample : samples) {
    const Span start = piece_at(sample, 0, entropy_sample_bytes);
    if (text.size() + start.size() > entropy_samples_bytes) break;
    text.insert(text.end(), start.begin, start.end);
    sizes.push_back(start.size());
  }
  std::vector<uint8_t> dictionary(size);
  ZDICT_params_t parameters{};
  parameters.compressionLevel = level;
  const size_t written = ZDICT_finalizeDictionary(dictionary.data(), size, content.data(), content.size(), text.data(),
                                                  sizes.data(), static_cast<unsigned>(sizes.size()), parameters);
  if (ZDICT_isError(written)) return {};
  dictionary.resize(written);
  return dictionary;
}

}  // namespace recording
