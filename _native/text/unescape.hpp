// The loop that touches every byte of a message's `data`. It unescapes `data`, and checks the escapes of the resulting
// text, which simdjson's first stage does not check.
#pragma once

#include "text/cursor.hpp"

namespace recording {

struct Unescaped {
  const uint8_t* end;  // the closing quote; null if the string is not valid JSON
  size_t size;         // bytes written
  bool escapes_valid;  // each backslash of the value begins a JSON escape, as a JSON text requires
  bool line_breaks;    // the value holds \n or \r
};

// Unescapes a JSON string. in.begin is behind its opening quote; the string ends anywhere before in.end. `out` must
// have room for in.size() bytes and the padding. Sets the 64 bytes behind the value to zero. A surrogate escape without
// its other half becomes U+FFFD. UTF-8 is copied unchanged.
Unescaped unescape(Span in, uint8_t* out);

// Writes the characters of a valid JSON string, whose opening quote is taken, as bytes to `out`, and moves past the
// string. Returns the end of the bytes, or null if a character is above U+00FF, or if the string is not closed. `out`
// must have room for all of `in` and the padding.
uint8_t* unescape_latin1(Cursor& in, uint8_t* out);

// Whether each backslash of a text begins a JSON escape. 64 zero bytes must follow the text. Does not check that each
// backslash is inside a string.
bool escapes_valid(Span text);

}  // namespace recording
