// Stage 3: any bytes as the text of `data`.
#include "events.hpp"

#include <cstdlib>

#include "plain_json.hpp"
#include "text/buffer.hpp"
#include "text/unescape.hpp"
#include "text/utf8.hpp"

using namespace recording;

namespace {

// Short numbers are too far from now, and the timestamps of the seeds are not.
constexpr Nearness near{1.8e12, 1.79e12};

// Checks that each event is JSON, and that all spans point into the text.
void check(const Snapshot& snapshot, Span text) {
  for (const EventSlice& event : snapshot.events) {
    if (event.begin >= event.end || event.end > text.size()) std::abort();
    if (text.begin[event.begin] != '{' || text.begin[event.end - 1] != '}') std::abort();
    if (!PlainJson::valid(snapshot.bytes_of(event), max_depth)) std::abort();
    const double time = std::fabs(event.time);
    if (!(time > 0) || near.is_far(time)) std::abort();
    if (time < snapshot.times.first || time > snapshot.times.last) std::abort();
  }
  for (const Span& url : snapshot.urls) {
    if (url.begin < text.begin || url.end > text.end || url.empty()) std::abort();
    if (trimmed(url).size() != url.size()) std::abort();
    std::string value;
    append_value(url, value);
    if (!is_valid_utf8({reinterpret_cast<const uint8_t*>(value.data()),
                        reinterpret_cast<const uint8_t*>(value.data()) + value.size()}))
      std::abort();
  }
  for (const RawLog& log : snapshot.logs)
    if (log.strings_begin > log.strings_end || log.strings_end > snapshot.log_strings.size()) std::abort();
  for (const StringSlice& string : snapshot.log_strings) {
    if (string.begin > string.end || string.end > text.size()) std::abort();
    std::string value;
    append_value(snapshot.bytes_of(string), value, 2999);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static SnapshotReader reader;
  static PaddedBuffer buffer;
  buffer.reserve(size);
  if (size) std::memcpy(buffer.data(), bytes, size);
  std::memset(buffer.data() + size, 0, padding);
  Span text{buffer.data(), buffer.data() + size};
  bool valid_utf8 = false;
  const Reason reason =
      escapes_valid(text) ? reader.read(text, near, valid_utf8) : Reason::RECEIVED_NON_SNAPSHOT_MESSAGE;
  text.begin += byte_order_mark(text.begin, text.size());
  if (reason == Reason::NONE) {
    if (!valid_utf8 || !is_valid_utf8(text)) std::abort();
    if (!PlainJson::valid(text, max_depth)) std::abort();
    check(reader.snapshot(), text);
  } else if (reason != Reason::RECEIVED_NON_SNAPSHOT_MESSAGE && reason != Reason::INVALID_JSON) {
    std::abort();
  }
  buffer.shrink(1 << 16);
  reader.shrink(1 << 16);
  return 0;
}
