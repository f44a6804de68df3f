#include "text/json_walk.hpp"

#include "simd/bytes16.hpp"

namespace recording {
namespace {

// Moves to the next byte of a string that is not plain text: a quote, a backslash, or a control character.
void skip_plain(Cursor& in) {
  while (in.left() >= 64) {
    const auto stops = [](bytes16::Bytes bytes) {
      using namespace bytes16;
      return either(either(equal(bytes, all('"')), equal(bytes, all('\\'))), at_most(bytes, all(0x1F)));
    };
    using bytes16::load;
    const uint64_t found =
        bytes16::bits(stops(load(in.at)), stops(load(in.at + 16)), stops(load(in.at + 32)), stops(load(in.at + 48)));
    if (found) {
      in.at += __builtin_ctzll(found);
      return;
    }
    in.at += 64;
  }
  while (!in.done() && *in.at != '"' && *in.at != '\\' && *in.at >= 0x20) ++in.at;
}

bool skip_scalar(Cursor& in) {
  Span raw;
  if (in.take_if('"')) return skip_string(in, raw);
  return in.peek() == '-' || is_digit(in.peek()) ? skip_number(in) : skip_literal(in);
}

}  // namespace

bool skip_string(Cursor& in, Span& raw) {
  raw.begin = in.at;
  for (;;) {
    skip_plain(in);
    raw.end = in.at;
    switch (in.take()) {
      case '"':
        return true;
      case '\\':
        if (take_escape(in) < 0) return false;
        break;
      default:
        return false;
    }
  }
}

bool skip_key(Cursor& in, Span& key) {
  if (!in.take_if('"') || !skip_string(in, key)) return false;
  in.skip_whitespace();
  if (!in.take_if(':')) return false;
  in.skip_whitespace();
  return true;
}

bool skip_value(Cursor& in, Nesting& nesting) {
  const uint32_t outside = nesting.depth();
  Span key;
  for (;;) {
    if (in.peek() == '{' || in.peek() == '[') {
      const bool object = in.take() == '{';
      if (!nesting.open(object)) return false;
      in.skip_whitespace();
      if (!in.take_if(object ? '}' : ']')) {
        if (object && !skip_key(in, key)) return false;
        continue;
      }
      nesting.close();
    } else if (!skip_scalar(in)) {
      return false;
    }
    // A value has ended; the containers around it may end too.
    for (;;) {
      if (nesting.depth() == outside) return true;
      in.skip_whitespace();
      if (in.take_if(',')) break;
      if (!in.take_if(nesting.in_object() ? '}' : ']')) return false;
      nesting.close();
    }
    in.skip_whitespace();
    if (nesting.in_object() && !skip_key(in, key)) return false;
  }
}

}  // namespace recording
