// Memory for lines, which comes in megabytes and stays for seconds.
#pragma once

#include <cstddef>
#include <cstdint>

namespace recording {

// Pages straight from the system. Large pieces are aligned for huge pages, which are asked for: a page
// fault and an entry of the processor's address cache then go a long way. Throws std::bad_alloc.
uint8_t* map_memory(size_t size);

// Gives them back at once. A null pointer is left alone.
void unmap_memory(uint8_t* memory, size_t size) noexcept;

}  // namespace recording
