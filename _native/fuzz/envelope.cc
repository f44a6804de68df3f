// Stage 2: any bytes as the outer text of a message.
#include "envelope.hpp"

#include <cstdlib>

#include "plain_json.hpp"
#include "text/utf8.hpp"

using namespace recording;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static PaddedBuffer repaired, scratch;
  Span text{bytes, bytes + size};
  if (!is_valid_utf8(text)) {
    text = replace_invalid_utf8(text, repaired);
    if (!is_valid_utf8(text)) std::abort();
  }
  Envelope envelope;
  const Reason reason = read_envelope(text, scratch, envelope);
  const size_t mark = byte_order_mark(text.begin, text.size());
  if ((reason != Reason::INVALID_JSON) != PlainJson::valid({text.begin + mark, text.end}, max_depth)) std::abort();
  if (reason == Reason::NONE) {
    const Span data{scratch.data(), scratch.data() + envelope.unescaped.size};
    // Unescaping valid UTF-8 gives valid UTF-8, and no more bytes than there were.
    if (!is_valid_utf8(data) || data.size() > text.size()) std::abort();
    std::string value;
    append_value(envelope.distinct_id.text, value);
    append_value(envelope.data.text, value, 100);
  } else if (reason != Reason::INVALID_JSON && reason != Reason::INVALID_MESSAGE_PAYLOAD) {
    std::abort();
  }
  return 0;
}
