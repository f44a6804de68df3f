#include "text/json_text.hpp"

#include <simdjson.h>

#include <algorithm>

#include "text/buffer.hpp"
#include "text/unescape.hpp"
#include "text/utf8.hpp"

namespace recording {
namespace {

// Appends the first `most` code points of a string's value.
void append_cut(Span raw, std::string& out, size_t most) {
  Cursor in{raw.begin, raw.end};
  for (; most > 0 && !in.done(); --most) {
    uint8_t code_point[4];
    Span bytes{in.at, in.at};
    if (in.take_if('\\')) {
      const int32_t code = take_escape(in);
      if (code < 0) return;
      bytes = {code_point, write_utf8(static_cast<uint32_t>(code), code_point)};
    } else {
      const int size = utf8_sequence(in.at, in.end);
      if (size < 0) return;
      in.at += size;
      bytes.end = in.at;
    }
    out.append(reinterpret_cast<const char*>(bytes.begin), bytes.size());
  }
}

}  // namespace

double number_value(Span number) {
  return simdjson::internal::from_chars(reinterpret_cast<const char*>(number.begin),
                                        reinterpret_cast<const char*>(number.end));
}

int32_t take_escape(Cursor& in) {
  switch (in.take()) {
    case '"':
      return '"';
    case '\\':
      return '\\';
    case '/':
      return '/';
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'u':
      break;
    default:
      return -1;
  }
  const int32_t code = take_hex4(in);
  if (code < 0xD800 || code > 0xDFFF) return code;
  if (code < 0xDC00 && in.left() >= 6 && in.at[0] == '\\' && in.at[1] == 'u') {
    Cursor second{in.at + 2, in.end};
    const int32_t low = take_hex4(second);
    if (low >= 0xDC00 && low <= 0xDFFF) {
      in = second;
      return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
  }
  return replacement_character;
}

void append_value(Span raw, std::string& out, size_t most) {
  const size_t before = out.size();
  const bool escapes = !raw.empty() && std::memchr(raw.begin, '\\', raw.size()) != nullptr;
  if (raw.size() > most) {
    append_cut(raw, out, most);
  } else if (!escapes) {
    out.append(reinterpret_cast<const char*>(raw.begin), raw.size());
  } else {
    out.resize(before + raw.size() + padding);
    const Unescaped value = unescape({raw.begin, raw.end + 1}, reinterpret_cast<uint8_t*>(&out[before]));
    out.resize(before + value.size);
  }
}

bool is_longer(Span raw, size_t most) {
  constexpr size_t longest = 12;  // bytes that a code point takes: two escapes of surrogates
  if (raw.size() <= most) return false;
  if (raw.size() > longest * most) return true;
  std::string value;
  append_value(raw, value, most + 1);
  const auto begins_character = [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; };
  return static_cast<size_t>(std::count_if(value.begin(), value.end(), begins_character)) > most;
}

void Name::unescape() {
  Cursor in{value_.begin, value_.end};
  size_t size = 0;
  for (; !in.done() && size < max_name; ++size) {
    const int32_t code = in.take_if('\\') ? take_escape(in) : in.take();
    if (code < 0 || code > 0x7F) return;  // keeps the raw text, which no name equals: it has a backslash
    unescaped_[size] = static_cast<uint8_t>(code);
  }
  if (in.done()) value_ = {unescaped_, unescaped_ + size};
}

}  // namespace recording
