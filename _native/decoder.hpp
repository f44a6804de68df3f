// Decodes one message after the other, from the value to the block lines, by the rules of docs/data/messages.md.
#pragma once

#include <memory>
#include <vector>

#include "clock_shift.hpp"
#include "columns.hpp"
#include "decompress.hpp"
#include "envelope.hpp"
#include "events.hpp"
#include "lines.hpp"
#include "reason.hpp"
#include "unpack.hpp"

namespace recording {

struct Limits {
  size_t max_decompressed_bytes;
  int64_t max_timestamp_diff_ms;  // an item this far from now is left out
  bool far_item_drops_message;    // instead: the whole message, as PostHog's consumer does
  size_t max_decoded_bytes;
  size_t large_bytes;  // a message is large if its text, what it unpacks to, or half of its lines takes more
  size_t max_session_id_characters;  // also of a window id
  size_t max_distinct_id_characters;
  bool small_uuids;         // session ids that are UUIDs get small letters, as PostHog's consumer gives them
  bool correct_clock_skew;  // shift times to the clock of the capture service
  bool unpack_client_compression;
  size_t kept_chunk_bytes;  // of chunks that nothing refers to any more, kept for the next rows
};

// One row of a decode call. A null span stands for None.
struct Message {
  Span value;
  Span content_encoding;
  Span session_id;
  Span distinct_id;
  int64_t timestamp_ms = 0;  // below zero: the message has none
  int64_t now_ms = 0;
  bool skip = false;  // another step has ended the message
  Reason reason = Reason::NONE;
};

class Decoder {
 public:
  explicit Decoder(const Limits& limits);

  // Decodes messages in order, sets their reasons, and fills `columns`. Stops early, after a row, if the lines and
  // the columns take more than max_decoded_bytes. Unless `large` is set, stops before a large message: it takes up to
  // six times max_decompressed_bytes while it is decoded. With `large`, one that comes after lines waits for the next
  // call. Throws only std::bad_alloc.
  void decode(std::vector<Message>& messages, Columns& columns, bool large);

  // The bytes of memory that hold lines of decoded messages.
  size_t held_bytes() const { return pool_->line_bytes(); }

  // Gives back to the system what is kept for the next messages and blocks.
  void give_back_kept();

  // Where these lines are. Compressed blocks may be there too.
  const std::shared_ptr<ChunkPool>& pool() const { return pool_; }

 private:
  Reason decode_one(const Message& message, Columns& columns, Row& row);
  Reason read_text(Span text, const Message& message, Columns& columns);
  Reason read_large_text(Span text, const Message& message, Columns& columns);
  Reason take_data(Span text);
  Reason read_data(const Message& message, bool& valid_utf8);
  void give_back_text();
  Reason parse_text(Span text, const Message& message, bool& valid_utf8);
  Reason check_ids(const Message& message, Columns& columns, Row& row);
  Reason check_times(Columns& columns, Row& row) const;
  Reason write_lines(Columns& columns, Row& row);
  bool unpack(size_t text_bytes, Columns& columns);
  bool stops_at_large(size_t bytes);
  double shifted_time(double time) const { return shift_ ? shifted(time, shift_) : time; }
  uint8_t* write_shifted(const LineWriter& writer, Span event, bool compact, uint8_t* out) const;
  void write_features(Columns& columns, Row& row) const;
  void write_log(const RawLog& log, Columns& columns) const;
  void give_back_inputs();
  void give_back_memory();

  const Limits limits_;
  const size_t kept_bytes_;        // of each buffer, from one batch to the next
  bool large_ = false;             // this message may be large
  bool stopped_at_large_ = false;  // it is, and may not
  bool took_much_ = false;         // a message of this call took more than large_bytes
  Decompressor decompressor_;
  PaddedBuffer repaired_;  // the outer text, if its UTF-8 had to be repaired
  PaddedBuffer data_;      // the unescaped `data`
  Envelope envelope_;
  std::vector<uint8_t> distinct_id_;  // of a large text
  double shift_ = 0;                  // of the times of this message, in ms
  SnapshotReader reader_;
  std::unique_ptr<Unpacker> unpacker_;  // null unless unpack_client_compression is set
  std::shared_ptr<ChunkPool> pool_;
  ChunkRef chunk_;  // the one being filled
};

}  // namespace recording
