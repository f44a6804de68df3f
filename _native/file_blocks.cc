#include "file_blocks.hpp"

#include <algorithm>

#include "text/json_writer.hpp"

namespace recording {
namespace {

void write_urls(JsonWriter& json, const std::vector<std::string>& urls) {
  json.raw(R"(,"first_url":)");
  if (urls.empty()) {
    json.raw("null");
  } else {
    json.string(urls.front());
  }
  json.raw(R"(,"urls":[)");
  for (size_t i = 0; i < urls.size(); ++i) {
    if (i > 0) json.raw(",");
    json.string(urls[i]);
  }
  json.raw("]");
}

// A UUID of version 7 (RFC 9562): 48 bits of time, and random bits.
void write_uuid(JsonWriter& json, int64_t now_ms, const uint8_t* random) {
  static constexpr char hex[] = "0123456789abcdef";
  uint8_t bytes[16];
  for (int i = 0; i < 6; ++i) bytes[i] = static_cast<uint8_t>(static_cast<uint64_t>(now_ms) >> (40 - 8 * i));
  std::memcpy(bytes + 6, random, FileBlocks::uuid_random_bytes);
  bytes[6] = static_cast<uint8_t>(0x70 | (bytes[6] & 0x0F));
  bytes[8] = static_cast<uint8_t>(0x80 | (bytes[8] & 0x3F));
  char text[39];
  char* out = text;
  *out++ = '"';
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *out++ = '-';
    *out++ = hex[bytes[i] >> 4];
    *out++ = hex[bytes[i] & 15];
  }
  *out++ = '"';
  json.raw({text, static_cast<size_t>(out - text)});
}

std::string_view json_of(SnapshotMode mode) {
  if (mode == SnapshotMode::unknown) return "null";
  return mode == SnapshotMode::screenshot ? "\"screenshot\"" : "\"wireframe\"";
}

void write_entry(JsonWriter& json, const FileBlock& at, const std::string& source) {
  const Session& session = *at.session;
  const SessionBlock& block = session.block;
  const FullSnapshot& snapshot = block.counters.full_snapshot;
  json.raw(R"({"team_id":)");
  json.integer(session.team_id);
  json.raw(R"(,"session_id":)");
  json.string(session.id);
  json.raw(R"(,"distinct_id":)");
  json.string(at.encrypted ? std::string() : block.distinct_id);
  json.raw(R"(,"source":)");
  json.string(source);
  json.raw(R"(,"partition":)");
  json.integer(session.partition);
  json.raw(R"(,"first_offset":)");
  json.integer(block.first_offset);
  json.raw(R"(,"last_offset":)");
  json.integer(block.last_offset);
  json.raw(R"(,"messages":[)");
  for (size_t i = 0; i < block.messages.size(); ++i) {
    json.raw(i > 0 ? ",[" : "[");
    json.integer(block.messages[i].first);
    json.raw(",");
    json.integer(block.messages[i].second);
    json.raw("]");
  }
  json.raw(R"(],"events":)");
  json.integer(block.event_count);
  json.raw(R"(,"first_timestamp":)");
  json.real(block.first_time);
  json.raw(R"(,"last_timestamp":)");
  json.real(block.last_time);
  json.raw(snapshot.time > 0 ? R"(,"has_full_snapshot":true,"size":)" : R"(,"has_full_snapshot":false,"size":)");
  json.integer(block.size);
  json.raw(R"(,"start":)");
  json.integer(at.start);
  json.raw(R"(,"length":)");
  json.integer(at.length);
  if (snapshot.time > 0) {
    json.raw(R"(,"first_full_snapshot_position":)");
    json.integer(snapshot.event);
    json.raw(R"(,"first_full_snapshot_timestamp":)");
    json.real(snapshot.time);
  } else {
    json.raw(R"(,"first_full_snapshot_position":null,"first_full_snapshot_timestamp":null)");
  }
  json.raw(R"(,"out_of_order_count":)");
  json.integer(at.timeline.out_of_order);
  json.raw(R"(,"gap_count":)");
  json.integer(at.timeline.gaps);
  json.raw(R"(,"snapshot_source":)");
  json.string(block.source.empty() ? "web" : block.source);
  json.raw(at.encrypted ? R"(,"encryption":"secretbox"})" : "}");
}

void write_metadata(JsonWriter& json, const FileBlock& at, const FileFacts& facts, const uint8_t* random) {
  const Session& session = *at.session;
  const SessionBlock& block = session.block;
  const FullSnapshot& snapshot = block.counters.full_snapshot;
  json.raw(R"({"uuid":)");
  write_uuid(json, facts.now_ms, random);
  json.raw(R"(,"session_id":)");
  json.string(session.id);
  json.raw(R"(,"team_id":)");
  json.integer(session.team_id);
  json.raw(R"(,"distinct_id":)");
  json.string(block.distinct_id);
  json.raw(R"(,"batch_id":)");
  json.string(facts.batch_id);
  json.raw(R"(,"first_timestamp":)");
  json.time(block.first_time);
  json.raw(R"(,"last_timestamp":)");
  json.time(block.last_time);
  json.raw(R"(,"block_url":)");
  json.string(facts.url + "?range=bytes=" + std::to_string(at.start) + "-" + std::to_string(at.start + at.length - 1));
  write_urls(json, block.urls);
  json.raw(R"(,"click_count":)");
  json.integer(block.counters.clicks);
  json.raw(R"(,"keypress_count":)");
  json.integer(block.counters.keypresses);
  json.raw(R"(,"mouse_activity_count":)");
  json.integer(block.counters.mouse_activities);
  json.raw(R"(,"active_milliseconds":)");
  json.integer(at.timeline.active_milliseconds);
  json.raw(R"(,"console_log_count":)");
  json.integer(session.console.counts[static_cast<size_t>(LogLevel::info)]);
  json.raw(R"(,"console_warn_count":)");
  json.integer(session.console.counts[static_cast<size_t>(LogLevel::warn)]);
  json.raw(R"(,"console_error_count":)");
  json.integer(session.console.counts[static_cast<size_t>(LogLevel::error)]);
  json.raw(R"(,"size":)");
  json.integer(block.size);
  json.raw(R"(,"message_count":)");
  json.integer(block.messages.size());
  json.raw(R"(,"snapshot_source":)");
  json.string(block.source.empty() ? "web" : block.source);
  json.raw(R"(,"snapshot_library":)");
  if (block.library.empty()) {
    json.raw("null");
  } else {
    json.string(block.library);
  }
  json.raw(R"(,"snapshot_mode":)");
  json.raw(json_of(block.mode));
  json.raw(R"(,"event_count":)");
  json.integer(block.event_count);
  json.raw(R"(,"retention_period_days":)");
  json.integer(facts.retention_days);
  json.raw(R"(,"is_deleted":0,"codec":)");
  json.string(facts.codec);
  json.raw(R"(,"partition":)");
  json.integer(session.partition);
  json.raw(R"(,"first_offset":)");
  json.integer(block.first_offset);
  json.raw(R"(,"last_offset":)");
  json.integer(block.last_offset);
  if (snapshot.time > 0) {
    json.raw(R"(,"has_full_snapshot":true,"first_full_snapshot_position":)");
    json.integer(snapshot.event);
    json.raw(R"(,"first_full_snapshot_timestamp":)");
    json.time(snapshot.time);
  } else {
    json.raw(R"(,"has_full_snapshot":false,"first_full_snapshot_position":null)");
    json.raw(R"(,"first_full_snapshot_timestamp":null)");
  }
  json.raw(R"(,"out_of_order_count":)");
  json.integer(at.timeline.out_of_order);
  json.raw(R"(,"gap_count":)");
  json.integer(at.timeline.gaps);
  json.raw("}");
}

void write_console_log(JsonWriter& json, const Session& session, const ConsoleEntry& entry,
                       const std::string& batch_id) {
  static constexpr std::string_view levels[log_level_count] = {"info", "warn", "error"};
  json.raw(R"({"team_id":)");
  json.integer(session.team_id);
  json.raw(R"(,"message":)");
  json.string(entry.message);
  json.raw(R"(,"level":)");
  json.string(levels[static_cast<size_t>(entry.level)]);
  json.raw(R"(,"log_source":"session_replay","log_source_id":)");
  json.string(session.id);
  json.raw(R"(,"instance_id":null,"timestamp":)");
  json.time(entry.time);
  json.raw(R"(,"batch_id":)");
  json.string(batch_id);
  json.raw("}");
}

}  // namespace

