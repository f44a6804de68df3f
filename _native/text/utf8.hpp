// UTF-8: replaces invalid sequences, and encodes single code points.
#pragma once

#include "text/buffer.hpp"
#include "text/cursor.hpp"

namespace recording {

inline constexpr uint32_t replacement_character = 0xFFFD;

bool is_valid_utf8(Span text);

// Copies `text` to `out` with each invalid sequence replaced by U+FFFD; the copy is at most three times as long. One
// sequence is a "maximal subpart" of the Unicode standard (section 3.9), as in Python's errors="replace".
Span replace_invalid_utf8(Span text, PaddedBuffer& out);

// The length of the sequence at `at`; negative if the sequence is invalid.
int utf8_sequence(const uint8_t* at, const uint8_t* end);

// Writes one code point, and returns the end. The code point must not be a surrogate.
inline uint8_t* write_utf8(uint32_t code, uint8_t* out) {
  if (code < 0x80) {
    *out++ = static_cast<uint8_t>(code);
  } else if (code < 0x800) {
    *out++ = static_cast<uint8_t>(0xC0 | code >> 6);
    *out++ = static_cast<uint8_t>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    *out++ = static_cast<uint8_t>(0xE0 | code >> 12);
    *out++ = static_cast<uint8_t>(0x80 | (code >> 6 & 0x3F));
    *out++ = static_cast<uint8_t>(0x80 | (code & 0x3F));
  } else {
    *out++ = static_cast<uint8_t>(0xF0 | code >> 18);
    *out++ = static_cast<uint8_t>(0x80 | (code >> 12 & 0x3F));
    *out++ = static_cast<uint8_t>(0x80 | (code >> 6 & 0x3F));
    *out++ = static_cast<uint8_t>(0x80 | (code & 0x3F));
  }
  return out;
}

}  // namespace recording
