// What a session has in one session batch: references to its lines, and counters over them.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "columns.hpp"

namespace recording {

// What the times of a block's events say.
struct Timeline {
  // Time in which the user was active. Events in order of their time make segments: a segment
  // begins at the first event, when an active event comes in an inactive segment, or when more than
  // 5,000 ms passed since the last active event of an active segment. An active segment counts from
  // its first to its last event, and one ms at least. In ms, rounded to a whole number.
  int64_t active_milliseconds = 0;
  size_t out_of_order = 0;  // events that are earlier than the one that came before them
  size_t gaps = 0;          // silences of more than 10,000 ms between events in order of their time
};

class SessionBlock {
 public:
  // Adds a row that has lines. They are referred to, not copied.
  void record(const Columns& columns, const Row& row, int64_t offset);

  // Goes through all events: for once a block is whole.
  Timeline timeline() const;

  const std::vector<Span>& slices() const { return slices_; }

  size_t size = 0;
  size_t event_count = 0;
  int64_t first_offset = 0;
  int64_t last_offset = 0;
  double first_time = 0;
  double last_time = 0;
  Counters counters;
  std::string distinct_id;
  std::string source;   // empty: none said
  std::string library;  // empty: none said
  std::vector<std::string> urls;
  std::vector<std::pair<int64_t, size_t>> messages;  // source offset, lines

 private:
  void add_urls(const Columns& columns, const Row& row);

  std::vector<ChunkRef> chunks_;  // keep the bytes of slices_
  std::vector<Span> slices_;
  std::vector<double> events_;  // as Columns::events
};

}  // namespace recording
