// Bounded reads: a span of bytes, and a cursor that reads 0 at its end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace recording {

// Bytes that somebody else owns.
struct Span {
  const uint8_t* begin = nullptr;
  const uint8_t* end = nullptr;

  size_t size() const { return static_cast<size_t>(end - begin); }
  bool empty() const { return begin == end; }
};

inline bool equal(Span a, Span b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.begin, b.begin, a.size()) == 0);
}

// A position in a text. Past the end it reads 0, a byte that is not valid anywhere in JSON:
// whoever looks for something else stops there.
struct Cursor {
  const uint8_t* at;
  const uint8_t* end;

  bool done() const { return at == end; }
  size_t left() const { return static_cast<size_t>(end - at); }
  uint8_t peek() const { return at < end ? *at : 0; }
  uint8_t take() { return at < end ? *at++ : 0; }
  bool take_if(uint8_t wanted) {
    if (at == end || *at != wanted) return false;
    ++at;
    return true;
  }
  void skip_whitespace() {
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) ++at;
  }
};

inline bool is_whitespace(uint8_t c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
inline bool is_digit(uint8_t c) { return static_cast<uint8_t>(c - '0') < 10; }

// The byte order mark, where a text begins with one.
inline size_t byte_order_mark(const uint8_t* text, size_t size) {
  return size >= 3 && text[0] == 0xEF && text[1] == 0xBB && text[2] == 0xBF ? 3 : 0;
}

}  // namespace recording
