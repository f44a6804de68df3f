// unescape_latin1 byte by byte, for machines without byte shuffles. The loops over 64 bytes are compared with it.
#pragma once

#include "text/cursor.hpp"
#include "text/json_text.hpp"

namespace recording {

inline uint8_t* unescape_latin1_bytes(Cursor& in, uint8_t* out) {
  const uint8_t* at = in.at;
  while (at < in.end) {
    const uint8_t c = *at++;
    // No branch tells the first byte of a character from others: half of the bytes of a gzip are above 0x7F, and the
    // branch would often be mispredicted.
    const bool latin1 = (c < 0xC4) & ((c & 0xFE) != 0xC0);
    if (latin1 & (c != '"') & (c != '\\')) {
      *out = static_cast<uint8_t>(c | (at[-2] == 0xC3) << 6);
      out += c < 0xC0;
    } else if (c == '\\') {
      Cursor escape{at, in.end};
      const int32_t code = take_escape(escape);
      if (code < 0 || code > 0xFF) return nullptr;
      *out++ = static_cast<uint8_t>(code);
      at = escape.at;
    } else if (c == '"') {
      in.at = at;
      return out;
    } else {
      return nullptr;
    }
  }
  return nullptr;
}

}  // namespace recording
