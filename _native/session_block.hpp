// One session's part of a session batch: references to its lines, and counters over them.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "columns.hpp"

namespace recording {

// What the times of a block's events say.
struct Timeline {
  // How long the user was active, in whole ms. Events in order of their time form segments. A segment begins at the
  // first event, at an active event in an inactive segment, and when more than 5,000 ms have passed since the last
  // active event of an active segment. An active segment counts from its first to its last event, and at least 1 ms.
  int64_t active_milliseconds = 0;
  size_t out_of_order = 0;  // events that are earlier than the event before them
  size_t gaps = 0;          // silences of more than 10,000 ms between events in order of their time
};

class SessionBlock {
 public:
  // Adds a row that has lines. Refers to the lines, and copies no bytes.
  void record(const Columns& columns, const Row& row, int64_t offset);

  // Reads all events: call this once, when the block is complete.
  Timeline timeline() const;

  const std::vector<Span>& slices() const { return slices_; }

  // Forgets the lines, and frees chunks that nothing else refers to. The counters stay.
  void free_lines() {
    chunks_ = {};
    slices_ = {};
  }

  size_t size = 0;
  size_t event_count = 0;
  int64_t first_offset = 0;
  int64_t last_offset = 0;
  double first_time = 0;
  double last_time = 0;
  Counters counters;
  std::string distinct_id;
  std::string source;   // empty: no message said
  std::string library;  // empty: no message said
  SnapshotMode mode = SnapshotMode::unknown;
  std::vector<std::string> urls;
  std::vector<std::pair<int64_t, size_t>> messages;  // source offset, lines

  // Bytes of what an index entry and a metadata record say of the block.
  size_t described_bytes() const { return text_bytes_ + message_bytes * messages.size(); }

  // Bytes of the events' times, which are kept until the flush.
  size_t times_bytes() const { return sizeof(double) * event_count; }

 private:
  static constexpr size_t message_bytes = 48;  // as JSON, a message in the index takes less

  void set_text(std::string& text, Span value, size_t times_written);
  void add_urls(const Columns& columns, const Row& row);

  size_t text_bytes_ = 0;         // of the texts, as JSON, as often as they are written
  std::vector<ChunkRef> chunks_;  // keep the bytes of slices_ alive
  std::vector<Span> slices_;
  std::vector<double> events_;  // as Columns::events
};

}  // namespace recording
