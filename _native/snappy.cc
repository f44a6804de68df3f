#include "snappy.hpp"

#include <algorithm>
#include <cstring>

namespace recording {
namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

// The end of a piece is not searched, so that loads and copies of whole words stay inside of it.
constexpr size_t tail_bytes = 24;
constexpr size_t least_match = 4;

// Between two matches, the distance of the positions that are tried grows by a byte every 32 trials. In a short piece
// it begins at one byte. In a longer one it begins at two: that costs few bytes and saves a quarter of the time.
constexpr unsigned step_shift = 5;
constexpr size_t short_piece = 16 << 10;

uint64_t load64(const uint8_t* at) {
  uint64_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

uint32_t load32(const uint8_t* at) {
  uint32_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// Of six bytes. With four, many matches are found that are hardly longer than their copies.
uint32_t hash(uint64_t bytes, unsigned bits) {
  return static_cast<uint32_t>(((bytes << 16) * 0x9E3779B185EBCA87u) >> (64 - bits));
}

uint8_t* write_varint(uint8_t* out, size_t value) {
  for (; value >= 0x80; value >>= 7) *out++ = static_cast<uint8_t>(value | 0x80);
  *out++ = static_cast<uint8_t>(value);
  return out;
}

uint8_t* write_literal_tag(uint8_t* out, size_t size) {
  const size_t rest = size - 1;
  if (rest < 60) {
    *out++ = static_cast<uint8_t>(rest << 2);
    return out;
  }
  const unsigned bytes = rest < 1 << 8 ? 1 : rest < 1 << 16 ? 2 : rest < 1 << 24 ? 3 : 4;
  *out++ = static_cast<uint8_t>((59 + bytes) << 2);
  for (unsigned i = 0; i < bytes; ++i) *out++ = static_cast<uint8_t>(rest >> 8 * i);
  return out;
}

uint8_t* write_literal(uint8_t* out, const uint8_t* bytes, size_t size) {
  out = write_literal_tag(out, size);
  std::memcpy(out, bytes, size);
  return out + size;
}

// At least 16 bytes can be read from `bytes`, and written.
uint8_t* write_literal_inside(uint8_t* out, const uint8_t* bytes, size_t size) {
  if (size > 16) return write_literal(out, bytes, size);
  *out++ = static_cast<uint8_t>((size - 1) << 2);
  std::memcpy(out, bytes, 16);
  return out + size;
}

// A copy of at most 64 bytes, in the short form if that can hold it.
uint8_t* write_one_copy(uint8_t* out, size_t offset, size_t size) {
  const bool is_short = size < 12 && offset < 2048;
  *out++ = static_cast<uint8_t>(is_short ? offset >> 8 << 5 | (size - 4) << 2 | 1 : (size - 1) << 2 | 2);
  *out++ = static_cast<uint8_t>(offset);
  if (!is_short) *out++ = static_cast<uint8_t>(offset >> 8);
  return out;
}

uint8_t* write_copy(uint8_t* out, size_t offset, size_t size) {
  // No copy has fewer than 4 bytes, so that the last one may be short.
  for (; size >= 64 + least_match; size -= 64) out = write_one_copy(out, offset, 64);
  if (size > 64) {
    out = write_one_copy(out, offset, 60);
    size -= 60;
  }
  return write_one_copy(out, offset, size);
}

// Where the bytes from `at` on end to be equal to those `offset` bytes before.
size_t match_end(Span piece, size_t at, size_t offset) {
  const uint8_t* const bytes = piece.begin;
  for (; at + 8 <= piece.size(); at += 8) {
    const uint64_t different = load64(bytes + at) ^ load64(bytes + at - offset);
    if (different) return at + static_cast<size_t>(__builtin_ctzll(different)) / 8;
  }
  while (at < piece.size() && bytes[at] == bytes[at - offset]) ++at;
  return at;
}

}  // namespace

size_t SnappyEncoder::encode(const std::vector<Span>& slices, size_t size, uint8_t* out) {
  uint8_t* end = write_varint(out, size);
  if (slices.size() == 1) return static_cast<size_t>(encode_piece(slices.front(), end) - out);
  if (!scratch_) scratch_ = std::make_unique<uint8_t[]>(scratch_bytes);
  size_t held = 0;
  for (Span rest : slices) {
    while (!rest.empty()) {
      if (!held && rest.size() >= large_slice) {
        end = encode_piece(rest, end);
        break;
      }
      const size_t count = std::min(rest.size(), scratch_bytes - held);
      std::memcpy(scratch_.get() + held, rest.begin, count);
      held += count;
      rest.begin += count;
      if (held < scratch_bytes) continue;
      end = encode_piece({scratch_.get(), scratch_.get() + held}, end);
      held = 0;
    }
  }
  return static_cast<size_t>(encode_piece({scratch_.get(), scratch_.get() + held}, end) - out);
}

// No match reaches into another piece.
uint8_t* SnappyEncoder::encode_piece(Span piece, uint8_t* out) {
  const Progress done = piece.size() > tail_bytes ? encode_matches(piece, out) : Progress{0, out};
  if (done.read == piece.size()) return done.out;
  return write_literal(done.out, piece.begin + done.read, piece.size() - done.read);
}

// Reads up to the end of the last match. What follows is a literal.
SnappyEncoder::Progress SnappyEncoder::encode_matches(Span piece, uint8_t* out) {
  const uint8_t* const bytes = piece.begin;
  const size_t limit = piece.size() - tail_bytes;
  const unsigned first_step = (piece.size() < short_piece ? 1u : 2u) << step_shift;
  unsigned bits = 8;
  while (bits < table_bits && size_t{2} << bits <= piece.size()) ++bits;
  std::memset(table_, 0, sizeof(uint16_t) << bits);

  // The distance to the last position with these bytes, or 0. Remembers this one.
  const auto find = [&](size_t at) -> size_t {
    const uint64_t here = load64(bytes + at);
    uint16_t& last = table_[hash(here, bits)];
    const size_t offset = static_cast<uint16_t>(at - last);
    last = static_cast<uint16_t>(at);
    return offset && offset <= at && load32(bytes + at - offset) == static_cast<uint32_t>(here) ? offset : 0;
  };

  size_t done = 0;
  for (size_t at = 1; at < limit; ++at) {
    size_t offset;
    for (unsigned step = first_step; !(offset = find(at)); ++step) {
      at += step >> step_shift;
      if (at >= limit) return {done, out};
    }
    size_t begin = at;
    while (begin > done && begin > offset && bytes[begin - 1] == bytes[begin - 1 - offset]) --begin;
    if (begin > done) out = write_literal_inside(out, bytes + done, begin - done);
    do {
      done = match_end(piece, at + least_match, offset);
      out = write_copy(out, offset, done - begin);
      if (done >= limit) return {done, out};
      begin = at = done;
      table_[hash(load64(bytes + at - 1), bits)] = static_cast<uint16_t>(at - 1);
    } while ((offset = find(at)));
  }
  return {done, out};
}

}  // namespace recording
