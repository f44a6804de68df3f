// Reads the text of `data`: validates it, and in the same pass finds everything that the worker needs.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "columns.hpp"
#include "reason.hpp"
#include "text/json_text.hpp"
#include "tokens.hpp"

namespace simdjson::internal {
class dom_parser_implementation;
}

namespace recording {

// One valid rrweb event: its place in the text, and its timestamp in ms. The sign is negative if the event is an active
// one (timestamps are above zero).
struct EventSlice {
  uint32_t begin;
  uint32_t end;
  double time;
};

// The smallest and the largest of some timestamps, in ms. Both are 0 if there is none.
struct TimeRange {
  double first = 0;
  double last = 0;

  void add(double time) {
    first = first == 0 ? time : std::min(first, time);
    last = std::max(last, time);
  }
};

// Which timestamps are too far from now. All in ms.
struct Nearness {
  double now;
  double too_far;  // at this distance, and beyond it

  bool is_far(double time) const { return std::fabs(time - now) >= too_far; }
};

// The bytes between the quotes of one string of the text.
struct StringSlice {
  uint32_t begin;
  uint32_t end;
};

// One console event. Its message is the strings from strings_begin to strings_end of Snapshot::log_strings.
struct RawLog {
  double time;
  LogLevel level;
  uint32_t strings_begin;
  uint32_t strings_end;
};

struct Snapshot {
  const uint8_t* text = nullptr;  // the start of the text that was read, behind its byte order mark

  RawString event;
  bool properties_object = false;
  RawString session_id;
  RawString window_id;
  RawString source;
  RawString library;
  SnapshotMode mode = SnapshotMode::unknown;  // of the source `mobile`
  bool items_array = false;

  std::vector<EventSlice> events;
  std::vector<uint32_t> packed;  // the numbers of the events that say the client packed them
  std::vector<Span> urls;        // of the events in order; a url that follows itself is there once
  std::vector<RawLog> logs;
  std::vector<StringSlice> log_strings;  // not spans: a message may have a string for every five of its bytes
  Counters counters;
  size_t invalid_items = 0;
  size_t far_items = 0;  // items whose timestamp is too far from now; they are not among the events
  TimeRange times;       // of the events
  TimeRange all_times;   // of the items that are too far from now, too

  // The bytes of an event or string.
  template <class Slice>
  Span bytes_of(const Slice& slice) const {
    return {text + slice.begin, text + slice.end};
  }

  void clear_items();
  void clear_properties();
};

class SnapshotReader {
 public:
  SnapshotReader();
  ~SnapshotReader();

  // Reads `text`, which the padding follows, all zero, and which holds no invalid escape. The spans of the result point
  // into the text. Leaves out the items that are too far from now. Sets `valid_utf8` if the text is known to be valid
  // UTF-8.
  // Reasons: RECEIVED_NON_SNAPSHOT_MESSAGE; INVALID_JSON if the text nests too deep.
  Reason read(Span text, const Nearness& nearness, bool& valid_utf8);

  const Snapshot& snapshot() const { return snapshot_; }

  // Free what texts of more than `most` bytes made this allocate: `shrink` all of it, `shrink_tokens` only what the
  // snapshot does not need.
  void shrink(size_t most);
  void shrink_tokens(size_t most);

 private:
  struct Event;
  struct EventData;

  bool find_tokens(Span text, bool& valid_utf8);
  bool read_root();
  bool read_properties(uint8_t first);
  bool read_items(uint8_t first);
  bool read_item(uint8_t first);
  bool read_data(uint8_t first, EventData& data);
  bool read_payload(uint8_t first, EventData& data);
  bool read_payload_strings(uint8_t first, EventData& data);
  bool read_code(uint8_t first, uint32_t depth, int& code);
  void take_item(const Event& event, uint32_t begin, uint32_t end);
  void keep_event(const Event& event, uint32_t begin, uint32_t end);
  SnapshotMode find_mode();

  std::unique_ptr<simdjson::internal::dom_parser_implementation> stage1_;
  Tokens tokens_;
  Nearness nearness_{};
  Snapshot snapshot_;
};

}  // namespace recording
