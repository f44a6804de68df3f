#include "columns.hpp"

#include <new>

#include "text/memory.hpp"

namespace recording {

ChunkPool::~ChunkPool() {
  for (const Free& chunk : free_) unmap_memory(chunk.bytes, chunk.capacity);
}

ChunkRef ChunkPool::take(size_t size, ChunkUse use) {
  auto chunk = std::make_unique<Chunk>();
  chunk->use = use;
  chunk->capacity = size > chunk_bytes ? (size + chunk_bytes - 1) / chunk_bytes * chunk_bytes : chunk_bytes;
  chunk->bytes = reuse(chunk->capacity);
  if (!chunk->bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    make_room(chunk->capacity);
    chunk->bytes = map_memory(chunk->capacity);
  }
  held_[static_cast<size_t>(use)] += chunk->capacity;
  // If the shared pointer can't be made, its constructor calls the deleter.
  return ChunkRef(chunk.release(), [pool = shared_from_this()](Chunk* unused) { pool->give_back(unused); });
}

void ChunkPool::free_kept() {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const Free& chunk : free_) unmap_memory(chunk.bytes, chunk.capacity);
  free_.clear();
  kept_ = 0;
}

// Returns the smallest kept chunk of at least `capacity` and less than twice that, and sets `capacity` to its own; or
// null. Of equal ones it takes the one that came back last, which may still be in the processor's cache.
uint8_t* ChunkPool::reuse(size_t& capacity) {
  const std::lock_guard<std::mutex> lock(mutex_);
  auto best = free_.end();
  for (auto at = free_.begin(); at != free_.end(); ++at)
    if (at->capacity >= capacity && at->capacity < 2 * capacity &&
        (best == free_.end() || at->capacity <= best->capacity))
      best = at;
  if (best == free_.end()) return nullptr;
  uint8_t* const bytes = best->bytes;
  capacity = best->capacity;
  kept_ -= capacity;
  free_.erase(best);
  return bytes;
}

void ChunkPool::give_back(Chunk* chunk) noexcept {
  held_[static_cast<size_t>(chunk->use)] -= chunk->capacity;
  try {
    keep(chunk->bytes, chunk->capacity);
  } catch (const std::bad_alloc&) {
    unmap_memory(chunk->bytes, chunk->capacity);
  }
  delete chunk;
}

void ChunkPool::keep(uint8_t* bytes, size_t capacity) {
  if (capacity > largest_kept || capacity > most_) return unmap_memory(bytes, capacity);
  const std::lock_guard<std::mutex> lock(mutex_);
  free_.push_back({bytes, capacity});
  kept_ += capacity;
  make_room(0);
}

// Frees kept chunks until `size` more bytes fit in addition to what is kept and what is held. Needs the lock.
void ChunkPool::make_room(size_t size) noexcept {
  const size_t held = held_[0] + held_[1];
  for (; !free_.empty() && kept_ + held + size > most_; free_.pop_front()) {
    kept_ -= free_.front().capacity;
    unmap_memory(free_.front().bytes, free_.front().capacity);
  }
}

}  // namespace recording
