#include "envelope.hpp"

#include "text/json_walk.hpp"

namespace recording {
namespace {

bool read_data(Cursor& in, PaddedBuffer& scratch, Envelope& envelope) {
  scratch.reserve(in.left());
  const uint8_t* const begin = in.at;
  envelope.unescaped = unescape({in.at, in.end}, scratch.data());
  if (!envelope.unescaped.end) return false;
  in.at = envelope.unescaped.end + 1;
  envelope.data = {{begin, envelope.unescaped.end}, RawString::string};
  return true;
}

// Moves past one member of the outer object, and keeps `data` and `distinct_id`.
bool read_member(const Name& key, Cursor& in, Nesting& nesting, PaddedBuffer& scratch, Envelope& envelope) {
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

}  // namespace

Reason read_envelope(Span text, PaddedBuffer& scratch, Envelope& envelope) {
  Cursor in{text.begin + byte_order_mark(text.begin, text.size()), text.end};
  Nesting nesting(max_depth);
  in.skip_whitespace();
  const auto read = [&](const Name& key) { return read_member(key, in, nesting, scratch, envelope); };
  const bool valid = in.take_if('{') ? skip_members(in, nesting, read) : skip_value(in, nesting);
  if (!valid) return Reason::INVALID_JSON;
  in.skip_whitespace();
  if (!in.done()) return Reason::INVALID_JSON;
  const bool complete = envelope.data.kind == RawString::string && envelope.distinct_id.kind == RawString::string;
  return complete ? Reason::NONE : Reason::INVALID_MESSAGE_PAYLOAD;
}

}  // namespace recording
