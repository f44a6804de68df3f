// Columns of a poll: any bytes as header values, and as figures of rows, compared with maps.
#include <cctype>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "rows.hpp"
#include "text/uuid.hpp"

using namespace recording;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

// The lines of the input. A line `-` is null, and each has memory of its own, so that reads past its end are found.
std::vector<std::optional<std::vector<uint8_t>>> lines_of(const uint8_t* bytes, size_t size) {
  std::vector<std::optional<std::vector<uint8_t>>> lines;
  for (const uint8_t *at = bytes, *const end = bytes + size; at < end;) {
    const auto* line = static_cast<const uint8_t*>(std::memchr(at, '\n', static_cast<size_t>(end - at)));
    if (!line) line = end;
    if (line - at == 1 && *at == '-')
      lines.emplace_back(std::nullopt);
    else
      lines.emplace_back(std::vector<uint8_t>(at, line));
    at = line + 1;
  }
  return lines;
}

void check_text(Span text) {
  bool plain = true;
  for (const uint8_t* at = text.begin; at < text.end; ++at) plain = plain && *at > 0 && *at < 0x80;
  check(is_plain_text(text) == plain);

  bool uuid = text.size() == 36;
  for (size_t i = 0; uuid && i < 36; ++i)
    uuid = i == 8 || i == 13 || i == 18 || i == 23 ? text.begin[i] == '-' : std::isxdigit(text.begin[i]) != 0;
  check(is_uuid(text) == uuid);
  if (!uuid) return;
  const auto small = small_uuid(text);
  for (size_t i = 0; i < small.size(); ++i) check(small[i] == std::tolower(text.begin[i]));
}

void check_codes(const std::vector<std::optional<std::vector<uint8_t>>>& lines) {
  TextColumn column;
  std::map<std::optional<std::vector<uint8_t>>, int32_t> known;
  std::vector<int32_t> expected;
  for (const auto& line : lines) {
    // An empty text is not null, so it needs an address.
    static const uint8_t nothing = 0;
    const uint8_t* const begin = !line ? nullptr : line->empty() ? &nothing : line->data();
    column.texts.push_back({begin, begin ? begin + line->size() : nullptr});
    if (line) check_text(column.texts.back());
    expected.push_back(known.try_emplace(line, static_cast<int32_t>(known.size())).first->second);
  }
  check(column.codes() == expected && column.distinct().size() == known.size());
}

// Four bytes a row.
void check_rows(const uint8_t* bytes, size_t rows) {
  std::vector<int64_t> partitions, offsets, times;
  std::vector<uint8_t> dispositions, reasons;
  std::vector<int32_t> one, other;
  for (size_t row = 0; row < rows; ++row) {
    const uint8_t* const figures = bytes + 4 * row;
    partitions.push_back(figures[0] % 8);
    dispositions.push_back(figures[0] >> 6);
    reasons.push_back(figures[1]);
    one.push_back(figures[2] % 16 - 1);
    other.push_back(figures[2] / 16 - 1);
    offsets.push_back(static_cast<int64_t>(row));
    times.push_back((static_cast<int64_t>(figures[3]) - 1) * (int64_t{1} << figures[2] % 54));
  }

  std::map<std::tuple<int64_t, uint8_t, uint8_t>, size_t> outcomes;
  std::map<int64_t, OffsetRange> ranges;
  std::map<std::pair<int64_t, int64_t>, size_t> seconds;
  std::map<std::pair<int32_t, int32_t>, int32_t> groups;
  const Groups grouped = group_rows(dispositions.data(), rows, one.data(), other.data());
  for (size_t row = 0; row < rows; ++row) {
    ++outcomes[{partitions[row], dispositions[row], reasons[row]}];
    OffsetRange& range =
        ranges.try_emplace(partitions[row], OffsetRange{partitions[row], offsets[row], 0, 0}).first->second;
    range.last = offsets[row];
    ++range.rows;
    if (times[row] >= 0 && times[row] / 1000 <= 253402300799) ++seconds[{partitions[row], times[row] / 1000}];
    const auto group = static_cast<int32_t>(groups.size());
    const int32_t code = dispositions[row] ? -1 : groups.try_emplace({one[row], other[row]}, group).first->second;
    check(grouped.codes[row] == code);
    if (code == group) check(grouped.first[static_cast<size_t>(group)] == row);
  }
  check(grouped.first.size() == groups.size());
  for (const Outcome& found : count_outcomes(partitions.data(), dispositions.data(), reasons.data(), rows))
    check(outcomes[{found.partition, found.disposition, found.reason}] == found.rows);
  for (const OffsetRange& found : offset_ranges(partitions.data(), offsets.data(), rows)) {
    const OffsetRange& range = ranges.at(found.partition);
    check(found.first == range.first && found.last == range.last && found.rows == range.rows);
  }
  size_t counted = 0;
  for (const SecondCount& found : count_seconds(partitions.data(), times.data(), rows)) {
    check(seconds[{found.partition, found.second}] == found.rows);
    ++counted;
  }
  check(counted == seconds.size());

  // The endings of codes 0 to 3, and one behind the last code that rows have.
  const std::vector<Ending> endings{{1, 2, 3}, {}, {2, 1, 0}, {3, 9, 7}};
  std::vector<uint8_t> ended = dispositions, set = reasons;
  std::vector<uint32_t> causes(rows);
  end_rows({rows, ended.data(), reasons.data(), causes.data()}, one.data(), endings);
  set_rows(set.data(), rows, other.data(), {-1, 5, 255});
  for (size_t row = 0; row < rows; ++row) {
    const bool ends = !dispositions[row] && one[row] >= 0 && one[row] < 4 && one[row] != 1;
    const Ending ending =
        ends ? endings[static_cast<size_t>(one[row])] : Ending{dispositions[row], bytes[4 * row + 1], 0};
    check(ended[row] == ending.disposition && reasons[row] == ending.reason && causes[row] == ending.cause);
    check(set[row] == (other[row] == 1 ? 5 : other[row] == 2 ? 255 : bytes[4 * row + 1]));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  check_codes(lines_of(bytes, size));
  check_rows(bytes, size / 4);
  return 0;
}
