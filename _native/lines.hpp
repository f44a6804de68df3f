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
  uint8_t* write(Span event, uint8_t* out) const {
    out = begin_line(out);
    std::memcpy(out, event.begin, event.size());
    return end_line(out + event.size());
  }

  // Writes the line of an event that holds line breaks, without the white space between its tokens.
  uint8_t* write_compacted(Span event, uint8_t* out) const {
    out = begin_line(out);
    bool in_string = false;
    for (const uint8_t* at = event.begin; at < event.end; ++at) {
      if (!in_string && is_whitespace(*at)) continue;
      *out++ = *at;
      if (*at == '"') in_string = !in_string;
      if (*at == '\\') *out++ = *++at;
    }
    return end_line(out);
  }

 private:
  uint8_t* begin_line(uint8_t* out) const {
    *out++ = '[';
    std::memcpy(out, window_id_.begin, window_id_.size());
    out += window_id_.size();
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

// Reads one line, with or without its line break; nesting may be of any depth. False if it is not a window id and an
// object in JSON (its UTF-8 is not checked). Of several members of a name the last counts, as in a message.
bool read_line(Span text, Line& line);

}  // namespace recording
