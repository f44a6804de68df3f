// A buffer that is kept from one message to the next. Loops may read and write some bytes behind its end, so loops over
// 64 bytes at a time need no tail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace recording {

inline constexpr size_t padding = 128;

class PaddedBuffer {
 public:
  PaddedBuffer() = default;
  PaddedBuffer(const PaddedBuffer&) = delete;
  PaddedBuffer& operator=(const PaddedBuffer&) = delete;
  ~PaddedBuffer() { std::free(bytes_); }

  uint8_t* data() { return bytes_; }
  size_t capacity() const { return capacity_; }

  // Makes room for `size` bytes and the padding. May lose what the buffer held.
  void reserve(size_t size) {
    if (bytes_ && size <= capacity_) return;
    release();
    bytes_ = static_cast<uint8_t*>(std::malloc(size + padding));
    if (!bytes_) throw std::bad_alloc();
    capacity_ = size;
  }

  // Makes room for `size` bytes and the padding, and keeps what the buffer held.
  void grow(size_t size) {
    if (bytes_ && size <= capacity_) return;
    void* grown = std::realloc(bytes_, size + padding);
    if (!grown) throw std::bad_alloc();
    bytes_ = static_cast<uint8_t*>(grown);
    capacity_ = size;
  }

  // Frees the memory if it has grown past `most` bytes.
  void shrink(size_t most) {
    if (capacity_ > most) release();
  }

  void release() {
    std::free(bytes_);
    bytes_ = nullptr;
    capacity_ = 0;
  }

 private:
  uint8_t* bytes_ = nullptr;
  size_t capacity_ = 0;
};

}  // namespace recording
