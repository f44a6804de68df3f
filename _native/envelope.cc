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

// Moves past a value. Keeps it if it is a string.
bool read_string(Cursor& in, Nesting& nesting, RawString& found) {
  const bool string = in.take_if('"');
  found.kind = string ? RawString::string : RawString::other;
  return string ? skip_string(in, found.text) : skip_value(in, nesting);
}

// Moves past one member of the outer object, and keeps those that an envelope has.
bool read_member(const Name& key, Cursor& in, Nesting& nesting, PaddedBuffer& scratch, Envelope& envelope) {
  if (key.is("data")) {
    if (in.take_if('"')) return read_data(in, scratch, envelope);
    envelope.data.kind = RawString::other;
  } else if (key.is("distinct_id")) {
    return read_string(in, nesting, envelope.distinct_id);
  } else if (key.is("now")) {
    return read_string(in, nesting, envelope.now);
  } else if (key.is("sent_at")) {
    return read_string(in, nesting, envelope.sent_at);
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
