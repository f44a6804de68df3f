// All stages: any bytes as the value of a message, to its block lines and to what a flush says of its session.
#include <cstdlib>

#include "decoder.hpp"
#include "file_blocks.hpp"
#include "plain_json.hpp"
#include "text/utf8.hpp"

using namespace recording;

namespace {

constexpr int64_t now_ms = 1795461731742;
constexpr size_t max_console_logs = 100;
constexpr size_t console_bytes = 200;  // of records at a time

void check_lines(Span lines) {
  const uint8_t* at = lines.begin;
  while (at < lines.end) {
    const void* const found = std::memchr(at, '\n', static_cast<size_t>(lines.end - at));
    if (!found) std::abort();
    const auto* const end = static_cast<const uint8_t*>(found);
    // The array of the line is one level more.
    if (!PlainJson::valid({at, end}, max_depth + 1)) std::abort();
    at = end + 1;
  }
}

void check_json(const std::string& text, size_t begin, size_t size) {
  const auto* at = reinterpret_cast<const uint8_t*>(text.data()) + begin;
  if (!is_valid_utf8({at, at + size}) || !PlainJson::valid({at, at + size}, max_depth)) std::abort();
}

void check_records(const PackedRecords& packed) {
  for (const PackedRecords::Record& record : packed.records) check_json(packed.text, record.value, record.value_size);
}

// Records the row twice, and writes what a flush writes.
void flush(const Columns& columns) {
  SessionBatch batch({size_t{1} << 40, max_console_logs});
  const int64_t partition = 0, offset = 7, team = 1;
  const int32_t team_code = 0;
  const uint8_t retention = 0, console = 1;
  uint8_t disposition = 0, reason = 0;
  const SourceRows rows = {1, &partition, &offset, &disposition, &reason, &team_code, &retention, 1, &team, &console};
  for (size_t i = 1; i <= 2; ++i) {
    if (rows.first_invalid(columns) != 1) std::abort();
    batch.record(columns, rows);
    if (batch.total().messages != i) std::abort();
  }
  const size_t lines = columns.rows[0].lines.size();
  if (batch.total().bytes < 2 * lines) std::abort();
  const auto files = files_of(batch.take());
  if (files.size() != 1 || files[0]->raw_bytes() != 2 * lines) std::abort();
  if (files[0]->blocks()[0].timeline.active_milliseconds < 0) std::abort();
  files[0]->store({9});
  const std::string entries = files[0]->index_entries({{partition, "source"}});
  check_json(entries, 0, entries.size());
  static constexpr uint8_t random[FileBlocks::uuid_random_bytes] = {};
  const auto metadata = files[0]->metadata({"batch", "zstd", "url", 30, now_ms, {random, random + sizeof random}});
  if (metadata.size() != 1 || metadata.begin()->second.records.size() != 1) std::abort();
  check_records(metadata.begin()->second);
  size_t console_logs = 0;
  ConsolePosition at = files[0]->first_console_log(partition);
  for (bool more = true; more;) {
    const PackedRecords packed = files[0]->console_logs(at, "batch", console_bytes);
    check_records(packed);
    console_logs += packed.records.size();
    more = !packed.records.empty();
  }
  if (console_logs > max_console_logs) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static Decoder decoders[] = {
      Decoder({1 << 20, int64_t{1} << 53, false, 1 << 22, 1 << 10, 256, 1024, false, false, false, 1 << 22}),
      Decoder({1 << 20, int64_t{1} << 53, false, 1 << 22, 1 << 10, 256, 1024, true, true, true, 1 << 22})};
  for (Decoder& decoder : decoders) {
    std::vector<Message> messages(1);
    messages[0].value = {bytes, bytes + size};
    messages[0].timestamp_ms = messages[0].now_ms = now_ms;
    Columns columns;
    decoder.decode(messages, columns, false);
    if (columns.stopped_at_large != columns.rows.empty()) std::abort();
    if (columns.stopped_at_large) {
      columns = {};
      decoder.decode(messages, columns, true);
    }
    if (columns.rows.size() != 1) std::abort();
    const Row& row = columns.rows[0];
    if (row.ok != (messages[0].reason == Reason::NONE)) std::abort();
    if (!row.ok) continue;
    if (row.lines.empty() || !is_valid_utf8(row.lines)) std::abort();
    check_lines(row.lines);
    for (const TextSlice text : {row.session_id, row.distinct_id, row.source, row.library})
      if (!is_valid_utf8(columns.text(text))) std::abort();
    flush(columns);
  }
  return 0;
}
