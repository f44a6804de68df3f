// Unpacks events that the client packed. Such an event has `"cv": "2024-10"`, and packed fields: its `data`, or any of
// data's texts, attributes, removes and adds. A packed field is a string whose characters U+0000 to U+00FF are the
// bytes of a gzip of the field's JSON. The unpacked event has that JSON instead of the string, and no `cv`. All else
// stays.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gzip.hpp"
#include "text/buffer.hpp"
#include "tokens.hpp"

namespace simdjson::internal {
class dom_parser_implementation;
}

namespace recording {

class Unpacker {
 public:
  Unpacker();
  ~Unpacker();

  // Begins a message. Its fields may unpack to `most` bytes together, and fields of events that fail count too. The
  // memory for them may not grow past `memory`.
  void start(size_t most, size_t memory);

  // Unpacks an event. It must be valid JSON; `index` is its number in the message, and events come in order. False if a
  // field is not a gzip of JSON in Latin-1 characters, nests too deep, or holds more than the message may unpack to, or
  // if the event has `cv`, `data` or a packed field twice.
  bool unpack(Span event, uint32_t index);

  // Whether an event of this message was given up, because the unpacked events would take more memory than they may for
  // now.
  bool stopped() const { return stopped_; }

  // The bytes that the unpacked events take until the next `shrink`.
  size_t memory() const { return out_.capacity(); }

  // Returns the unpacked form of the event with the number `index`, or `event` itself if it was not unpacked. Call it
  // for events in order; `rewind` goes back to the first.
  void rewind() { next_ = 0; }
  Span next(uint32_t index, Span event) {
    if (next_ == unpacked_.size() || unpacked_[next_].index != index) return event;
    const Unpacked& found = unpacked_[next_++];
    return {out_.data() + found.begin, out_.data() + found.end};
  }

  // Free what grew past `most` bytes: `shrink_inputs` what is not needed after all events are unpacked, `shrink` all.
  void shrink_inputs(size_t most);
  void shrink(size_t most);

 private:
  // The place of an unpacked event in `out_`.
  struct Unpacked {
    size_t begin;
    size_t end;
    uint32_t index;
  };

  bool rewrite(Span event);
  bool unpack_data(Cursor& in);
  bool unpack_field(Cursor& in, uint32_t depth);
  bool inflate(Span packed);
  bool inflate_member(Cursor& in);
  void spend_in_vain(size_t bytes);
  bool is_json(size_t begin, uint32_t depth);
  void compact(size_t begin);
  void copy_until(const uint8_t* end);

  Gunzip gunzip_;
  std::unique_ptr<simdjson::internal::dom_parser_implementation> stage1_;
  Tokens tokens_;
  PaddedBuffer packed_;  // the gzip of one field
  PaddedBuffer out_;     // the unpacked events
  size_t size_ = 0;      // bytes used of `out_`
  std::vector<Unpacked> unpacked_;
  size_t next_ = 0;
  size_t left_ = 0;    // bytes the message may still unpack to
  size_t memory_ = 0;  // bytes that `out_` may use
  bool stopped_ = false;
  size_t in_vain_left_ = 0;          // bytes that may still be unpacked and thrown away
  const uint8_t* copied_ = nullptr;  // the event is in `out_`, or left out, up to here
};

// Sets `out` to a block line with its event unpacked, or to the same line if the client did not pack the event. The
// event's fields may unpack to `most` bytes together. False if the text is no line, or its event can't be unpacked.
bool unpack_line(Span text, size_t most, std::string& out);

}  // namespace recording
