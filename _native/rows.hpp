// Columns with one entry per message of a poll, and what the pipeline's steps do with all rows at once.
#pragma once

#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/cursor.hpp"

namespace recording {

// A text per row, or none: a null span. Another object owns the bytes.
class TextColumn {
 public:
  std::vector<Span> texts;

  // Forget the codes: to be called after `texts` has changed.
  void reset();

  // Equal texts have equal codes. A code is the place of the text among the distinct ones, which are in the order of
  // their first rows.
  const std::vector<int32_t>& codes();
  const std::vector<Span>& distinct();

 private:
  void number();

  bool numbered_ = false;
  std::vector<int32_t> codes_;
  std::vector<Span> distinct_;
};

// Whether a header value can be read unchanged: it is ASCII, and has no NUL.
bool is_plain_text(Span text);

// How the rows of one code end.
struct Ending {
  uint8_t disposition = 0;  // 0: they don't end
  uint8_t reason = 0;
  uint32_t cause = 0;
};

// What was decided about the rows: three columns of `rows` entries.
struct Decisions {
  size_t rows = 0;
  uint8_t* dispositions = nullptr;
  uint8_t* reasons = nullptr;
  uint32_t* causes = nullptr;
};

// Ends the rows that have not ended yet, each as its code says. A code below zero, or without an ending, ends no row.
void end_rows(const Decisions& decisions, const int32_t* codes, const std::vector<Ending>& endings);

// Sets the entries of a column whose code has a value; `values` has -1 for codes without one.
void set_rows(uint8_t* column, size_t rows, const int32_t* codes, const std::vector<int16_t>& values);

// Rows that have not ended yet, by what they have in common.
struct Groups {
  std::vector<int32_t> codes;  // of each row: the number of its group; -1 if the row has ended
  std::vector<size_t> first;   // the first row of each group
};

// Groups the rows that agree in both columns of codes.
Groups group_rows(const uint8_t* dispositions, size_t rows, const int32_t* one, const int32_t* other);

struct Outcome {
  int64_t partition;
  uint8_t disposition;
  uint8_t reason;
  size_t rows;
};

// Counts the rows of each outcome.
std::vector<Outcome> count_outcomes(const int64_t* partitions, const uint8_t* dispositions, const uint8_t* reasons,
                                    size_t rows);

// What a poll has of one partition. Its rows are in order of their offsets.
struct OffsetRange {
  int64_t partition;
  int64_t first;
  int64_t last;
  size_t rows;
};

std::vector<OffsetRange> offset_ranges(const int64_t* partitions, const int64_t* offsets, size_t rows);

// How many rows of a partition have a time within one second, which is counted from 1970.
struct SecondCount {
  int64_t partition;
  int64_t second;
  size_t rows;
};

// Counts rows by partition and second. Leaves out rows whose time, ms since 1970, is below zero or after the year 9999.
std::vector<SecondCount> count_seconds(const int64_t* partitions, const int64_t* times_ms, size_t rows);

}  // namespace recording
