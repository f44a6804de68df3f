// Decompresses message values: plain, gzip, lz4 or zstd.
//
// The content-encoding header says the encoding: exactly lz4, zstd or gzip. Any other name is unknown, and so is an
// empty one. If there is no header, the magic bytes of gzip and zstd decide; a value without them is plain.
#pragma once

#include <memory>

#include "gzip.hpp"
#include "reason.hpp"
#include "text/buffer.hpp"
#include "text/cursor.hpp"

struct ZSTD_DCtx_s;

namespace recording {

enum class Encoding : uint8_t { plain, gzip, lz4, zstd, unknown };
inline constexpr int encoding_count = 4;
inline constexpr const char* encoding_names[encoding_count] = {"plain", "gzip", "lz4", "zstd"};

// `content_encoding` is a null span if the message has no such header.
Encoding encoding_of(Span value, Span content_encoding);

class Decompressor {
 public:
  explicit Decompressor(size_t max_bytes);

  // Sets `text` to the decompressed value, of at most max_bytes. A plain value is its own text. Otherwise the text is
  // in a buffer of this object, valid until the next call. Size fields of the input are hints for the first
  // allocation only; the buffer never grows past max_bytes and a constant.
  // Reasons: INVALID_COMPRESSED_DATA, PAYLOAD_TOO_LARGE.
  Reason decompress(Span value, Encoding encoding, Span& text);

  // Frees the buffer if it grew past `most` bytes.
  void shrink(size_t most) { out_.shrink(most); }

 private:
  Reason gzip(Cursor in);
  Reason lz4(Cursor in);
  Reason zstd(Cursor in);
  Step gzip_member(Cursor& in);
  Step zstd_frame(Span frame);
  Reason zstd_too_large_or_corrupt(Span frame);
  template <class Attempt>
  Reason with_room(size_t hint, Attempt attempt);

  struct FreeZstd {
    void operator()(ZSTD_DCtx_s* context) const;
  };

  const size_t max_bytes_;
  PaddedBuffer out_;
  size_t size_ = 0;  // bytes of out_ that hold text
  Gunzip gunzip_;
  std::unique_ptr<ZSTD_DCtx_s, FreeZstd> zstd_;
};

}  // namespace recording
