#include "unescape.hpp"
#include "unescape_blocks.inl"

size_t unescape_baseline(const uint8_t* in, size_t length, uint8_t* out) { return unescape_blocks(in, length, out); }
