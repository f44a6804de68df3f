// The loop that touches every byte of a message's `data`: it unescapes it, and checks the escapes of
// the text that comes out, which simdjson's first stage does not look at.
#pragma once

#include "text/cursor.hpp"

namespace recording {

struct Unescaped {
  const uint8_t* end;  // the closing quote; null where the string is not valid JSON
  size_t size;         // bytes written
  bool escapes_valid;  // each backslash of the value begins a JSON escape, as it has to in a JSON text
  bool line_breaks;    // the value holds \n or \r
};

// Unescapes a JSON string that begins at in.begin, behind its opening quote, and ends anywhere before
// in.end. `out` has room for in.size() bytes and the padding; the 64 bytes behind the value are set to
// zero. Surrogate escapes without their other half become U+FFFD. UTF-8 is passed on as it is.
Unescaped unescape(Span in, uint8_t* out);

// Whether each backslash of a text, which 64 zero bytes follow, begins a JSON escape. A backslash
// outside a string is for others to find.
bool escapes_valid(Span text);

}  // namespace recording
