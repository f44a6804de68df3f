// Compresses the blocks of a batch file. Each block is compressed by itself, so that a reader can read one alone.
#pragma once

#include <memory>
#include <vector>

#include "columns.hpp"

namespace recording {

// The lines of one block, where they are in memory: slices of `size` bytes in all.
struct BlockLines {
  const std::vector<Span>* slices = nullptr;
  size_t size = 0;
};

// Compresses one block after the other. Keeps its memory between blocks.
class Codec {
 public:
  virtual ~Codec() = default;

  // The most bytes that a block of `size` bytes may take.
  virtual size_t bound(size_t size) const = 0;

  // Writes the compressed block to `out`, which has room for bound(lines.size) bytes, and returns its size. Throws
  // std::bad_alloc.
  virtual size_t compress(const BlockLines& lines, uint8_t* out) = 0;
};

// Each block becomes one zstd frame with its content size and a checksum. If there is a dictionary, the frame has its
// id too. Null if `dictionary` is not a zstd dictionary with an id; a null span means no dictionary.
std::unique_ptr<Codec> make_zstd_codec(int level, Span dictionary);

// Each block becomes raw snappy, without framing.
std::unique_ptr<Codec> make_snappy_codec();

// Compressed blocks, one directly after the other, or with a gap before each.
struct CompressedBlocks {
  ChunkRef chunk;  // keeps the bytes
  Span bytes;
  std::vector<size_t> lengths;  // of each block
};

class BlockCompressor {
 public:
  // Bytes of lines that one call compresses, unless one block is larger. Compressing that much costs far more than the
  // call, and it can be stored while the next lines are compressed.
  static constexpr size_t lines_per_call = 4 << 20;

  // What a pool of compressed blocks alone keeps.
  static constexpr size_t kept_bytes = 16 << 20;

  // Writes blocks to chunks of the pool. The pool of the lines lets blocks have the memory that lines had before.
  explicit BlockCompressor(std::unique_ptr<Codec> codec,
                           std::shared_ptr<ChunkPool> pool = std::make_shared<ChunkPool>(kept_bytes))
      : codec_(std::move(codec)), pool_(std::move(pool)) {}

  // Compresses the first of `count` blocks, and as many after it as lines_per_call and the chunk have room for. Leaves
  // `gap` bytes before each, for the caller to write to. Blocks must not be empty. Throws std::bad_alloc.
  CompressedBlocks compress(const BlockLines* blocks, size_t count, size_t gap = 0);

  // Leaves the chunk that is being filled to the blocks in it: the next block is written to another one.
  void finish() { chunk_.reset(); }

 private:
  // Whether chunk_ has room for a gap and this many bytes.
  bool has_room(size_t gap, size_t size) const { return gap + size <= chunk_->capacity - chunk_->used; }

  // Compresses a block whose bound is larger than the room, and then copies it into a chunk. Blocks mostly become far
  // smaller than their bound, and pages that were written to once take memory as long as their chunk does. A block that
  // stays large keeps the memory it was written to.
  CompressedBlocks compress_aside(const BlockLines& block, size_t gap);

  std::unique_ptr<Codec> codec_;
  std::shared_ptr<ChunkPool> pool_;
  ChunkRef chunk_;  // the one being filled
};

}  // namespace recording
