#include "snappy.hpp"

#include <algorithm>
#include <cstring>

#include "simd/bytes16.hpp"

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

// A field that the client packed is a string that begins with the first byte of a gzip, and then the second, escaped or
// not. Only escapes repeat in it.
constexpr char packed_begin[] = "\"\\u001f";
constexpr size_t packed_begin_size = sizeof packed_begin - 1;
constexpr char gzip_second[] = "\xC2\x8B", gzip_second_escaped[] = "\\u008b";

// This many bytes of a packed field are searched like all else. Two fields that begin alike may be equal, and short
// ones often are alike.
constexpr size_t searched_bytes = 1024;

constexpr size_t escape_size = 6;  // as in \u001f

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

// At least 16 bytes can be read from where the literal ends, and written.
uint8_t* write_literal_inside(uint8_t* out, const uint8_t* bytes, size_t size) {
  if (size > 32) return write_literal(out, bytes, size);
  *out++ = static_cast<uint8_t>((size - 1) << 2);
  std::memcpy(out, bytes, 16);
  if (size > 16) std::memcpy(out + 16, bytes + 16, 16);
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

// The places of `first` among 64 bytes, one bit a byte.
uint64_t places(const uint8_t* at, bytes16::Bytes first) {
  const auto in = [&](int i) { return bytes16::equal(bytes16::load(at + 16 * i), first); };
  return bytes16::bits(in(0), in(1), in(2), in(3));
}

bool begins_packed(const uint8_t* at) {
  if (std::memcmp(at, packed_begin, packed_begin_size) != 0) return false;
  at += packed_begin_size;
  return std::memcmp(at, gzip_second, sizeof gzip_second - 1) == 0 ||
         std::memcmp(at, gzip_second_escaped, sizeof gzip_second_escaped - 1) == 0;
}

// Where the string ends that `begin` is in, or `limit` if it does not end before.
size_t string_end(Span piece, size_t begin, size_t limit) {
  for (size_t at = begin;; ++at) {
    const void* const quote = std::memchr(piece.begin + at, '"', limit - at);
    if (!quote) return limit;
    at = static_cast<size_t>(static_cast<const uint8_t*>(quote) - piece.begin);
    size_t escapes = at;
    while (escapes > begin && piece.begin[escapes - 1] == '\\') --escapes;
    if ((at - escapes) % 2 == 0) return at;
  }
}

// Where the next packed field from `at` on has been searched for long enough, or `limit`.
size_t next_packed(Span piece, size_t at, size_t limit) {
  const bytes16::Bytes quote = bytes16::all('"'), backslash = bytes16::all('\\');
  for (; at + 65 <= piece.size() && at < limit; at += 64) {
    uint64_t found = places(piece.begin + at, quote) & places(piece.begin + at + 1, backslash);
    for (; found; found &= found - 1) {
      const size_t begin = at + static_cast<size_t>(__builtin_ctzll(found));
      if (begin + searched_bytes >= limit || !begins_packed(piece.begin + begin)) continue;
      const size_t searched = begin + searched_bytes;
      if (string_end(piece, begin + 1, searched) == searched) return searched;
    }
  }
  return limit;
}

unsigned hex_digit(uint8_t c) { return (c & 0xF) + 9u * (c >> 6); }

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
uint8_t* SnappyEncoder::encode_piece(Span bytes, uint8_t* out) {
  Piece piece{bytes, bytes.size() > tail_bytes ? bytes.size() - tail_bytes : 0, 0, out};
  bits_ = 8;
  while (bits_ < table_bits && size_t{2} << bits_ <= bytes.size()) ++bits_;
  std::memset(table_, 0, sizeof(uint16_t) << bits_);
  std::memset(escapes_, 0, sizeof escapes_);
  for (size_t at = 1; at < piece.limit;) {
    const size_t packed = next_packed(bytes, at, piece.limit);
    encode_matches(piece, at, packed);
    if (packed == piece.limit) break;
    at = std::max(encode_packed(piece, packed), piece.done);
  }
  if (piece.done == bytes.size()) return piece.out;
  return write_literal(piece.out, bytes.begin + piece.done, bytes.size() - piece.done);
}

// The distance to the last position with these bytes, or 0. Remembers this one.
inline size_t SnappyEncoder::find(const Piece& piece, size_t at) {
  const uint8_t* const bytes = piece.bytes.begin;
  const uint64_t here = load64(bytes + at);
  uint16_t& last = table_[hash(here, bits_)];
  const size_t offset = static_cast<uint16_t>(at - last);
  last = static_cast<uint16_t>(at);
  return offset && offset <= at && load32(bytes + at - offset) == static_cast<uint32_t>(here) ? offset : 0;
}

// Writes up to the end of the last match that begins between two positions. What follows is a literal.
void SnappyEncoder::encode_matches(Piece& piece, size_t begin, size_t end) {
  const uint8_t* const bytes = piece.bytes.begin;
  const unsigned first_step = (piece.bytes.size() < short_piece ? 1u : 2u) << step_shift;
  size_t done = piece.done;
  uint8_t* out = piece.out;
  for (size_t at = std::max(begin, done); at < end; ++at) {
    size_t offset = 0;
    for (unsigned step = first_step; !(offset = find(piece, at)); ++step) {
      at += step >> step_shift;
      if (at >= end) break;
    }
    if (!offset) break;
    size_t from = at;
    while (from > done && from > offset && bytes[from - 1] == bytes[from - 1 - offset]) --from;
    if (from > done) out = write_literal_inside(out, bytes + done, from - done);
    do {
      done = match_end(piece.bytes, at + least_match, offset);
      out = write_copy(out, offset, done - from);
      if (done >= end) break;
      from = at = done;
      table_[hash(load64(bytes + at - 1), bits_)] = static_cast<uint16_t>(at - 1);
    } while ((offset = find(piece, at)));
    if (done >= end) break;
  }
  piece.done = done;
  piece.out = out;
}

// Writes a copy, and what is before it as a literal.
inline void SnappyEncoder::Piece::write_match(size_t begin, size_t offset, size_t end) {
  if (begin > done) out = write_literal_inside(out, bytes.begin + done, begin - done);
  out = end - begin <= 64 ? write_one_copy(out, offset, end - begin) : write_copy(out, offset, end - begin);
  done = end;
}

// Writes up to the last match in the packed field that this is in. Returns where the field ends, or a position in it
// if the piece ends soon.
size_t SnappyEncoder::encode_packed(Piece& piece, size_t begin) {
  const uint8_t* const bytes = piece.bytes.begin;
  const bytes16::Bytes quote = bytes16::all('"'), backslash = bytes16::all('\\');
  size_t at = std::max(begin, piece.done);
  while (bytes[at - 1] == '\\') --at;  // so that it is between two escapes
  while (at < piece.limit && at + 64 <= piece.bytes.size()) {
    const size_t window = at;
    uint64_t found = places(bytes + window, quote) | places(bytes + window, backslash);
    for (; found; found &= found - 1) {
      const size_t place = window + static_cast<size_t>(__builtin_ctzll(found));
      if (place < at) continue;
      if (place >= piece.limit || bytes[place] == '"') return place;
      at = encode_escape(piece, place);
    }
    at = std::max(at, window + 64);
  }
  return at;
}

// Writes an escape as a copy of the last one of the same character, if there is one. Returns what follows.
size_t SnappyEncoder::encode_escape(Piece& piece, size_t at) {
  const uint8_t* const escape = piece.bytes.begin + at;
  if (at < piece.done || std::memcmp(escape, "\\u00", 4) != 0) return at + 2;
  uint16_t& last = escapes_[(hex_digit(escape[4]) << 4 | hex_digit(escape[5])) & 0xFF];
  const size_t offset = static_cast<uint16_t>(at - last);
  last = static_cast<uint16_t>(at);
  if (offset && offset <= at && std::memcmp(escape, escape - offset, escape_size) == 0)
    piece.write_match(at, offset, at + escape_size);
  return at + escape_size;
}

}  // namespace recording
