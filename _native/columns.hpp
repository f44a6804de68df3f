// What one decode call found, as columns, and the memory that holds its lines.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "text/cursor.hpp"

namespace recording {

// What a chunk holds: lines of messages, or compressed blocks.
enum class ChunkUse : uint8_t { lines, blocks };

// A piece of memory for lines or compressed blocks. Rows follow each other, and a row is in one chunk as a whole.
// Everything that refers to lines holds a reference to their chunk. Bytes that are written never change.
struct Chunk {
  ChunkUse use = ChunkUse::lines;
  size_t capacity = 0;
  size_t used = 0;
  uint8_t* bytes = nullptr;
};

using ChunkRef = std::shared_ptr<Chunk>;

// Chunks that nothing refers to any more, kept for the next rows and blocks: the system has to clear fresh memory
// first. All chunks together may take `most_bytes`, as far as freeing kept ones helps: the ones that have waited
// longest go first. Chunks are taken and come back on any thread.
class ChunkPool : public std::enable_shared_from_this<ChunkPool> {
 public:
  static constexpr size_t chunk_bytes = 2 << 20;

  explicit ChunkPool(size_t most_bytes) : most_(most_bytes) {}
  ChunkPool(const ChunkPool&) = delete;
  ChunkPool& operator=(const ChunkPool&) = delete;
  ~ChunkPool();

  // A chunk with room for `size` bytes: of the usual size, or a multiple of it if that is too small.
  ChunkRef take(size_t size, ChunkUse use);

  // Gives back to the system what is kept for later.
  void free_kept();

  // The bytes of all chunks with lines that something refers to.
  size_t line_bytes() const { return held_[static_cast<size_t>(ChunkUse::lines)]; }

 private:
  // Larger chunks are rare, and are not kept.
  static constexpr size_t largest_kept = 16 << 20;

  struct Free {
    uint8_t* bytes;
    size_t capacity;
  };

  uint8_t* reuse(size_t& capacity);
  void give_back(Chunk* chunk) noexcept;
  void keep(uint8_t* bytes, size_t capacity);
  void make_room(size_t size) noexcept;

  const size_t most_;
  std::atomic<size_t> held_[2] = {};  // by use: the bytes of all chunks that something refers to
  std::mutex mutex_;
  std::deque<Free> free_;  // the first has waited longest
  size_t kept_ = 0;        // bytes of all of them
};

// Bytes in Columns::texts.
struct TextSlice {
  size_t offset = 0;
  size_t size = 0;
};

enum class LogLevel : uint8_t { info, warn, error };
inline constexpr size_t log_level_count = 3;

struct Log {
  double time;
  TextSlice message;
  LogLevel level;
};

// The earliest full snapshot of a row or a block: its time in ms, and its number among the events. A recording can be
// played from there on.
struct FullSnapshot {
  double time = 0;  // 0: no full snapshot
  size_t event = 0;

  // If the times are equal, the first that was added stays. `before` is the number of events before the first event
  // that `other` counts.
  void add(const FullSnapshot& other, size_t before) {
    if (other.time > 0 && (time == 0 || other.time < time)) *this = {other.time, before + other.event};
  }
};

// Counters of one row, or of all rows of a block.
struct Counters {
  uint64_t clicks = 0;
  uint64_t keypresses = 0;
  uint64_t mouse_activities = 0;
  FullSnapshot full_snapshot;
};

// How the recording of a mobile app shows its screens. It is unknown until an event shows one.
enum class SnapshotMode : uint8_t { unknown, screenshot, wireframe };

// A range of another column.
struct Range {
  size_t begin = 0;
  size_t end = 0;
};

struct Row {
  bool ok = false;  // has lines
  uint32_t chunk = 0;
  Span lines;
  double first_time = 0;
  double last_time = 0;
  TextSlice session_id;
  TextSlice distinct_id;
  TextSlice source;
  TextSlice library;
  SnapshotMode mode = SnapshotMode::unknown;
  Range events;
  Range urls;
  Range logs;
  Counters counters;
};

// A row that has items too far from now, and the first and the last of the row's timestamps, theirs included, in ms.
struct FarRow {
  size_t row;
  double first_time;
  double last_time;
};

// What is counted over the messages of a decode call.
struct Totals {
  uint64_t encodings[4] = {};
  uint64_t uncompressed_bytes = 0;
  uint64_t invalid_items = 0;
  uint64_t far_items = 0;
  uint64_t invalid_utf8 = 0;
  uint64_t unpacked_events = 0;
  uint64_t unpack_failures = 0;
};

struct Columns : Totals {
  std::vector<Row> rows;  // the decided ones; fewer than the messages if the call stopped early
  std::vector<ChunkRef> chunks;
  // The timestamp of each event, in ms. It is above zero; the sign is negative if the event is an active one.
  std::vector<double> events;
  std::vector<TextSlice> urls;  // no two equal ones within a row
  std::vector<Log> logs;
  std::string texts;
  std::vector<FarRow> far_rows;
  std::vector<double> clock_shifts;  // of the rows whose times were shifted, in ms
  size_t line_bytes = 0;
  bool stopped_at_large = false;  // the message after the last row is a large one, and may not be decoded now

  // Bytes of all that the rows have: lines, and what the columns hold for them.
  size_t bytes() const {
    return line_bytes + texts.size() + events.size() * sizeof(double) + urls.size() * sizeof(TextSlice) +
           logs.size() * sizeof(Log);
  }

  Span text(TextSlice slice) const {
    const auto* begin = reinterpret_cast<const uint8_t*>(texts.data()) + slice.offset;
    return {begin, begin + slice.size};
  }
};

}  // namespace recording
