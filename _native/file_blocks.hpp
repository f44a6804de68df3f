// The blocks of one batch file, and what is said of them: index entries, metadata and console-log records.
// recording_worker/formats/ reads the same formats: batch_file.py, block_metadata.py, console_log.py.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "session_batch.hpp"

namespace recording {

// A session and its block in the file.
struct FileBlock {
  SessionRef session;
  Timeline timeline;
  uint64_t start = 0;   // where the block begins in the file
  uint64_t length = 0;  // its size there; 0 until it is stored
  bool encrypted = false;
};

// Keys and values of Kafka records, in one piece of memory.
struct PackedRecords {
  struct Record {
    size_t key, key_size, value, value_size;  // positions in `text`, and sizes
  };
  std::string text;
  std::vector<Record> records;
};

// Partition → the records that leave with its offsets.
using RecordsByPartition = std::map<int64_t, PackedRecords>;

// Where a reading of the console events of a partition continues.
struct ConsolePosition {
  int64_t partition = 0;
  size_t block = 0;
  size_t entry = 0;
};

// The first and the last source offset of a partition.
struct SourceOffsets {
  int64_t first;
  int64_t last;
};

// What the metadata says of all blocks of a file alike.
struct FileFacts {
  std::string batch_id;
  std::string codec;
  std::string url;
  int64_t retention_days = 0;
  int64_t now_ms = 0;  // the time in the records' uuids, ms since 1970
  Span random;         // uuid_random_bytes for each block
};

class FileBlocks {
 public:
  static constexpr size_t uuid_random_bytes = 10;

  explicit FileBlocks(uint8_t retention) : retention_(retention) {}

  // Adds a session with at least one message. Sessions come partition by partition.
  void add(SessionRef session);

  uint8_t retention() const { return retention_; }
  const std::vector<FileBlock>& blocks() const { return blocks_; }
  size_t stored() const { return stored_; }
  size_t messages() const { return messages_; }
  size_t events() const { return events_; }
  size_t raw_bytes() const { return raw_bytes_; }
  std::map<int64_t, SourceOffsets> offsets() const;

  // Says where the next blocks are in the file: one after the other, of these sizes. Frees their lines.
  void store(const std::vector<size_t>& lengths);

  // Says that the next block is encrypted and has this size, with `before` bytes in front of it that belong to no
  // block. Frees its lines.
  void store_encrypted(size_t before, size_t length);

  // The entries of the file's index: a JSON array. `sources` names the source of each partition.
  std::string index_entries(const std::map<int64_t, std::string>& sources) const;

  // The record that leads to each block, once all blocks are stored. One record a block.
  RecordsByPartition metadata(const FileFacts& facts) const;

  // The first of the stored console events of a partition.
  ConsolePosition first_console_log(int64_t partition) const;

  // The records of the stored console events at `at` and after it, up to about `most` bytes; none after the last.
  // Moves `at` past them.
  PackedRecords console_logs(ConsolePosition& at, const std::string& batch_id, size_t most) const;

 private:
  const uint8_t retention_;
  std::vector<FileBlock> blocks_;
  size_t stored_ = 0;
  uint64_t stored_bytes_ = 0;
  size_t messages_ = 0;
  size_t events_ = 0;
  size_t raw_bytes_ = 0;
};

// One file for each retention period, in the order in which the sessions have them.
std::vector<std::unique_ptr<FileBlocks>> files_of(std::vector<SessionRef> sessions);

}  // namespace recording
