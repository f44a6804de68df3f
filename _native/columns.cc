#include "columns.hpp"

#include <cstdlib>
#include <new>

#include "buffer.hpp"

namespace recording {

ChunkPool::~ChunkPool() {
  for (uint8_t* bytes : free_) std::free(bytes);
}

ChunkRef ChunkPool::take(size_t size) {
  auto chunk = std::make_unique<Chunk>();
  chunk->capacity = size > chunk_bytes ? size : chunk_bytes;
  if (chunk->capacity == chunk_bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!free_.empty()) {
      chunk->bytes = free_.back();
      free_.pop_back();
    }
  }
  if (!chunk->bytes) chunk->bytes = static_cast<uint8_t*>(std::malloc(chunk->capacity + padding));
  if (!chunk->bytes) throw std::bad_alloc();
  // If the shared pointer cannot be made, the deleter is called.
  return ChunkRef(chunk.release(), [pool = shared_from_this()](Chunk* unused) { pool->give_back(unused); });
}

void ChunkPool::give_back(Chunk* chunk) noexcept {
  uint8_t* bytes = chunk->bytes;
  if (chunk->capacity == chunk_bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (free_.size() < most_) {
      try {
        free_.push_back(bytes);
        bytes = nullptr;
      } catch (const std::bad_alloc&) {
      }
    }
  }
  std::free(bytes);
  delete chunk;
}

}  // namespace recording
