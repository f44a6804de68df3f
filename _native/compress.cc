#include "compress.hpp"

#include <zstd.h>
#include <zstd_errors.h>

#include <cstring>
#include <stdexcept>

#include "snappy.hpp"
#include "test_hooks.hpp"

namespace recording {
namespace {

// Levels up to 16 have smaller windows, of 512 KiB at level 1. A block that is larger has much to find further back,
// such as the last full snapshot. Whole sessions become 25 % smaller at level 1, and no slower. Frames with a window of
// up to 8 MiB can be read anywhere (RFC 8878, 3.1.1.1.2).
constexpr int window_log = 22;
constexpr int last_level_with_a_smaller_window = 16;

// Level 1 has 14. With 15 a dictionary saves what it saves at level 3.
constexpr int level_1_hash_log = 15;

struct FreeZstd {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

// No error but a lack of memory can happen: the parameters are valid, and the output has room.
size_t checked(size_t result) {
  if (!ZSTD_isError(result)) return result;
  if (ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation) throw std::bad_alloc();
  throw std::runtime_error(ZSTD_getErrorName(result));
}

class ZstdCodec final : public Codec {
 public:
  explicit ZstdCodec(int level) : context_(ZSTD_createCCtx()) {
    if (!context_) throw std::bad_alloc();
    set(ZSTD_c_compressionLevel, level);
    set(ZSTD_c_checksumFlag, 1);
    if (level <= last_level_with_a_smaller_window) set(ZSTD_c_windowLog, window_log);
    if (level == 1) set(ZSTD_c_hashLog, level_1_hash_log);
  }

  // Prepares the dictionary for all frames. False if it is not valid.
  bool load(Span dictionary) {
    if (ZSTD_getDictID_fromDict(dictionary.begin, dictionary.size()) == 0) return false;
    checked(ZSTD_CCtx_loadDictionary(context_.get(), dictionary.begin, dictionary.size()));
    // zstd looks at the dictionary when it is used for the first time.
    uint8_t frame[64];
    return !ZSTD_isError(ZSTD_compress2(context_.get(), frame, sizeof frame, nullptr, 0));
  }

  size_t bound(size_t size) const override { return ZSTD_compressBound(size); }

  size_t compress(const BlockLines& lines, uint8_t* out) override {
    const size_t room = bound(lines.size);
    if (lines.slices->size() == 1) {
      return checked(ZSTD_compress2(context_.get(), out, room, lines.slices->front().begin, lines.size));
    }
    checked(ZSTD_CCtx_reset(context_.get(), ZSTD_reset_session_only));
    checked(ZSTD_CCtx_setPledgedSrcSize(context_.get(), lines.size));
    ZSTD_outBuffer output{out, room, 0};
    for (const Span slice : *lines.slices) {
      ZSTD_inBuffer input{slice.begin, slice.size(), 0};
      while (input.pos < input.size) checked(ZSTD_compressStream2(context_.get(), &output, &input, ZSTD_e_continue));
    }
    ZSTD_inBuffer nothing{nullptr, 0, 0};
    if (checked(ZSTD_compressStream2(context_.get(), &output, &nothing, ZSTD_e_end)) != 0) {
      throw std::runtime_error("a zstd frame is larger than its bound");
    }
    return output.pos;
  }

 private:
  void set(ZSTD_cParameter parameter, int value) { checked(ZSTD_CCtx_setParameter(context_.get(), parameter, value)); }

  std::unique_ptr<ZSTD_CCtx, FreeZstd> context_;
};

class SnappyCodec final : public Codec {
 public:
  size_t bound(size_t size) const override { return SnappyEncoder::bound(size); }
  size_t compress(const BlockLines& lines, uint8_t* out) override {
    return encoder_.encode(*lines.slices, lines.size, out);
  }

 private:
  SnappyEncoder encoder_;
};

}  // namespace

std::unique_ptr<Codec> make_zstd_codec(int level, Span dictionary) {
  auto codec = std::make_unique<ZstdCodec>(level);
  if (dictionary.begin && !codec->load(dictionary)) return nullptr;
  return codec;
}

std::unique_ptr<Codec> make_snappy_codec() { return std::make_unique<SnappyCodec>(); }

CompressedBlocks BlockCompressor::compress(const BlockLines* blocks, size_t count, size_t gap) {
  if (!count) return {};
  for (const BlockLines* block = blocks; block != blocks + count; ++block) run_flush_hooks(*block->slices);
  if (!chunk_) chunk_ = pool_->take(ChunkPool::chunk_bytes, ChunkUse::blocks);
  if (!has_room(gap, codec_->bound(blocks->size))) return compress_aside(*blocks, gap);
  CompressedBlocks done;
  done.chunk = chunk_;
  done.bytes.begin = chunk_->bytes + chunk_->used;
  size_t size = 0;
  for (const BlockLines* block = blocks; block != blocks + count && size < lines_per_call; ++block) {
    if (!has_room(gap, codec_->bound(block->size))) break;
    done.lengths.push_back(codec_->compress(*block, chunk_->bytes + chunk_->used + gap));
    chunk_->used += gap + done.lengths.back();
    size += block->size;
  }
  done.bytes.end = chunk_->bytes + chunk_->used;
  return done;
}

CompressedBlocks BlockCompressor::compress_aside(const BlockLines& block, size_t gap) {
  ChunkRef aside = pool_->take(gap + codec_->bound(block.size), ChunkUse::blocks);
  const size_t size = codec_->compress(block, aside->bytes + gap);
  if (size > ChunkPool::chunk_bytes / 2) return {aside, {aside->bytes, aside->bytes + gap + size}, {size}};
  if (!has_room(gap, size)) chunk_ = pool_->take(gap + size, ChunkUse::blocks);
  uint8_t* const begin = chunk_->bytes + chunk_->used;
  std::memcpy(begin + gap, aside->bytes + gap, size);
  chunk_->used += gap + size;
  return {chunk_, {begin, begin + gap + size}, {size}};
}

}  // namespace recording
