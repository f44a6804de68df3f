// A walk over a JSON text byte by byte, for texts that are read once and are mostly strings. It validates everything it
// moves past, except UTF-8.
#pragma once

#include <vector>

#include "text/cursor.hpp"
#include "text/json_text.hpp"

namespace recording {

// The kind of each open container, one bit a level.
class Nesting {
 public:
  explicit Nesting(uint32_t limit) : limit_(limit) {}

  uint32_t depth() const { return depth_; }
  bool in_object() const { return bits_[(depth_ - 1) / 64] >> ((depth_ - 1) % 64) & 1; }

  // False if `limit` containers are open already.
  bool open(bool object) {
    if (depth_ == limit_) return false;
    if (depth_ / 64 == bits_.size()) bits_.push_back(0);
    const uint64_t bit = uint64_t{1} << (depth_ % 64);
    uint64_t& word = bits_[depth_ / 64];
    word = object ? word | bit : word & ~bit;
    ++depth_;
    return true;
  }
  void close() { --depth_; }

 private:
  const uint32_t limit_;
  uint32_t depth_ = 0;
  std::vector<uint64_t> bits_;
};

// Moves past a string whose opening quote is taken. Sets `raw` to the bytes between the quotes.
bool skip_string(Cursor& in, Span& raw);

// Moves past `"key" :` and the white space around it.
bool skip_key(Cursor& in, Span& key);

// Moves past any value, without recursion.
bool skip_value(Cursor& in, Nesting& nesting);

// Moves past an object whose brace is taken. Calls read(key) for each member, with `in` at the value. `read` must move
// past the value, or return false if the text is no JSON.
template <class Read>
bool skip_members(Cursor& in, Nesting& nesting, Read read) {
  if (!nesting.open(true)) return false;
  in.skip_whitespace();
  if (!in.take_if('}')) {
    do {
      in.skip_whitespace();
      Span key;
      if (!skip_key(in, key) || !read(Name(key))) return false;
      in.skip_whitespace();
    } while (in.take_if(','));
    if (!in.take_if('}')) return false;
  }
  nesting.close();
  return true;
}

}  // namespace recording
