// Compresses raw snappy, the format without framing that google/snappy describes in its format_description.txt.
#pragma once

#include <memory>
#include <vector>

#include "text/cursor.hpp"

namespace recording {

class SnappyEncoder {
 public:
  // The most bytes that a text of `size` bytes takes while it is written, with some to spare.
  static size_t bound(size_t size) { return 32 + size + size / 6; }

  // Writes slices of `size` bytes in all, at most 4 GiB, as one text. `out` has room for bound(size) bytes. Returns how
  // many are written.
  size_t encode(const std::vector<Span>& slices, size_t size, uint8_t* out);

 private:
  // A slice of at least this size is read where it is. Smaller ones are copied, so that a match may begin in one and
  // end in the next.
  static constexpr size_t large_slice = 64 << 10;
  static constexpr size_t scratch_bytes = 256 << 10;
  static constexpr unsigned table_bits = 13;

  // A slice that is being written. Its bytes before `done` are.
  struct Piece {
    Span bytes;
    size_t limit;  // no match begins here or later
    size_t done;
    uint8_t* out;

    void write_match(size_t begin, size_t offset, size_t end);
  };

  uint8_t* encode_piece(Span bytes, uint8_t* out);
  void encode_matches(Piece& piece, size_t begin, size_t end);
  size_t encode_packed(Piece& piece, size_t begin);
  size_t encode_escape(Piece& piece, size_t at);
  size_t find(const Piece& piece, size_t at);

  // The low 16 bits of the position that was last seen, by the hash of the bytes there. They tell any distance that a
  // copy can have.
  uint16_t table_[1 << table_bits];
  unsigned bits_ = 0;         // of the hashes in this piece
  uint16_t escapes_[1 << 8];  // likewise, by the character that is escaped
  std::unique_ptr<uint8_t[]> scratch_;
};

}  // namespace recording
