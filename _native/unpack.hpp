// Events that the client has packed: `"cv": "2024-10"`, and in `data`, or in its texts, attributes,
// removes and adds, a string whose characters U+0000 to U+00FF are the bytes of a gzip of the field's
// JSON. Unpacked, an event has that JSON in place of the string, and no `cv`; all else stays as it is.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "text/buffer.hpp"
#include "tokens.hpp"

struct libdeflate_decompressor;

namespace simdjson::internal {
class dom_parser_implementation;
}

namespace recording {

class Unpacker {
 public:
  Unpacker();
  ~Unpacker();

  // Begins a message whose fields may unpack to `most` bytes, those of events that fail included.
  void start(size_t most);

  // Unpacks an event, which is valid JSON and has the number `index` in its message: events come in
  // order. False where a field is no gzip of JSON in Latin-1 characters, would nest too deep or pass
  // what the message may unpack to, or where a member that matters comes twice.
  bool unpack(Span event, uint32_t index);

  // The unpacked form of the event with the number `index`, or `event` itself where there is none.
  // To be asked for events in order; `rewind` goes back to the first.
  void rewind() { next_ = 0; }
  Span next(uint32_t index, Span event) {
    if (next_ == unpacked_.size() || unpacked_[next_].index != index) return event;
    const Unpacked& found = unpacked_[next_++];
    return {out_.data() + found.begin, out_.data() + found.end};
  }

  // Give back what grew past `most` bytes: what is not needed once all events are unpacked, and all.
  void shrink_inputs(size_t most);
  void shrink(size_t most);

 private:
  // Where an unpacked event stands in `out_`.
  struct Unpacked {
    size_t begin;
    size_t end;
    uint32_t index;
  };

  struct FreeDeflate {
    void operator()(libdeflate_decompressor* context) const;
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

  std::unique_ptr<libdeflate_decompressor, FreeDeflate> deflate_;
  std::unique_ptr<simdjson::internal::dom_parser_implementation> stage1_;
  Tokens tokens_;
  PaddedBuffer packed_;  // the gzip of one field
  PaddedBuffer out_;     // the unpacked events
  size_t size_ = 0;      // bytes of them
  std::vector<Unpacked> unpacked_;
  size_t next_ = 0;
  size_t left_ = 0;                  // bytes the message may still unpack to
  size_t in_vain_left_ = 0;          // bytes that may still be unpacked for nothing
  const uint8_t* copied_ = nullptr;  // up to where the event is in `out_`, or not to be there
};

// A block line with its event unpacked, in `out`; as it is if the client did not pack the event. The event's fields may
// unpack to `most` bytes. False if the text is no line, or its event can't be unpacked.
bool unpack_line(Span text, size_t most, std::string& out);

}  // namespace recording
