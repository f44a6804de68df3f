// Inflates the members of a gzip (RFC 1952).
#pragma once

#include <memory>

#include "text/cursor.hpp"

struct libdeflate_decompressor;

namespace recording {

// How an attempt to decompress into a given room ended.
enum class Step { done, corrupt, no_room };

uint32_t little_endian_32(const uint8_t* at);

// Whether bytes begin as a member does.
inline bool at_gzip_member(Span bytes) { return bytes.size() >= 2 && bytes.begin[0] == 0x1F && bytes.begin[1] == 0x8B; }

// Moves past the header of a member, and checks its CRC if it has one. False if `in` is not at such a header.
bool skip_gzip_header(Cursor& in);

class Gunzip {
 public:
  Gunzip();

  // Inflates the member whose header `in` is behind, and checks its CRC and size. Only if that succeeds, `in` moves
  // past the member, and `size` is set to the bytes written.
  Step member(Cursor& in, uint8_t* out, size_t room, size_t& size);

 private:
  struct Free {
    void operator()(libdeflate_decompressor* context) const;
  };

  // A context keeps the tables of the fixed Huffman codes until it reads other codes. Most fields that clients pack are
  // a few bytes with the fixed codes, and making the tables takes longer than inflating them. So these have their own.
  std::unique_ptr<libdeflate_decompressor, Free> context_, fixed_codes_context_;
};

}  // namespace recording
