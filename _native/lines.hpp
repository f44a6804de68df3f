// The format of block lines, written and read: ["<window_id>",<event>] and a line break.
#pragma once

#include <cstring>

#include "text/json_text.hpp"

namespace recording {

// Whether a JSON text holds line breaks. In valid JSON they are between tokens.
inline bool holds_line_break(Span text) {
  return std::memchr(text.begin, '\n', text.size()) || std::memchr(text.begin, '\r', text.size());
}

class LineWriter {
 public:
  // Each line gets the window id as `data` writes it, with its quotes and escapes.
  explicit LineWriter(const RawString& window_id) {
    const bool present = window_id.kind == RawString::string;
    static constexpr uint8_t none[] = {'"', '"'};
    window_id_ = present ? Span{window_id.text.begin - 1, window_id.text.end + 1} : Span{none, none + 2};
  }

  // The most bytes that the line of an event of `event_bytes` takes.
  size_t line_bytes(size_t event_bytes) const { return event_bytes + window_id_.size() + 4; }

  // Writes one line at `out`, and returns its end.
  uint8_t* write(Span event, uint8_t* out) const { return end_line(copy(event, begin_line(out))); }

  // Writes the line of an event that holds line breaks, without the white space between its tokens.
  uint8_t* write_compacted(Span event, uint8_t* out) const { return end_line(compact(event, begin_line(out))); }

  // The same for an event with another value in the place of one that is no string. `compacted`: see write_compacted.
  uint8_t* write_replaced(Span event, Span old_value, Span value, bool compacted, uint8_t* out) const {
    const Span before{event.begin, old_value.begin}, after{old_value.end, event.end};
    out = begin_line(out);
    out = compacted ? compact(before, out) : copy(before, out);
    out = copy(value, out);
    out = compacted ? compact(after, out) : copy(after, out);
    return end_line(out);
  }

 private:
  static uint8_t* copy(Span bytes, uint8_t* out) {
    std::memcpy(out, bytes.begin, bytes.size());
    return out + bytes.size();
  }

  // Copies a piece of JSON that begins outside of strings, without white space.
  static uint8_t* compact(Span json, uint8_t* out) {
    bool in_string = false;
    for (const uint8_t* at = json.begin; at < json.end; ++at) {
      if (!in_string && is_whitespace(*at)) continue;
      *out++ = *at;
      if (*at == '"') in_string = !in_string;
      if (*at == '\\') *out++ = *++at;
    }
    return out;
  }

  uint8_t* begin_line(uint8_t* out) const {
    *out++ = '[';
    out = copy(window_id_, out);
    *out++ = ',';
    return out;
  }

  static uint8_t* end_line(uint8_t* out) {
    *out++ = ']';
    *out++ = '\n';
    return out;
  }

  Span window_id_;
};

// What was read from a line.
struct Line {
  Span event;  // points into the line
  bool has_time = false;
  double time = 0;      // the event's own `timestamp`, ms since 1970
  bool packed = false;  // the client packed the event (see unpack.hpp)
};

// The value of the last member `timestamp` of an event, an object in valid JSON; empty if there is no such member.
Span time_value(Span event);

// Reads one line, with or without its line break; nesting may be of any depth. False if it is not a window id and an
// object in JSON (its UTF-8 is not checked). Of several members of a name the last counts, as in a message.
bool read_line(Span text, Line& line);

}  // namespace recording
