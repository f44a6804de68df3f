// All stages: any bytes as the value of a message, to its block lines.
#include <cstdlib>

#include "decoder.hpp"
#include "plain_json.hpp"
#include "session_block.hpp"
#include "text/utf8.hpp"

using namespace recording;

namespace {

constexpr int64_t now_ms = 1795461731742;

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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static Decoder decoders[] = {Decoder({1 << 20, int64_t{1} << 53, 1 << 22, false}),
                               Decoder({1 << 20, int64_t{1} << 53, 1 << 22, true})};
  for (Decoder& decoder : decoders) {
    std::vector<Message> messages(1);
    messages[0].value = {bytes, bytes + size};
    messages[0].timestamp_ms = messages[0].now_ms = now_ms;
    Columns columns;
    decoder.decode(messages, columns);
    if (columns.rows.size() != 1) std::abort();
    const Row& row = columns.rows[0];
    if (row.ok != (messages[0].reason == Reason::NONE)) std::abort();
    if (!row.ok) continue;
    if (row.lines.empty() || !is_valid_utf8(row.lines)) std::abort();
    check_lines(row.lines);
    for (const TextSlice text : {row.session_id, row.distinct_id, row.source, row.library})
      if (!is_valid_utf8(columns.text(text))) std::abort();
    SessionBlock block;
    block.record(columns, row, 0);
    if (block.timeline().active_milliseconds < 0 || block.size != row.lines.size()) std::abort();
  }
  return 0;
}
