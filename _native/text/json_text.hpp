// Small pieces of JSON that both texts of a message need: numbers, literals, and the value of a short string.
#pragma once

#include <string>

#include "text/cursor.hpp"

namespace recording {

// How many levels either text of a message may nest. An event may nest 4,096 levels by itself, and four containers are
// around its values.
inline constexpr uint32_t max_depth = 4128;

// The value of a key that should be a string: the bytes between the quotes, with their escapes.
struct RawString {
  enum Kind : uint8_t { absent, string, other };
  Span text;
  Kind kind = absent;
};

// Moves past a number, or returns false if there is no number. The caller checks the byte that follows.
inline bool skip_number(Cursor& in) {
  in.take_if('-');
  if (!in.take_if('0')) {
    if (!is_digit(in.peek())) return false;
    while (is_digit(in.peek())) ++in.at;
  }
  if (in.take_if('.')) {
    if (!is_digit(in.peek())) return false;
    while (is_digit(in.peek())) ++in.at;
  }
  if (in.take_if('e') || in.take_if('E')) {
    if (!in.take_if('+')) in.take_if('-');
    if (!is_digit(in.peek())) return false;
    while (is_digit(in.peek())) ++in.at;
  }
  return true;
}

// The value of a valid number; infinite if it is too large for a double.
double number_value(Span number);

// Moves past true, false or null, or returns false at anything else.
inline bool skip_literal(Cursor& in) {
  for (const char* literal : {"true", "false", "null"}) {
    const size_t size = std::strlen(literal);
    if (in.left() < size || std::memcmp(in.at, literal, size) != 0) continue;
    in.at += size;
    return true;
  }
  return false;
}

// The value of a hexadecimal digit, or -1.
inline int hex_digit(uint8_t c) {
  if (is_digit(c)) return c - '0';
  const uint8_t letter = static_cast<uint8_t>((c | 0x20) - 'a');
  return letter < 6 ? letter + 10 : -1;
}

// Takes four hexadecimal digits, and returns their value, or -1 if they are something else.
inline int32_t take_hex4(Cursor& in) {
  if (in.left() < 4) return -1;
  int32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const int digit = hex_digit(in.at[i]);
    if (digit < 0) return -1;
    value = value << 4 | digit;
  }
  in.at += 4;
  return value;
}

// Takes an escape whose backslash is taken, and returns its code point, or -1 if the escape is not valid. A surrogate
// pair is one code point. A surrogate without its other half is U+FFFD.
int32_t take_escape(Cursor& in);

inline constexpr size_t no_limit = static_cast<size_t>(-1);

// Leaves the white space out that a valid string begins and ends with: what JavaScript's trim() takes off.
Span trimmed(Span raw);

// Appends the value of a valid string, cut to `most` code points. The closing quote must follow `raw`, or the white
// space that `trimmed` left out.
void append_value(Span raw, std::string& out, size_t most = no_limit);

// Whether the value of a valid string in valid UTF-8 has more than `most` code points. The closing quote must follow
// `raw`.
bool is_longer(Span raw, size_t most);

// The value of a short string, to compare with names. `is` is also true if the string is written with escapes. Names
// are ASCII, of at most max_name bytes.
class Name {
 public:
  explicit Name(Span raw) : value_(raw) {
    if (raw.size() <= 6 * max_name && has_backslash(raw)) unescape();
  }
  Name(const Name&) = delete;
  Name& operator=(const Name&) = delete;

  template <size_t N>
  bool is(const char (&name)[N]) const {
    static_assert(N - 1 <= max_name);
    return value_.size() == N - 1 && std::memcmp(value_.begin, name, N - 1) == 0;
  }

 private:
  static constexpr size_t max_name = 16;

  static bool has_backslash(Span raw) {
    bool found = false;
    for (const uint8_t* at = raw.begin; at < raw.end; ++at) found |= *at == '\\';
    return found;
  }
  void unescape();

  Span value_;
  uint8_t unescaped_[max_name];
};

}  // namespace recording
