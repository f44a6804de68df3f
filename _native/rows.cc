#include "rows.hpp"

#include <map>
#include <string_view>

namespace recording {
namespace {

constexpr uint64_t ones = 0x0101010101010101, high_bits = 0x8080808080808080;

constexpr int64_t last_second = 253402300799;  // of the year 9999

size_t hash_of(Span text) {
  return std::hash<std::string_view>{}({reinterpret_cast<const char*>(text.begin), text.size()});
}

bool same(Span a, Span b) { return (a.begin == nullptr) == (b.begin == nullptr) && equal(a, b); }

// Numbers keys in the order of their first appearance. Equal keys often follow each other.
class Numbering {
 public:
  // Returns the number of a key, and sets `found_new` if it is the first of its kind.
  size_t number(uint64_t key, bool& found_new) {
    found_new = false;
    if (!numbers_.empty() && key == last_key_) return last_;
    const auto [at, inserted] = numbers_.emplace(key, numbers_.size());
    found_new = inserted;
    last_key_ = key;
    return last_ = at->second;
  }

 private:
  std::unordered_map<uint64_t, size_t> numbers_;
  uint64_t last_key_ = 0;
  size_t last_ = 0;
};

}  // namespace

void TextColumn::reset() {
  numbered_ = false;
  codes_.clear();
  distinct_.clear();
}

const std::vector<int32_t>& TextColumn::codes() {
  if (!numbered_) number();
  return codes_;
}

const std::vector<Span>& TextColumn::distinct() {
  if (!numbered_) number();
  return distinct_;
}

// Open addressing: a slot holds a code plus one, or 0.
void TextColumn::number() {
  size_t size = 16;
  while (size < 2 * texts.size()) size *= 2;
  std::vector<int32_t> slots(size);
  codes_.reserve(texts.size());
  for (const Span text : texts) {
    if (!codes_.empty() && same(distinct_[static_cast<size_t>(codes_.back())], text)) {
      codes_.push_back(codes_.back());
      continue;
    }
    size_t slot = hash_of(text) & (size - 1);
    while (slots[slot] && !same(distinct_[static_cast<size_t>(slots[slot] - 1)], text)) slot = (slot + 1) & (size - 1);
    if (!slots[slot]) {
      distinct_.push_back(text);
      slots[slot] = static_cast<int32_t>(distinct_.size());
    }
    codes_.push_back(slots[slot] - 1);
  }
  numbered_ = true;
}

bool is_plain_text(Span text) {
  const uint8_t* at = text.begin;
  for (; text.end - at >= 8; at += 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    // (word - ones) has a high bit if a byte below it is 0; bytes above 0x7F are refused by the second operand
    if (((word - ones) | word) & high_bits) return false;
  }
  for (; at != text.end; ++at)
    if (*at == 0 || *at > 0x7F) return false;
  return true;
}

void end_rows(const Decisions& decisions, const int32_t* codes, const std::vector<Ending>& endings) {
  for (size_t row = 0; row < decisions.rows; ++row) {
    if (decisions.dispositions[row] || codes[row] < 0 || static_cast<size_t>(codes[row]) >= endings.size()) continue;
    const Ending& ending = endings[static_cast<size_t>(codes[row])];
    if (!ending.disposition) continue;
    decisions.dispositions[row] = ending.disposition;
    decisions.reasons[row] = ending.reason;
    decisions.causes[row] = ending.cause;
  }
}

void set_rows(uint8_t* column, size_t rows, const int32_t* codes, const std::vector<int16_t>& values) {
  for (size_t row = 0; row < rows; ++row) {
    if (codes[row] < 0 || static_cast<size_t>(codes[row]) >= values.size()) continue;
    const int16_t value = values[static_cast<size_t>(codes[row])];
    if (value >= 0) column[row] = static_cast<uint8_t>(value);
  }
}

Groups group_rows(const uint8_t* dispositions, size_t rows, const int32_t* one, const int32_t* other) {
  Groups groups;
  groups.codes.reserve(rows);
  Numbering numbering;
  for (size_t row = 0; row < rows; ++row) {
    if (dispositions[row]) {
      groups.codes.push_back(-1);
      continue;
    }
    bool found_new;
    const uint64_t key =
        static_cast<uint64_t>(static_cast<uint32_t>(one[row])) << 32 | static_cast<uint32_t>(other[row]);
    groups.codes.push_back(static_cast<int32_t>(numbering.number(key, found_new)));
    if (found_new) groups.first.push_back(row);
  }
  return groups;
}

std::vector<Outcome> count_outcomes(const int64_t* partitions, const uint8_t* dispositions, const uint8_t* reasons,
                                    size_t rows) {
  std::vector<Outcome> outcomes;
  Numbering numbering;
  for (size_t row = 0; row < rows; ++row) {
    bool found_new;
    const uint64_t key = static_cast<uint64_t>(partitions[row]) << 16 | dispositions[row] << 8 | reasons[row];
    const size_t number = numbering.number(key, found_new);
    if (found_new) outcomes.push_back({partitions[row], dispositions[row], reasons[row], 0});
    ++outcomes[number].rows;
  }
  return outcomes;
}

std::vector<OffsetRange> offset_ranges(const int64_t* partitions, const int64_t* offsets, size_t rows) {
  std::vector<OffsetRange> ranges;
  Numbering numbering;
  for (size_t row = 0; row < rows; ++row) {
    bool found_new;
    const size_t number = numbering.number(static_cast<uint64_t>(partitions[row]), found_new);
    if (found_new) ranges.push_back({partitions[row], offsets[row], offsets[row], 0});
    ranges[number].last = offsets[row];
    ++ranges[number].rows;
  }
  return ranges;
}

std::vector<SecondCount> count_seconds(const int64_t* partitions, const int64_t* times_ms, size_t rows) {
  std::vector<SecondCount> counts;
  std::map<std::pair<int64_t, int64_t>, size_t> places;
  std::pair<int64_t, int64_t> last;  // equal ones often follow each other
  size_t place = 0;
  for (size_t row = 0; row < rows; ++row) {
    const int64_t second = times_ms[row] / 1000;
    if (times_ms[row] < 0 || second > last_second) continue;
    const std::pair key(partitions[row], second);
    if (counts.empty() || key != last) {
      last = key;
      const auto [at, inserted] = places.try_emplace(key, counts.size());
      if (inserted) counts.push_back({partitions[row], second, 0});
      place = at->second;
    }
    ++counts[place].rows;
  }
  return counts;
}

}  // namespace recording