void FileBlocks::add(SessionRef session) {
  messages_ += session->block.messages.size();
  events_ += session->block.event_count;
  raw_bytes_ += session->block.size;
  const Timeline timeline = session->block.timeline();
  blocks_.push_back({std::move(session), timeline});
}

std::map<int64_t, SourceOffsets> FileBlocks::offsets() const {
  std::map<int64_t, SourceOffsets> ranges;
  for (const FileBlock& at : blocks_) {
    const SessionBlock& block = at.session->block;
    const SourceOffsets own = {block.first_offset, block.last_offset};
    SourceOffsets& range = ranges.emplace(at.session->partition, own).first->second;
    range = {std::min(range.first, own.first), std::max(range.last, own.last)};
  }
  return ranges;
}

void FileBlocks::store(const std::vector<size_t>& lengths) {
  for (const size_t length : lengths) {
    FileBlock& at = blocks_.at(stored_++);
    at.start = stored_bytes_;
    at.length = length;
    stored_bytes_ += length;
    at.session->block.free_lines();
  }
}

void FileBlocks::store_encrypted(size_t before, size_t length) {
  stored_bytes_ += before;
  blocks_.at(stored_).encrypted = true;
  store({length});
}

std::string FileBlocks::index_entries(const std::map<int64_t, std::string>& sources) const {
  std::string out = "[";
  JsonWriter json(out);
  for (const FileBlock& at : blocks_) {
    if (out.size() > 1) json.raw(",");
    write_entry(json, at, sources.at(at.session->partition));
  }
  json.raw("]");
  return out;
}

