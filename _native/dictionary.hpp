// Trains zstd dictionaries.
#pragma once

#include <vector>

#include "text/cursor.hpp"

namespace recording {

// The pieces of the samples that most of them have in common, the most valuable last: at most `size` bytes.
//
// A piece is worth the strings of 8 bytes in it, each as many times as there are other samples that hold it. The most
// valuable piece is taken first; then its strings are worth nothing. Pieces are long: pages are long, and what follows
// a string on one copy of a page mostly follows it on the next. Takes time and memory in proportion to the samples.
// Throws std::bad_alloc.
std::vector<uint8_t> common_content(const std::vector<Span>& samples, size_t size);

// A zstd dictionary of at most `size` bytes, with an id, for the frames of `level`. Empty if the samples have too
// little in common. Throws std::bad_alloc.
std::vector<uint8_t> train_dictionary(const std::vector<Span>& samples, size_t size, int level);

}  // namespace recording
