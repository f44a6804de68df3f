// The outer object of a message: what it is, and the unescaped text of its `data`.
#pragma once

#include "reason.hpp"
#include "text/buffer.hpp"
#include "text/json_text.hpp"
#include "text/unescape.hpp"

namespace recording {

struct Envelope {
  RawString distinct_id;  // in the text
  RawString data;         // in the text
  Unescaped unescaped{};  // of `data`; the bytes are in the buffer that was passed in
};

// Reads the outer text, all of it validated but for its UTF-8. The last value of a key that occurs
// more than once counts. The unescaped `data` is left in `scratch`, followed by zero bytes.
// Reasons: INVALID_JSON, INVALID_MESSAGE_PAYLOAD.
Reason read_envelope(Span text, PaddedBuffer& scratch, Envelope& envelope);

}  // namespace recording
