#include "lines.hpp"

#include <limits>

#include "text/json_walk.hpp"

namespace recording {
namespace {

void read_member(const Name& key, Span value, Line& line) {
  if (key.is("timestamp")) {
    line.has_time = *value.begin == '-' || is_digit(*value.begin);
    if (line.has_time) line.time = number_value(value);
  } else if (key.is("cv")) {
    line.packed = *value.begin == '"' && Name({value.begin + 1, value.end - 1}).is("2024-10");
  }
}

bool read_event(Cursor& in, Nesting& nesting, Line& line) {
  line.event.begin = in.at;
  if (!in.take_if('{')) return false;
  const bool valid = skip_members(in, nesting, [&](const Name& key) {
    const uint8_t* const begin = in.at;
    if (!skip_value(in, nesting)) return false;
    read_member(key, {begin, in.at}, line);
    return true;
  });
  line.event.end = in.at;
  return valid;
}

}  // namespace

Span time_value(Span event) {
  Span found;
  Cursor in{event.begin + 1, event.end};
  Nesting nesting(std::numeric_limits<uint32_t>::max());
  skip_members(in, nesting, [&](const Name& key) {
    const uint8_t* const begin = in.at;
    if (!skip_value(in, nesting)) return false;
    if (key.is("timestamp")) found = {begin, in.at};
    return true;
  });
  return found;
}

bool read_line(Span text, Line& line) {
  line = {};
  Cursor in{text.begin, text.end};
  Nesting nesting(std::numeric_limits<uint32_t>::max());
  Span window_id;
  if (!in.take_if('[') || !in.take_if('"') || !skip_string(in, window_id) || !in.take_if(',')) return false;
  in.skip_whitespace();
  if (!read_event(in, nesting, line)) return false;
  in.skip_whitespace();
  if (!in.take_if(']')) return false;
  in.skip_whitespace();
  return in.done();
}

}  // namespace recording
