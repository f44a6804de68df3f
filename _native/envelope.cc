#include "envelope.hpp"

#include "simd/bytes16.hpp"

namespace recording {
namespace {

// Which kind each open container is, one bit a level.
class Nesting {
 public:
  uint32_t depth() const { return depth_; }
  bool in_object() const { return bits_[(depth_ - 1) / 64] >> ((depth_ - 1) % 64) & 1; }
  bool open(bool object) {
    if (depth_ == max_depth) return false;
    const uint64_t bit = uint64_t{1} << (depth_ % 64);
    uint64_t& word = bits_[depth_ / 64];
    word = object ? word | bit : word & ~bit;
    ++depth_;
    return true;
  }
  void close() { --depth_; }

 private:
  uint32_t depth_ = 0;
  uint64_t bits_[(max_depth + 63) / 64] = {};
};

// Moves to the next byte that means something in a string: a quote, a backslash, or a control character.
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

// Moves past a string whose opening quote is taken.
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

bool skip_scalar(Cursor& in) {
  Span raw;
  if (in.take_if('"')) return skip_string(in, raw);
  return in.peek() == '-' || is_digit(in.peek()) ? skip_number(in) : skip_literal(in);
}

// Moves past `"key" :` and the white space around it.
bool skip_key(Cursor& in, Span& key) {
  if (!in.take_if('"') || !skip_string(in, key)) return false;
  in.skip_whitespace();
  if (!in.take_if(':')) return false;
  in.skip_whitespace();
  return true;
}

// Moves past any value, without recursion.
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
    // A value has ended, and with it perhaps the containers around it.
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

bool read_data(Cursor& in, PaddedBuffer& scratch, Envelope& envelope) {
  scratch.reserve(in.left());
  const uint8_t* const begin = in.at;
  envelope.unescaped = unescape({in.at, in.end}, scratch.data());
  if (!envelope.unescaped.end) return false;
  in.at = envelope.unescaped.end + 1;
  envelope.data = {{begin, envelope.unescaped.end}, RawString::string};
  return true;
}

// Moves past one member of the outer object, and keeps it where it is one of those that count.
bool read_member(Cursor& in, Nesting& nesting, PaddedBuffer& scratch, Envelope& envelope) {
  Span raw_key;
  if (!skip_key(in, raw_key)) return false;
  const Name key(raw_key);
  if (key.is("data")) {
    if (in.take_if('"')) return read_data(in, scratch, envelope);
    envelope.data.kind = RawString::other;
  } else if (key.is("distinct_id")) {
    const bool string = in.take_if('"');
    envelope.distinct_id.kind = string ? RawString::string : RawString::other;
    if (string) return skip_string(in, envelope.distinct_id.text);
  }
  return skip_value(in, nesting);
}

bool read_members(Cursor& in, Nesting& nesting, PaddedBuffer& scratch, Envelope& envelope) {
  nesting.open(true);
  in.skip_whitespace();
  if (in.take_if('}')) return true;
  for (;;) {
    if (!read_member(in, nesting, scratch, envelope)) return false;
    in.skip_whitespace();
    if (in.take_if('}')) return true;
    if (!in.take_if(',')) return false;
    in.skip_whitespace();
  }
}

}  // namespace

Reason read_envelope(Span text, PaddedBuffer& scratch, Envelope& envelope) {
  Cursor in{text.begin + byte_order_mark(text.begin, text.size()), text.end};
  Nesting nesting;
  in.skip_whitespace();
  const bool object = in.take_if('{');
  const bool valid = object ? read_members(in, nesting, scratch, envelope) : skip_value(in, nesting);
  if (!valid) return Reason::INVALID_JSON;
  in.skip_whitespace();
  if (!in.done()) return Reason::INVALID_JSON;
  const bool complete = envelope.data.kind == RawString::string && envelope.distinct_id.kind == RawString::string;
  return complete ? Reason::NONE : Reason::INVALID_MESSAGE_PAYLOAD;
}

}  // namespace recording
