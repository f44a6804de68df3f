// The two loops that touch every byte of a message's `data`: unescaping it, and checking the escapes
// of the text that comes out.
#pragma once

#include "cursor.hpp"

namespace recording {

struct Unescaped {
  const uint8_t* end;  // the closing quote; null where the string is not valid JSON
  size_t size;         // bytes written
  bool backslashes;    // the value holds backslashes
  bool line_breaks;    // the value holds \n or \r
};

// Unescapes a JSON string that begins at in.begin, behind its opening quote, and ends anywhere before
// in.end. `out` has room for in.size() bytes and the padding. Surrogate escapes without their other
// half become U+FFFD. UTF-8 is passed on as it is.
Unescaped unescape(Span in, uint8_t* out);

// Whether each backslash of a text begins a JSON escape. Where it is, and a backslash outside a
// string, are not looked at: simdjson's first stage and the walk do that. `text` is followed by at
// least 64 zero bytes.
bool escapes_valid(Span text);

}  // namespace recording
