// What one decode call found, as columns, and the memory its lines are in.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "text/cursor.hpp"

namespace recording {

// A piece of memory that lines are written to, one row after the other and each row whole. Whoever
// refers to lines holds a reference to the chunk; bytes that are written never change.
struct Chunk {
  size_t capacity = 0;
  size_t used = 0;
  uint8_t* bytes = nullptr;
};

using ChunkRef = std::shared_ptr<Chunk>;

// Chunks that nobody refers to any more, kept to be used again: fresh memory has to be cleared first.
// Chunks come back from any thread.
class ChunkPool : public std::enable_shared_from_this<ChunkPool> {
 public:
  static constexpr size_t chunk_bytes = 2 << 20;

  explicit ChunkPool(size_t most_bytes) : most_(most_bytes / chunk_bytes) {}
  ChunkPool(const ChunkPool&) = delete;
  ChunkPool& operator=(const ChunkPool&) = delete;
  ~ChunkPool();

  // A chunk with room for `size` bytes; of the usual size unless that is too small.
  ChunkRef take(size_t size);

 private:
  void give_back(Chunk* chunk) noexcept;

  const size_t most_;
  std::mutex mutex_;
  std::vector<uint8_t*> free_;
};

// Bytes in Columns::texts.
struct TextSlice {
  size_t offset = 0;
  size_t size = 0;
};

enum class LogLevel : uint8_t { info, warn, error };

struct Log {
  double time;
  TextSlice message;
  LogLevel level;
};

// The earliest full snapshot of a row or a block: when, in ms, and which of its events that is. From
// there on what was recorded can be played.
struct FullSnapshot {
  double time = 0;  // 0: there is none
  size_t event = 0;

  // Of equal times the first to come stays. `before` is how many events come before those `other` counts.
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
  Range events;
  Range urls;
  Range logs;
  Counters counters;
};

struct Columns {
  std::vector<Row> rows;  // those that were decided; cut short where the batch became too large
  std::vector<ChunkRef> chunks;
  // Of each event the timestamp in ms, which is above zero; negative where the event is an active one.
  std::vector<double> events;
  std::vector<TextSlice> urls;  // each different within its row
  std::vector<Log> logs;
  std::string texts;

  uint64_t encodings[4] = {};
  uint64_t uncompressed_bytes = 0;
  uint64_t invalid_items = 0;
  uint64_t invalid_utf8 = 0;
  uint64_t unpacked_events = 0;
  uint64_t unpack_failures = 0;
  size_t line_bytes = 0;

  Span text(TextSlice slice) const {
    const auto* begin = reinterpret_cast<const uint8_t*>(texts.data()) + slice.offset;
    return {begin, begin + slice.size};
  }
};

}  // namespace recording
