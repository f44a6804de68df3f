// Writes JSON. The caller writes the punctuation, and every text must be UTF-8.
#pragma once

#include <charconv>
#include <string>
#include <string_view>

#include "text/cursor.hpp"

namespace recording {

// The bytes that JsonWriter::string writes for a text.
inline size_t json_string_size(std::string_view text) {
  size_t size = text.size() + 2;
  for (const char at : text) {
    const auto c = static_cast<uint8_t>(at);
    if (c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t')
      size += 1;
    else if (c < 0x20)
      size += 5;
  }
  return size;
}

class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}

  // Appends a piece of JSON unchanged.
  void raw(std::string_view json) { out_ += json; }

  void string(std::string_view text) {
    out_ += '"';
    size_t written = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      const auto c = static_cast<uint8_t>(text[i]);
      if (c >= 0x20 && c != '"' && c != '\\') continue;
      out_ += text.substr(written, i - written);
      escape(c);
      written = i + 1;
    }
    out_ += text.substr(written);
    out_ += '"';
  }

  template <typename Integer>
  void integer(Integer value) {
    char digits[24];
    out_.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
  }

  // Writes a finite number as one with a fraction, so that it is read back as a number of the same kind.
  void real(double value) {
    char digits[400];  // the smallest number has a little over 340 characters
    const std::string_view text(
        digits, static_cast<size_t>(std::to_chars(digits, digits + sizeof digits, value, std::chars_format::fixed).ptr -
                                    digits));
    out_ += text;
    if (text.find('.') == std::string_view::npos) out_ += ".0";
  }

  // Writes ms since 1970 as the text `YYYY-MM-DD HH:MM:SS.mmm` in UTC. A fraction of a millisecond is cut off. A time
  // past the year 9999 becomes the last millisecond of that year.
  void time(double ms) {
    static constexpr int64_t last_ms = 253'402'300'799'999;
    const int64_t whole = ms < static_cast<double>(last_ms) ? static_cast<int64_t>(ms) : last_ms;
    const int64_t days = whole / 86'400'000, of_day = whole % 86'400'000;
    // The calendar of Howard Hinnant's days_from_civil, backwards: years begin in March.
    const int64_t shifted = days + 719'468, era = shifted / 146'097, of_era = shifted % 146'097;
    const int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36'524 - of_era / 146'096) / 365;
    const int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t shifted_month = (5 * of_year + 2) / 153;
    const int64_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
    char text[] = "\"0000-00-00 00:00:00.000\"";
    digits(text + 1, 4, era * 400 + year_of_era + (month <= 2));
    digits(text + 6, 2, month);
    digits(text + 9, 2, of_year - (153 * shifted_month + 2) / 5 + 1);
    digits(text + 12, 2, of_day / 3'600'000);
    digits(text + 15, 2, of_day / 60'000 % 60);
    digits(text + 18, 2, of_day / 1000 % 60);
    digits(text + 21, 3, of_day % 1000);
    out_ += text;
  }

 private:
  void escape(uint8_t c) {
    static constexpr char hex[] = "0123456789abcdef";
    out_ += '\\';
    switch (c) {
      case '"':
      case '\\':
        out_ += static_cast<char>(c);
        break;
      case '\n':
        out_ += 'n';
        break;
      case '\r':
        out_ += 'r';
        break;
      case '\t':
        out_ += 't';
        break;
      default:
        out_ += "u00";
        out_ += hex[c >> 4];
        out_ += hex[c & 15];
    }
  }

  static void digits(char* at, int count, int64_t value) {
    for (int i = count; i-- > 0; value /= 10) at[i] = static_cast<char>('0' + value % 10);
  }

  std::string& out_;
};

}  // namespace recording
