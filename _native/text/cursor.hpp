// Bounded reads: a span of bytes, and a cursor that reads 0 at its end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace recording {

// Bytes that another object owns.
struct Span {
  const uint8_t* begin = nullptr;
  const uint8_t* end = nullptr;

  size_t size() const { return static_cast<size_t>(end - begin); }
  bool empty() const { return begin == end; }
};

inline bool equal(Span a, Span b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.begin, b.begin, a.size()) == 0);
}

// A position in a text. Past the end it reads 0. That byte is not valid anywhere in JSON, so a reader stops there.
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

// The size of the byte order mark that a text begins with, or 0.
inline size_t byte_order_mark(const uint8_t* text, size_t size) {
  return size >= 3 && text[0] == 0xEF && text[1] == 0xBB && text[2] == 0xBF ? 3 : 0;
}

}  // namespace recording
