// A walk over the tokens that simdjson's first stage found: each structural character, and the first byte of each
// string, number and literal. The first stage has checked that strings are closed and free of control characters. The
// walk checks everything else.
#pragma once

#include <memory>

#include "text/json_text.hpp"

namespace recording {

class Tokens {
 public:
  // The last of `indexes` points at the zero byte behind the text. That byte is no JSON, so a reader that takes it
  // fails, and reads no further.
  void start(Span text, const uint32_t* indexes) {
    text_ = text.begin;
    end_ = text.end;
    at_ = indexes;
    too_deep_ = false;
  }

  uint8_t take() { return text_[*at_++]; }
  bool at_end() const { return text_ + *at_ == end_; }
  bool too_deep() const { return too_deep_; }
  uint32_t position() const { return at_[-1]; }  // of the last token taken
  const uint8_t* token() const { return text_ + at_[-1]; }

  // The bytes between the quotes of the string that was taken last.
  Span string() const {
    const uint8_t* quote = text_ + *at_;
    do --quote;
    while (is_whitespace(*quote));
    return {token() + 1, quote};
  }

  // Each of these gets the first byte of a value, already taken, and moves past that value. They return false if the
  // text is no JSON.
  bool skip(uint8_t first, uint32_t depth);
  bool read_number(double& value);
  bool read_string(uint8_t first, uint32_t depth, RawString& out) {
    if (first == '"') {
      out = {string(), RawString::string};
      return true;
    }
    out = {{}, RawString::other};
    return skip(first, depth);
  }

  // Moves past an object whose brace is taken. Calls read(key, first byte of the value) for each member.
  template <class Read>
  bool members(Read read) {
    uint8_t c = take();
    if (c == '}') return true;
    for (;;) {
      if (c != '"') return false;
      const Name key(string());
      if (take() != ':') return false;
      if (!read(key, take())) return false;
      c = take();
      if (c == '}') return true;
      if (c != ',') return false;
      c = take();
    }
  }

  // Moves past an array whose bracket is taken. Calls read(first byte of the value) for each element.
  template <class Read>
  bool elements(Read read) {
    uint8_t c = take();
    if (c == ']') return true;
    for (;;) {
      if (!read(c)) return false;
      c = take();
      if (c == ']') return true;
      if (c != ',') return false;
      c = take();
    }
  }

 private:
  bool number_valid(const uint8_t* at, const uint8_t* next) const;
  bool any_number_valid(const uint8_t* at, const uint8_t*& end) const;
  bool literal_valid(const uint8_t* at) const;
  bool open(uint32_t& depth, bool object);

  const uint8_t* text_ = nullptr;
  const uint8_t* end_ = nullptr;
  const uint32_t* at_ = nullptr;
  bool too_deep_ = false;
  bool object_[max_depth + 1];  // for each open level of the value being skipped: object or array
};

}  // namespace recording
