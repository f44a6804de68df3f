#include "session_batch.hpp"

#include <unordered_set>

#include "text/hash.hpp"
#include "text/json_writer.hpp"

namespace recording {
namespace {

// What an index entry, and what a metadata record takes, without texts and messages.
constexpr size_t index_entry_bytes = 1024;
constexpr size_t metadata_bytes = 1024;

// What a console-log record takes without its texts.
constexpr size_t console_record_bytes = 216;

struct ConsoleKey {
  LogLevel level;
  Span message;
  bool operator==(const ConsoleKey& other) const { return level == other.level && equal(message, other.message); }
};

struct ConsoleKeyHash {
  size_t operator()(const ConsoleKey& key) const {
    SipHash hash = SipHash::keyed();
    hash.add(static_cast<uint64_t>(key.level));
    return hash.finish(key.message);
  }
};

std::string text_of(Span text) { return {reinterpret_cast<const char*>(text.begin), text.size()}; }

Span span_of(const std::string& text) {
  const auto* begin = reinterpret_cast<const uint8_t*>(text.data());
  return {begin, begin + text.size()};
}

size_t event_count(const Row& row) { return row.events.end - row.events.begin; }

}  // namespace

ConsoleRecorded ConsoleLogs::record(const Columns& columns, Range logs, size_t most) {
  ConsoleRecorded recorded;
  std::unordered_set<ConsoleKey, ConsoleKeyHash> seen;
  const bool several = logs.end - logs.begin > 1;
  for (size_t i = logs.begin; i < logs.end; ++i) {
    const Log& log = columns.logs[i];
    const ConsoleKey key = {log.level, columns.text(log.message)};
    ++counts[static_cast<size_t>(log.level)];
    if (several && seen.count(key) > 0) continue;
    if (entries.size() >= most) {
      ++recorded.left_out;
      ++left_out;
      continue;
    }
    if (several) seen.insert(key);
    entries.push_back({log.level, log.time, text_of(key.message)});
    message_bytes += json_string_size(entries.back().message);
    ++recorded.stored;
  }
  return recorded;
}

size_t Session::index_bytes() const { return index_entry_bytes + id_bytes + block.described_bytes(); }

size_t Session::bytes() const {
  return index_bytes() + metadata_bytes + id_bytes + block.size + block.times_bytes() +
         console.entries.size() * (console_record_bytes + id_bytes) + console.message_bytes;
}

size_t SourceRows::first_invalid(const Columns& columns) const {
  for (size_t row = 0; row < count; ++row) {
    if (dispositions[row] != 0) continue;
    if (!columns.rows[row].ok || team_codes[row] < 0 || static_cast<size_t>(team_codes[row]) >= teams) return row;
  }
  return count;
}

size_t SessionBatch::KeyHash::operator()(const Key& key) const {
  SipHash hash = SipHash::keyed();
  hash.add(static_cast<uint64_t>(key.team_id));
  return hash.finish(key.id);
}

Recorded SessionBatch::record(const Columns& columns, const SourceRows& rows) {
  Recorded recorded;
  Partition* partition = nullptr;
  int64_t number = 0;
  for (size_t i = 0; i < rows.count; ++i) {
    if (rows.dispositions[i] != 0) continue;
    if (!partition || rows.partitions[i] != number) {
      number = rows.partitions[i];
      partition = &partitions_[number];
    }
    const Row& row = columns.rows[i];
    const auto team = static_cast<size_t>(rows.team_codes[i]);
    Session& session =
        session_of(*partition, number, {rows.team_ids[team], columns.text(row.session_id)}, rows.retentions[i]);
    if (!session.over_limit && event_count(row) > limits_.max_events - session.block.event_count) {
      take_out(*partition, session);
    }
    if (session.over_limit) {
      rows.dispositions[i] = static_cast<uint8_t>(disposition_of(Reason::SESSION_EVENT_LIMIT));
      rows.reasons[i] = static_cast<uint8_t>(Reason::SESSION_EVENT_LIMIT);
      recorded.ended.push_back(i);
      continue;
    }
    const size_t before = session.bytes();
    const size_t index_before = session.index_bytes();
    session.block.record(columns, row, rows.offsets[i]);
    if (rows.captures_console[team]) {
      const ConsoleRecorded console = session.console.record(columns, row.logs, limits_.max_console_logs);
      partition->figures.console.stored += console.stored;
      partition->figures.console.left_out += console.left_out;
    }
    partition->figures.bytes += session.bytes() - before;
    partition->figures.index_bytes += session.index_bytes() - index_before;
    ++partition->figures.messages;
    partition->figures.events += event_count(row);
    partition->figures.line_bytes += row.lines.size();
    recorded.events += event_count(row);
  }
  return recorded;
}

PartitionFigures SessionBatch::partition(int64_t number) const {
  const auto found = partitions_.find(number);
  return found == partitions_.end() ? PartitionFigures{} : found->second.figures;
}

PartitionFigures SessionBatch::total() const {
  PartitionFigures total;
  for (const auto& [number, partition] : partitions_) {
    total.sessions += partition.figures.sessions;
    total.bytes += partition.figures.bytes;
    total.index_bytes += partition.figures.index_bytes;
    total.messages += partition.figures.messages;
    total.events += partition.figures.events;
    total.line_bytes += partition.figures.line_bytes;
    total.console.stored += partition.figures.console.stored;
    total.console.left_out += partition.figures.console.left_out;
    total.discarded_messages += partition.figures.discarded_messages;
    total.discarded_events += partition.figures.discarded_events;
  }
  return total;
}

size_t SessionBatch::discard(int64_t number) {
  const size_t sessions = partition(number).sessions;
  partitions_.erase(number);
  return sessions;
}

std::vector<SessionRef> SessionBatch::take() {
  std::vector<SessionRef> sessions;
  for (auto& [number, partition] : partitions_) {
    for (SessionRef& session : partition.sessions) {
      if (!session->over_limit) sessions.push_back(std::move(session));
    }
  }
  partitions_.clear();
  return sessions;
}

Session& SessionBatch::session_of(Partition& partition, int64_t number, const Key& key, uint8_t retention) {
  const auto found = partition.by_key.find(key);
  if (found != partition.by_key.end()) return *found->second;
  auto session = std::make_shared<Session>();
  session->partition = number;
  session->team_id = key.team_id;
  session->retention = retention;
  session->id = text_of(key.id);
  session->id_bytes = json_string_size(session->id) + session->id.size();
  partition.sessions.push_back(session);
  partition.by_key.emplace(Key{key.team_id, span_of(session->id)}, session.get());
  ++partition.figures.sessions;
  partition.figures.bytes += session->bytes();
  partition.figures.index_bytes += session->index_bytes();
  return *session;
}

void SessionBatch::take_out(Partition& partition, Session& session) {
  --partition.figures.sessions;
  const size_t before = session.bytes();
  const size_t index_before = session.index_bytes();
  partition.figures.messages -= session.block.messages.size();
  partition.figures.events -= session.block.event_count;
  partition.figures.line_bytes -= session.block.size;
  partition.figures.console.stored -= session.console.entries.size();
  partition.figures.console.left_out -= session.console.left_out;
  partition.figures.discarded_messages += session.block.messages.size();
  partition.figures.discarded_events += session.block.event_count;
  session.block = SessionBlock();
  session.console = ConsoleLogs();
  session.over_limit = true;
  partition.figures.bytes -= before - session.bytes();
  partition.figures.index_bytes -= index_before - session.index_bytes();
}

}  // namespace recording
