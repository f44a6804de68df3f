// Reads the outer object of a message: its distinct_id, its times, and the unescaped text of its `data`.
#pragma once

#include "reason.hpp"
#include "text/buffer.hpp"
#include "text/json_text.hpp"
#include "text/unescape.hpp"

namespace recording {

struct Envelope {
  RawString distinct_id;  // in the text
  RawString data;         // in the text
  RawString now;          // in the text
  RawString sent_at;      // in the text
  Unescaped unescaped{};  // of `data`; the bytes are in the buffer that was passed in
};

// Reads and validates the whole outer text, except its UTF-8. If a key occurs more than once, its last value counts.
// Leaves the unescaped `data` in `scratch`, followed by zero bytes.
// Reasons: INVALID_JSON, INVALID_MESSAGE_PAYLOAD.
Reason read_envelope(Span text, PaddedBuffer& scratch, Envelope& envelope);

}  // namespace recording
