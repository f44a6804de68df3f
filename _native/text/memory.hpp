// Memory for lines, which take megabytes for some seconds.
#pragma once

#include <cstddef>
#include <cstdint>

namespace recording {

// Maps pages from the system. Aligns large pieces for huge pages, and asks for these: each page fault, and each entry
// of the processor's address cache, then covers 2 MiB. Throws std::bad_alloc.
uint8_t* map_memory(size_t size);

// Gives pages back to the system at once. Does nothing for a null pointer.
void unmap_memory(uint8_t* memory, size_t size) noexcept;

// Gives the pages back to the system that malloc keeps for later. After large pieces were freed, glibc may keep tens of
// megabytes.
void give_back_heap() noexcept;

}  // namespace recording
