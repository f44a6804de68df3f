// Unpacking: any bytes as the JSON of a packed field.
#include "unpack.hpp"

#include <libdeflate.h>

#include <cstdlib>
#include <string>

#include "plain_json.hpp"
#include "text/utf8.hpp"

using namespace recording;

namespace {

constexpr size_t most_unpacked = 1 << 20;

// A JSON string whose characters are the bytes of a gzip of `text`.
std::string packed(Span text) {
  static libdeflate_compressor* const compressor = libdeflate_alloc_compressor(1);
  std::string gzip(libdeflate_gzip_compress_bound(compressor, text.size()), '\0');
  gzip.resize(libdeflate_gzip_compress(compressor, text.begin, text.size(), gzip.data(), gzip.size()));
  std::string string = "\"";
  for (const char c : gzip) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte < 0x20 || byte == '"' || byte == '\\') {
      char escape[7];
      std::snprintf(escape, sizeof escape, "\\u%04x", byte);
      string += escape;
    } else {
      uint8_t utf8[4];
      string.append(reinterpret_cast<char*>(utf8), static_cast<size_t>(write_utf8(byte, utf8) - utf8));
    }
  }
  return string + '"';
}

// Unpacks an event that is valid JSON, and checks that the result is valid JSON.
bool unpack(std::string event) {
  static Unpacker unpacker;
  const size_t size = event.size();
  event.append(padding, '\0');
  const auto* const begin = reinterpret_cast<const uint8_t*>(event.data());
  const Span text{begin, begin + size};
  unpacker.start(most_unpacked, no_limit);
  const bool done = unpacker.unpack(text, 0);
  unpacker.rewind();
  const Span line = unpacker.next(0, text);
  if (done == equal(line, text)) std::abort();
  if (!PlainJson::valid(line, max_depth) || !is_valid_utf8(line)) std::abort();
  unpacker.shrink(1 << 16);
  return done;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  if (size == 0) return 0;
  const Span text{bytes + 1, bytes + size};
  const bool whole = bytes[0] % 2 == 0;
  const bool done = whole ? unpack("{\"type\":2,\"data\":" + packed(text) + ",\"cv\":\"2024-10\",\"timestamp\":1}")
                          : unpack("{\"cv\":\"2024-10\",\"data\":{\"source\":0,\"adds\":" + packed(text) +
                                   ",\"texts\":[]},\"type\":3}");
  const size_t mark = byte_order_mark(text.begin, text.size());
  // Four containers are around the values of an event, five around the values of its data.
  const int deepest = max_depth - (whole ? 4 : 5);
  if (done && !PlainJson::valid({text.begin + mark, text.end}, deepest)) std::abort();
  return 0;
}
