// A session batch: what gathers by partition and session until a flush.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "columns.hpp"
#include "reason.hpp"
#include "session_block.hpp"

namespace recording {

// A stored console event.
struct ConsoleEntry {
  LogLevel level;
  double time;  // ms since 1970
  std::string message;
};

// What became of console events.
struct ConsoleRecorded {
  size_t stored = 0;
  size_t left_out = 0;  // their session had no room for them
};

// The console events of a session. Each counts; equal (level, message) pairs of one message are stored once.
struct ConsoleLogs {
  // Adds the console events of a message. It stores them until it has `most` entries.
  ConsoleRecorded record(const Columns& columns, Range logs, size_t most);

  uint64_t counts[log_level_count] = {};
  std::vector<ConsoleEntry> entries;
  size_t message_bytes = 0;  // of all entries, as JSON
  size_t left_out = 0;
};

// The limits of each session.
struct SessionLimits {
  size_t max_events;
  size_t max_console_logs;  // the ones that are stored
};

// One session of one partition.
struct Session {
  int64_t partition;
  int64_t team_id;
  uint8_t retention;  // a code; the one of the session's first message
  std::string id;
  size_t id_bytes;  // what a record takes for the id: in the value, and as the key
  SessionBlock block;
  ConsoleLogs console;
  bool over_limit = false;  // taken out of the batch, and kept out: only the id is left

  // What its entry in the index takes at most.
  size_t index_bytes() const;

  // Bytes of what it holds and of what is made of it: lines, index entry, metadata record, console-log records.
  size_t bytes() const;
};

using SessionRef = std::shared_ptr<Session>;

// The session's block. It keeps the session alive.
inline std::shared_ptr<SessionBlock> block_of(const SessionRef& session) { return {session, &session->block}; }

// What is known of one partition. What is discarded was recorded and taken out again, because its session passed the
// event limit. The other figures are without it.
struct PartitionFigures {
  size_t sessions = 0;
  size_t bytes = 0;
  size_t index_bytes = 0;
  size_t messages = 0;
  size_t events = 0;
  size_t line_bytes = 0;
  ConsoleRecorded console;
  size_t discarded_messages = 0;
  size_t discarded_events = 0;
};

// The rows of a decoded batch, as columns with one entry a row, and the teams that `team_codes` refers to.
struct SourceRows {
  size_t count = 0;
  const int64_t* partitions = nullptr;
  const int64_t* offsets = nullptr;
  uint8_t* dispositions = nullptr;
  uint8_t* reasons = nullptr;
  const int32_t* team_codes = nullptr;
  const uint8_t* retentions = nullptr;
  size_t teams = 0;
  const int64_t* team_ids = nullptr;
  const uint8_t* captures_console = nullptr;

  // The first row that is not ended and has no lines or no team, or `count`.
  size_t first_invalid(const Columns& columns) const;
};

// What one call recorded.
struct Recorded {
  size_t events = 0;
  std::vector<size_t> ended;  // the rows of sessions over the event limit
};

class SessionBatch {
 public:
  explicit SessionBatch(const SessionLimits& limits) : limits_(limits) {}
  SessionBatch(const SessionBatch&) = delete;
  SessionBatch& operator=(const SessionBatch&) = delete;

  // Adds the rows that are not ended to their sessions, and ends the rows of sessions over the event limit. No row may
  // be invalid: see first_invalid.
  Recorded record(const Columns& columns, const SourceRows& rows);

  PartitionFigures partition(int64_t number) const;
  PartitionFigures total() const;

  // Drops a partition. Returns how many sessions it had.
  size_t discard(int64_t number);

  // Empties the batch, and returns its sessions: by partition, and in the order that they came in.
  std::vector<SessionRef> take();

 private:
  struct Key {
    int64_t team_id;
    Span id;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const;
  };
  struct KeyEqual {
    bool operator()(const Key& a, const Key& b) const { return a.team_id == b.team_id && equal(a.id, b.id); }
  };
  struct Partition {
    std::vector<SessionRef> sessions;                             // in the order that they came in
    std::unordered_map<Key, Session*, KeyHash, KeyEqual> by_key;  // the keys refer to the sessions' ids
    PartitionFigures figures;
  };

  Session& session_of(Partition& partition, int64_t number, const Key& key, uint8_t retention);
  static void take_out(Partition& partition, Session& session);

  const SessionLimits limits_;
  std::map<int64_t, Partition> partitions_;
};

}  // namespace recording
