#include "tokens.hpp"

namespace recording {
namespace {

// Whether a byte may follow a number or literal. The end of the text, a zero, may not: valid texts end in a bracket, a
// brace or white space.
bool ends_scalar(uint8_t c) { return c == ',' || c == '}' || c == ']' || is_whitespace(c); }

// The number of digits at the start of the next eight bytes.
int leading_digits(const uint8_t* at) {
  uint64_t bytes;
  std::memcpy(&bytes, at, sizeof bytes);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  bytes = __builtin_bswap64(bytes);
#endif
  // A digit becomes 0 to 9, to which adding 0x76 leaves the high bit clear.
  const uint64_t values = bytes ^ 0x3030303030303030;
  const uint64_t others = ((values + 0x7676767676767676) | values) & 0x8080808080808080;
  return others ? __builtin_ctzll(others) / 8 : 8;
}

}  // namespace

bool Tokens::any_number_valid(const uint8_t* at, const uint8_t*& end) const {
  Cursor in{at, end_};
  if (!skip_number(in)) return false;
  end = in.at;
  return ends_scalar(in.peek());
}

inline bool Tokens::number_valid(const uint8_t* at) const {
  // Most numbers are whole and have a few digits. Padding follows the text, so eight bytes may be read.
  const uint8_t* const digits = at + (*at == '-');
  const int count = leading_digits(digits);
  const uint8_t next = digits[count];
  if (count != 0 && (*digits != '0' || count == 1) && (next == ',' || next == '}' || next == ']')) return true;
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

value:
  if (c == '"') {
  } else if (is_digit(c) || c == '-') {
    if (!number_valid(token())) return false;
  } else if (c == '{') {
    if (!open(depth, true)) return false;
    c = take();
    if (c != '}') goto key;
    --depth;
  } else if (c == '[') {
    if (!open(depth, false)) return false;
    c = take();
    if (c != ']') goto value;
    --depth;
  } else if (!literal_valid(token())) {
    return false;
  }

ended:
  if (depth == outside) return true;
  c = take();
  if (object_[depth]) {
    if (c == ',') {
      c = take();
    key:
      if (c != '"' || take() != ':') return false;
      c = take();
      goto value;
    }
    if (c != '}') return false;
  } else {
    if (c == ',') {
      c = take();
      goto value;
    }
    if (c != ']') return false;
  }
  --depth;
  goto ended;
}

}  // namespace recording
