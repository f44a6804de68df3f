#include "text/utf8.hpp"

#include <simdjson.h>

namespace recording {

bool is_valid_utf8(Span text) {
  return simdjson::validate_utf8(reinterpret_cast<const char*>(text.begin), text.size());
}

int utf8_sequence(const uint8_t* at, const uint8_t* end) {
  const uint8_t lead = *at;
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return -1;
  const int size = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The range of the second byte excludes overlong forms, surrogates, and code points above U+10FFFF.
  const uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (int i = 1; i < size; ++i) {
    if (at + i == end) return -i;
    const uint8_t c = at[i];
    if (i == 1 ? c < low || c > high : (c & 0xC0) != 0x80) return -i;
  }
  return size;
}

Span replace_invalid_utf8(Span text, PaddedBuffer& out) {
  size_t invalid = 0;
  for (const uint8_t* at = text.begin; at < text.end;) {
    const int size = utf8_sequence(at, text.end);
    invalid += size < 0;
    at += size < 0 ? -size : size;
  }
  out.reserve(text.size() + 2 * invalid);
  uint8_t* to = out.data();
  for (const uint8_t* at = text.begin; at < text.end;) {
    const int size = utf8_sequence(at, text.end);
    if (size < 0) {
      to = write_utf8(replacement_character, to);
      at -= size;
    } else {
      for (int i = 0; i < size; ++i) *to++ = *at++;
    }
  }
  return {out.data(), to};
}

}  // namespace recording
