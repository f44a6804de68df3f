// A simple JSON validator to compare the fast ones with: RFC 8259, byte by byte.
#pragma once

#include <cstring>

#include "text/cursor.hpp"

namespace recording {

class PlainJson {
 public:
  // Whether a text is JSON that nests at most `deepest` levels.
  static bool valid(Span text, int deepest) {
    PlainJson json{{text.begin, text.end}, deepest};
    json.in_.skip_whitespace();
    if (!json.value(0)) return false;
    json.in_.skip_whitespace();
    return json.in_.done();
  }

 private:
  PlainJson(Cursor in, int deepest) : in_(in), deepest_(deepest) {}

  bool value(int depth) {
    switch (in_.peek()) {
      case '{':
        return container(depth, '}', true);
      case '[':
        return container(depth, ']', false);
      case '"':
        return string();
      case 't':
        return word("true");
      case 'f':
        return word("false");
      case 'n':
        return word("null");
      default:
        return number();
    }
  }

  bool container(int depth, uint8_t close, bool keys) {
    if (depth == deepest_) return false;
    in_.take();
    in_.skip_whitespace();
    if (in_.take_if(close)) return true;
    for (;;) {
      in_.skip_whitespace();
      if (keys) {
        if (!string()) return false;
        in_.skip_whitespace();
        if (!in_.take_if(':')) return false;
        in_.skip_whitespace();
      }
      if (!value(depth + 1)) return false;
      in_.skip_whitespace();
      if (in_.take_if(close)) return true;
      if (!in_.take_if(',')) return false;
    }
  }

  bool string() {
    if (!in_.take_if('"')) return false;
    for (;;) {
      if (in_.done()) return false;
      const uint8_t c = in_.take();
      if (c == '"') return true;
      if (c < 0x20) return false;
      if (c != '\\') continue;
      const uint8_t escape = in_.take();
      if (escape == 'u') {
        for (int i = 0; i < 4; ++i) {
          const uint8_t digit = in_.take();
          if (!is_digit(digit) && !(digit >= 'a' && digit <= 'f') && !(digit >= 'A' && digit <= 'F')) return false;
        }
      } else if (escape == 0 || !std::strchr("\"\\/bfnrt", escape)) {
        return false;
      }
    }
  }

  bool word(const char* name) {
    for (; *name; ++name)
      if (!in_.take_if(static_cast<uint8_t>(*name))) return false;
    return true;
  }

  bool digits() {
    if (!is_digit(in_.peek())) return false;
    while (is_digit(in_.peek())) in_.take();
    return true;
  }

  bool number() {
    in_.take_if('-');
    if (!in_.take_if('0') && !digits()) return false;
    if (in_.take_if('.') && !digits()) return false;
    if (in_.take_if('e') || in_.take_if('E')) {
      if (!in_.take_if('+')) in_.take_if('-');
      if (!digits()) return false;
    }
    return true;
  }

  Cursor in_;
  const int deepest_;
};

}  // namespace recording
