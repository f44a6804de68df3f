// A hash for texts that strangers choose. They don't know its key, so they can't make many texts with the same hash.
#pragma once

#include <cstdint>
#include <random>

#include "text/cursor.hpp"

namespace recording {

// SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF"; Python hashes its strings with it too).
class SipHash {
 public:
  SipHash(uint64_t k0, uint64_t k1)
      : v0_(k0 ^ 0x736f6d6570736575),
        v1_(k1 ^ 0x646f72616e646f6d),
        v2_(k0 ^ 0x6c7967656e657261),
        v3_(k1 ^ 0x7465646279746573) {}

  // With a key of this process.
  static SipHash keyed() {
    static const uint64_t k0 = random_key(), k1 = random_key();
    return {k0, k1};
  }

  void add(uint64_t word) {
    v3_ ^= word;
    round();
    v0_ ^= word;
  }

  // Adds the text, and returns the hash of all that was added. Call it once, at the end.
  uint64_t finish(Span text) {
    const uint8_t* at = text.begin;
    for (; text.end - at >= 8; at += 8) {
      uint64_t word;
      std::memcpy(&word, at, 8);
      add(word);
    }
    uint64_t last = 0;
    if (at != text.end) std::memcpy(&last, at, static_cast<size_t>(text.end - at));
    add(last | static_cast<uint64_t>(text.size()) << 56);
    v2_ ^= 0xff;
    for (int i = 0; i < 3; ++i) round();
    return v0_ ^ v1_ ^ v2_ ^ v3_;
  }

 private:
  static uint64_t random_key() {
    std::random_device source;
    return static_cast<uint64_t>(source()) << 32 | source();
  }

  static uint64_t rotate(uint64_t value, int bits) { return value << bits | value >> (64 - bits); }

  void round() {
    v0_ += v1_;
    v1_ = rotate(v1_, 13) ^ v0_;
    v0_ = rotate(v0_, 32);
    v2_ += v3_;
    v3_ = rotate(v3_, 16) ^ v2_;
    v0_ += v3_;
    v3_ = rotate(v3_, 21) ^ v0_;
    v2_ += v1_;
    v1_ = rotate(v1_, 17) ^ v2_;
    v2_ = rotate(v2_, 32);
  }

  uint64_t v0_, v1_, v2_, v3_;
};

}  // namespace recording
