#include "text/memory.hpp"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <new>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace recording {
namespace {

constexpr size_t huge_page = 2 << 20;

size_t rounded(size_t size) {
  static const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return (size + page - 1) / page * page;
}

uint8_t* map(size_t size) {
  void* const mapped = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  return static_cast<uint8_t*>(mapped);
}

}  // namespace

uint8_t* map_memory(size_t size) {
  const size_t needed = rounded(size);
  if (needed < size || needed + huge_page < needed) throw std::bad_alloc();
  if (needed < huge_page) return map(needed);
  uint8_t* const begin = map(needed + huge_page);
  const size_t before = (huge_page - reinterpret_cast<uintptr_t>(begin) % huge_page) % huge_page;
  uint8_t* const memory = begin + before;
  unmap_memory(begin, before);
  unmap_memory(memory + needed, huge_page - before);
#ifdef MADV_HUGEPAGE
  madvise(memory, needed, MADV_HUGEPAGE);  // a refusal does not matter
#endif
  return memory;
}

void unmap_memory(uint8_t* memory, size_t size) noexcept {
  if (memory && size) munmap(memory, rounded(size));
}

void give_back_heap() noexcept {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

}  // namespace recording
