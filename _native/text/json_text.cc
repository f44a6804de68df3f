#include "text/json_text.hpp"

#include <simdjson.h>

#include <algorithm>

#include "text/buffer.hpp"
#include "text/unescape.hpp"
#include "text/utf8.hpp"

namespace recording {
namespace {

// Takes one code point of a string, which may be an escape. Returns -1 if it is not valid, and takes nothing of it
// then.
int32_t take_code_point(Cursor& in) {
  const uint8_t lead = in.peek();
  if (lead == '\\') {
    Cursor escape{in.at + 1, in.end};
    const int32_t code = take_escape(escape);
    if (code >= 0) in = escape;
    return code;
  }
  const int size = utf8_sequence(in.at, in.end);
  if (size < 0) return -1;
  int32_t code = size == 1 ? lead : lead & (0x7F >> size);
  for (int i = 1; i < size; ++i) code = code << 6 | (in.at[i] & 0x3F);
  in.at += size;
  return code;
}

// Appends the first `most` code points of a string's value.
void append_cut(Span raw, std::string& out, size_t most) {
  for (Cursor in{raw.begin, raw.end}; most > 0 && !in.done(); --most) {
    const int32_t code = take_code_point(in);
    if (code < 0) return;
    uint8_t bytes[4];
    const uint8_t* const end = write_utf8(static_cast<uint32_t>(code), bytes);
    out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(end - bytes));
  }
}

// White space and line ends of JavaScript (ECMA-262, 12.2 and 12.3).
bool is_javascript_space(int32_t code) {
  return (code >= 0x09 && code <= 0x0D) || code == 0x20 || code == 0xA0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F ||
         code == 0x3000 || code == 0xFEFF;
}

// Whether a string, which is not empty, may begin or end with white space. An escape has two or six bytes.
bool may_have_outer_space(Span raw) {
  const auto visible = [](uint8_t c) { return c > ' ' && c < 0x7F; };
  const auto escapes = [raw](size_t size) {
    return raw.size() >= size && raw.end[-static_cast<ptrdiff_t>(size)] == '\\';
  };
  return !visible(raw.begin[0]) || !visible(raw.end[-1]) || raw.begin[0] == '\\' || escapes(2) || escapes(6);
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

Span trimmed(Span raw) {
  if (raw.empty() || !may_have_outer_space(raw)) return raw;
  Span kept{raw.end, raw.end};
  for (Cursor in{raw.begin, raw.end}; !in.done();) {
    const uint8_t* const begin = in.at;
    const int32_t code = take_code_point(in);
    if (code < 0) return raw;  // not valid
    if (is_javascript_space(code)) continue;
    if (kept.empty()) kept.begin = begin;
    kept.end = in.at;
  }
  return kept;
}

void append_value(Span raw, std::string& out, size_t most) {
  const size_t before = out.size();
  const bool escapes = !raw.empty() && std::memchr(raw.begin, '\\', raw.size()) != nullptr;
  if (raw.size() > most || (escapes && *raw.end != '"')) {
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
