#include "unpack.hpp"

#include <simdjson.h>

#include <algorithm>
#include <new>

#include "lines.hpp"
#include "text/unescape.hpp"

namespace recording {
namespace {

// The number of containers around the values of an event, and around the values of its data.
constexpr uint32_t event_depth = 4, data_depth = 5;

constexpr size_t least_room = 4096;

// A gzip's size field may promise this many times the gzip's own size; a larger promise gets less room at first.
constexpr size_t usual_expansion = 64;

// A message may have this many bytes unpacked in vain, beyond the bytes its fields may unpack to.
constexpr size_t most_in_vain = 64 << 20;

// These move past parts of a text that has been validated.

Span take_string(Cursor& in) {
  Span raw{++in.at, nullptr};
  for (;;) {
    const uint8_t* const quote = static_cast<const uint8_t*>(std::memchr(in.at, '"', in.left()));
    const uint8_t* before = quote;
    while (before > raw.begin && before[-1] == '\\') --before;
    in.at = quote + 1;
    raw.end = quote;
    if ((quote - before) % 2 == 0) return raw;
  }
}

Span take_key(Cursor& in) {
  in.skip_whitespace();
  const Span key = take_string(in);
  in.skip_whitespace();
  in.take();
  in.skip_whitespace();
  return key;
}

void skip_value(Cursor& in) {
  size_t depth = 0;
  do {
    const uint8_t c = in.peek();
    if (c == '"') {
      take_string(in);
      continue;
    }
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    ++in.at;
    if (depth == 0 && c != '}' && c != ']')
      while (in.peek() != ',' && in.peek() != '}' && in.peek() != ']' && !is_whitespace(in.peek())) ++in.at;
  } while (depth > 0);
}

}  // namespace

Unpacker::Unpacker() {
  if (simdjson::get_active_implementation()->create_dom_parser_implementation(1, 1, stage1_)) throw std::bad_alloc();
}

Unpacker::~Unpacker() = default;

void Unpacker::start(size_t most, size_t memory) {
  unpacked_.clear();
  size_ = next_ = 0;
  left_ = most;
  memory_ = memory;
  stopped_ = false;
  in_vain_left_ = most + most_in_vain;
}

void Unpacker::shrink_inputs(size_t most) {
  if (stage1_->capacity() * sizeof(uint32_t) > most && stage1_->set_capacity(1)) throw std::bad_alloc();
  packed_.shrink(most);
}

void Unpacker::shrink(size_t most) {
  shrink_inputs(most);
  out_.shrink(most);
  if (unpacked_.capacity() * sizeof(Unpacked) > most) std::vector<Unpacked>().swap(unpacked_);
}

bool Unpacker::unpack(Span event, uint32_t index) {
  const size_t begin = size_;
  if (!rewrite(event)) {
    size_ = begin;
    return false;
  }
  unpacked_.push_back({begin, size_, index});
  return true;
}

// Appends the part of the event from `copied_` to `end`.
void Unpacker::copy_until(const uint8_t* end) {
  const Span rest{copied_, end};
  if (size_ + rest.size() > out_.capacity())
    out_.grow(std::max(size_ + rest.size(), out_.capacity() + out_.capacity() / 2));
  std::memcpy(out_.data() + size_, rest.begin, rest.size());
  size_ += rest.size();
  copied_ = end;
}

bool Unpacker::rewrite(Span event) {
  Cursor in{event.begin + 1, event.end};
  copied_ = event.begin;
  const uint8_t* separator = nullptr;  // the comma before a member
  bool version_seen = false, data_seen = false;
  for (;;) {
    in.skip_whitespace();
    const uint8_t* const member = in.at;
    const Name key(take_key(in));
    if (key.is("cv")) {
      if (version_seen) return false;
      version_seen = true;
      copy_until(separator ? separator : member);
      skip_value(in);
      copied_ = in.at;
    } else if (key.is("data")) {
      if (data_seen) return false;
      data_seen = true;
      if (in.peek() == '"' ? !unpack_field(in, event_depth) : !unpack_data(in)) return false;
    } else {
      skip_value(in);
    }
    in.skip_whitespace();
    // If `cv` is the first member, the comma after it is left out too.
    if (version_seen && !separator && key.is("cv")) copied_ = in.at + (in.peek() == ',');
    separator = in.at;
    if (in.take() == '}') break;
  }
  copy_until(event.end);
  return true;
}

// Unpacks the fields of `data` that is not a string.
bool Unpacker::unpack_data(Cursor& in) {
  if (in.peek() != '{') {
    skip_value(in);
    return true;
  }
  bool seen[4] = {};
  in.take();
  in.skip_whitespace();
  if (in.take_if('}')) return true;
  do {
    const Name key(take_key(in));
    const int field = key.is("texts") ? 0 : key.is("attributes") ? 1 : key.is("removes") ? 2 : key.is("adds") ? 3 : -1;
    if (field >= 0) {
      if (seen[field]) return false;
      seen[field] = true;
    }
    if (field < 0 || in.peek() != '"')
      skip_value(in);
    else if (!unpack_field(in, data_depth))
      return false;
    in.skip_whitespace();
  } while (in.take() == ',');
  return true;
}

// Unpacks a string.
bool Unpacker::unpack_field(Cursor& in, uint32_t depth) {
  copy_until(in.at);
  in.take();
  packed_.reserve(in.left());
  const uint8_t* const end = unescape_latin1(in, packed_.data());
  if (!end) return false;
  copied_ = in.at;
  const size_t begin = size_;
  if (!inflate({packed_.data(), end}) || !is_json(begin, depth)) return false;
  if (holds_line_break({out_.data() + begin, out_.data() + size_})) compact(begin);
  return true;
}

// Appends the content of a gzip. As with message values, members are joined, and bytes after the last member are
// ignored.
bool Unpacker::inflate(Span packed) {
  Cursor in{packed.begin, packed.end};
  const size_t before = left_;
  do {
    if (inflate_member(in)) continue;
    spend_in_vain(before - left_);
    left_ = before;
    return false;
  } while (at_gzip_member({in.at, in.end}));
  return true;
}

void Unpacker::spend_in_vain(size_t bytes) { in_vain_left_ -= std::min(in_vain_left_, bytes); }

bool Unpacker::inflate_member(Cursor& in) {
  const size_t packed = in.left();
  if (in_vain_left_ == 0 || !skip_gzip_header(in)) return false;
  // The last four bytes are the size, if the sender is honest and this is the only member.
  size_t room = little_endian_32(in.end - 4);
  if (room > usual_expansion * packed) room = usual_expansion / 4 * packed;
  for (room = std::max(room, least_room);; room *= 4) {
    room = std::min(room, left_);
    if (size_ + room > memory_) {
      stopped_ = true;
      return false;
    }
    if (size_ + room > out_.capacity()) out_.grow(std::max(size_ + room, out_.capacity() + out_.capacity() / 2));
    size_t produced;
    const Step step = gunzip_.member(in, out_.data() + size_, room, produced);
    if (step == Step::done) {
      size_ += produced;
      left_ -= produced;
      return true;
    }
    spend_in_vain(room);  // it may have written all of it
    if (step != Step::no_room || room == left_ || in_vain_left_ == 0) return false;
  }
}

// Whether the bytes appended from `begin` on are one JSON value that may be nested this deep.
bool Unpacker::is_json(size_t begin, uint32_t depth) {
  // A blank follows it, so that a number or literal ends.
  uint8_t* const end = out_.data() + size_;
  *end = ' ';
  std::memset(end + 1, 0, padding - 1);
  const Span text{out_.data() + begin, end + 1};
  if (!escapes_valid(text)) return false;
  constexpr size_t step = 64 * 1024;
  if (stage1_->capacity() < text.size() && stage1_->set_capacity((text.size() / step + 1) * step))
    throw std::bad_alloc();
  if (stage1_->stage1(text.begin, text.size(), simdjson::stage1_mode::regular)) return false;
  tokens_.start(text, stage1_->structural_indexes.get());
  return tokens_.skip(tokens_.take(), depth) && tokens_.at_end();
}

// Removes the white space between the tokens of the JSON from `begin` on.
void Unpacker::compact(size_t begin) {
  const uint8_t* at = out_.data() + begin;
  const uint8_t* const end = out_.data() + size_;
  uint8_t* out = out_.data() + begin;
  for (bool in_string = false; at < end; ++at) {
    if (!in_string && is_whitespace(*at)) continue;
    if (*at == '"') in_string = !in_string;
    if (*at == '\\') *out++ = *at++;
    *out++ = *at;
  }
  size_ = static_cast<size_t>(out - out_.data());
}

bool unpack_line(Span text, size_t most, std::string& out) {
  Line line;
  if (!read_line(text, line)) return false;
  Span event = line.event;
  Unpacker unpacker;
  if (line.packed) {
    unpacker.start(most, no_limit);
    if (!unpacker.unpack(event, 0)) return false;
    event = unpacker.next(0, event);
  }
  out.clear();
  for (const Span part : {Span{text.begin, line.event.begin}, event, Span{line.event.end, text.end}})
    out.append(reinterpret_cast<const char*>(part.begin), part.size());
  return true;
}

}  // namespace recording
