// UTF-8: replacement of invalid sequences, and the encoding of single code points.
#pragma once

#include "text/buffer.hpp"
#include "text/cursor.hpp"

namespace recording {

inline constexpr uint32_t replacement_character = 0xFFFD;

bool is_valid_utf8(Span text);

// `text` with each invalid sequence replaced by U+FFFD, in `out`, at most three times as long. What
// one sequence is follows the Unicode standard's "maximal subpart" practice (section 3.9), as
// Python's errors="replace" does.
Span replace_invalid_utf8(Span text, PaddedBuffer& out);

// The length of the valid sequence at `at`, or minus the length of the invalid one.
int utf8_sequence(const uint8_t* at, const uint8_t* end);

// Writes one code point, which is no surrogate, and returns the end.
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
