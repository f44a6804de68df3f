#include "columns.hpp"

#include <new>

#include "text/memory.hpp"

namespace recording {

ChunkPool::~ChunkPool() {
  for (uint8_t* bytes : free_) unmap_memory(bytes, chunk_bytes);
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
  if (!chunk->bytes) chunk->bytes = map_memory(chunk->capacity);
  // If the shared pointer can't be made, its constructor calls the deleter.
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
  unmap_memory(bytes, chunk->capacity);
  delete chunk;
}

}  // namespace recording
