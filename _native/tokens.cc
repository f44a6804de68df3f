#include "tokens.hpp"

namespace recording {
namespace {

// Whether a byte may follow a number or literal. The end of the text, a zero, may not: valid texts end in a bracket, a
// brace or white space.
bool ends_scalar(uint8_t c) { return c == ',' || c == '}' || c == ']' || is_whitespace(c); }

// Whether the next bytes, one to eight, are digits.
bool all_digits(const uint8_t* at, size_t size) {
  uint64_t bytes;
  std::memcpy(&bytes, at, sizeof bytes);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  bytes = __builtin_bswap64(bytes);
#endif
  // A digit becomes 0 to 9, to which adding 0x76 leaves the high bit clear. The shift drops the bytes behind.
  const uint64_t values = bytes ^ 0x3030303030303030;
  const uint64_t others = ((values + 0x7676767676767676) | values) & 0x8080808080808080;
  return others << (64 - 8 * size) == 0;
}

}  // namespace

bool Tokens::any_number_valid(const uint8_t* at, const uint8_t*& end) const {
  Cursor in{at, end_};
  if (!skip_number(in)) return false;
  end = in.at;
  return ends_scalar(in.peek());
}

// `next` is the next token. The caller checks that it may follow a value.
inline bool Tokens::number_valid(const uint8_t* at, const uint8_t* next) const {
  // Most numbers are whole, and have a few digits and no white space behind them. Padding follows the text, so eight
  // bytes may be read.
  const uint8_t* const digits = at + (*at == '-');
  const auto size = static_cast<size_t>(next - digits);
  if (size - 1 < 8 && all_digits(digits, size) && (*digits != '0' || size == 1)) return true;
  const uint8_t* end;
  return any_number_valid(at, end);
}

bool Tokens::literal_valid(const uint8_t* at) const {
  Cursor in{at, end_};
  return skip_literal(in) && ends_scalar(in.peek());
}

bool Tokens::read_number(double& value) {
  constexpr int most_digits = 18;  // a number with more may not fit 64 bits
  const uint8_t* at = token();
  uint64_t whole = 0;
  for (; is_digit(*at) && at - token() < most_digits; ++at) whole = 10 * whole + (*at - '0');
  if (at != token() && (*token() != '0' || at == token() + 1) && ends_scalar(*at)) {
    value = static_cast<double>(whole);
    return true;
  }
  const uint8_t* end;
  if (!any_number_valid(token(), end)) return false;
  value = number_value({token(), end});
  return true;
}

inline bool Tokens::open(uint32_t& depth, bool object) {
  if (depth == max_depth) {
    too_deep_ = true;
    return false;
  }
  object_[++depth] = object;
  return true;
}

bool Tokens::skip(uint8_t c, uint32_t depth) {
  const uint32_t outside = depth;
  const uint8_t* const text = text_;
  const uint32_t* at = at_;  // of the next token

value:
  if (c == '"') {
  } else if (is_digit(c) || c == '-') {
    if (!number_valid(text + at[-1], text + at[0])) return false;
  } else if (c == '{') {
    if (!open(depth, true)) return false;
    c = text[*at++];
    if (c != '}') goto key;
    --depth;
  } else if (c == '[') {
    if (!open(depth, false)) return false;
    c = text[*at++];
    if (c != ']') goto value;
    --depth;
  } else if (!literal_valid(text + at[-1])) {
    return false;
  }

ended:
  if (depth == outside) {
    at_ = at;
    return true;
  }
  c = text[*at++];
  if (c == ',') {
    c = text[*at++];
    if (!object_[depth]) goto value;
  key:
    if (c != '"' || text[*at++] != ':') return false;
    c = text[*at++];
    goto value;
  }
  if (c != (object_[depth] ? '}' : ']')) return false;
  --depth;
  goto ended;
}

}  // namespace recording