RecordsByPartition FileBlocks::metadata(const FileFacts& facts) const {
  RecordsByPartition found;
  const uint8_t* random = facts.random.begin;
  for (const FileBlock& at : blocks_) {
    PackedRecords& packed = found[at.session->partition];
    const std::string& id = at.session->id;
    const size_t key = packed.text.size();
    packed.text += id;
    const size_t value = packed.text.size();
    JsonWriter json(packed.text);
    write_metadata(json, at, facts, random);
    packed.records.push_back({key, id.size(), value, packed.text.size() - value});
    random += uuid_random_bytes;
  }
  return found;
}

ConsolePosition FileBlocks::first_console_log(int64_t partition) const {
  const auto before = [](const FileBlock& at, int64_t number) { return at.session->partition < number; };
  const auto first = std::lower_bound(blocks_.begin(), blocks_.end(), partition, before);
  return {partition, static_cast<size_t>(first - blocks_.begin()), 0};
}

PackedRecords FileBlocks::console_logs(ConsolePosition& at, const std::string& batch_id, size_t most) const {
  PackedRecords packed;
  JsonWriter json(packed.text);
  for (; at.block < blocks_.size(); at = {at.partition, at.block + 1, 0}) {
    const Session& session = *blocks_[at.block].session;
    if (session.partition != at.partition) break;
    if (at.entry == session.console.entries.size()) continue;
    const size_t key = packed.text.size();
    packed.text += session.id;  // the key of all its records
    for (; at.entry < session.console.entries.size(); ++at.entry) {
      if (!packed.records.empty() && packed.text.size() >= most) return packed;
      const size_t value = packed.text.size();
      write_console_log(json, session, session.console.entries[at.entry], batch_id);
      packed.records.push_back({key, session.id.size(), value, packed.text.size() - value});
    }
  }
  return packed;
}

std::vector<std::unique_ptr<FileBlocks>> files_of(std::vector<SessionRef> sessions) {
  std::vector<std::unique_ptr<FileBlocks>> files;
  for (SessionRef& session : sessions) {
    const auto fits = [&session](const auto& file) { return file->retention() == session->retention; };
    auto found = std::find_if(files.begin(), files.end(), fits);
    if (found == files.end()) {
      files.push_back(std::make_unique<FileBlocks>(session->retention));
      found = files.end() - 1;
    }
    (*found)->add(std::move(session));
  }
  return files;
}

}  // namespace recording
