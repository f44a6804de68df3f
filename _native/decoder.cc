#include "decoder.hpp"

#include <algorithm>
#include <utility>

#include "test_hooks.hpp"
#include "text/memory.hpp"
#include "text/utf8.hpp"
#include "text/uuid.hpp"

namespace recording {
namespace {

// After a batch, a buffer that has grown past this, or past what a large message takes, is freed.
constexpr size_t most_kept_bytes = 8 << 20;

// A distinct id that is no longer than this outlives the text that it came from.
constexpr size_t kept_id_bytes = 64 << 10;

// The lines of a message repeat its window id. They may take this many times max_decompressed_bytes.
constexpr size_t line_expansion = 2;

// A row with more events than this gets exactly the memory they need. A vector that grows by itself takes up to twice
// that.
constexpr size_t many_events = 64 * 1024;

constexpr size_t max_characters = 1000;  // of snapshot source and library
constexpr size_t max_url_characters = 4096;
constexpr size_t max_log_characters = 2999;  // of one argument
constexpr size_t max_urls = 25;              // of a block, and so of a row

TextSlice append_text(Columns& columns, Span raw, size_t most = no_limit) {
  const size_t offset = columns.texts.size();
  append_value(raw, columns.texts, most);
  return {offset, columns.texts.size() - offset};
}

}  // namespace

Decoder::Decoder(const Limits& limits)
    : limits_(limits),
      kept_bytes_(std::min(most_kept_bytes, limits.large_bytes)),
      decompressor_(limits.max_decompressed_bytes),
      unpacker_(limits.unpack_client_compression ? std::make_unique<Unpacker>() : nullptr),
      pool_(std::make_shared<ChunkPool>(limits.kept_chunk_bytes)) {}

void Decoder::decode(std::vector<Message>& messages, Columns& columns, bool large) {
  columns.rows.reserve(messages.size());
  for (Message& message : messages) {
    const Totals totals = columns;
    const size_t texts = columns.texts.size(), far_rows = columns.far_rows.size();
    Row& row = columns.rows.emplace_back();
    if (message.skip) continue;
    large_ = large && columns.line_bytes == 0;
    message.reason = decode_one(message, columns, row);
    if ((columns.stopped_at_large = std::exchange(stopped_at_large_, false))) {
      static_cast<Totals&>(columns) = totals;
      columns.texts.resize(texts);
      columns.far_rows.resize(far_rows);
      columns.rows.pop_back();
      break;
    }
    row.ok = message.reason == Reason::NONE;
    if (columns.bytes() > limits_.max_decoded_bytes) break;
  }
  give_back_memory();
}

void Decoder::give_back_kept() {
  chunk_.reset();
  pool_->free_kept();
  give_back_heap();
}

// Frees what is not needed after a message is read and its ids are copied.
void Decoder::give_back_inputs() {
  decompressor_.shrink(kept_bytes_);
  repaired_.shrink(kept_bytes_);
  reader_.shrink_tokens(kept_bytes_);
}

void Decoder::give_back_memory() {
  give_back_inputs();
  data_.shrink(kept_bytes_);
  reader_.shrink(kept_bytes_);
  if (unpacker_) unpacker_->shrink(kept_bytes_);
  if (std::exchange(took_much_, false)) give_back_heap();
}

Reason Decoder::decode_one(const Message& message, Columns& columns, Row& row) {
  if (message.value.empty() || message.timestamp_ms < 0) return Reason::MESSAGE_VALUE_OR_TIMESTAMP_IS_EMPTY;

  const Encoding encoding = encoding_of(message.value, message.content_encoding);
  Span text;
  Reason reason = decompressor_.decompress(message.value, encoding, text);
  if (reason != Reason::NONE) return reason;
  if (stops_at_large(text.size())) return Reason::NONE;
  if (text.size() > limits_.large_bytes) pool_->free_kept();
  ++columns.encodings[static_cast<int>(encoding)];
  columns.uncompressed_bytes += text.size();
  run_decode_hooks(text);

  if ((reason = read_text(text, message, columns)) != Reason::NONE) return reason;
  if ((reason = check_ids(message, columns, row)) != Reason::NONE) return reason;
  columns.invalid_items += reader_.snapshot().invalid_items;
  columns.far_items += reader_.snapshot().far_items;
  if (text.size() > kept_bytes_) give_back_inputs();  // before the lines take as much again
  if ((reason = check_times(columns, row)) != Reason::NONE) return reason;
  if (unpacker_ && !unpack(text.size(), columns)) return Reason::NONE;
  if ((reason = write_lines(columns, row)) != Reason::NONE) return reason;
  write_features(columns, row);
  return Reason::NONE;
}

// Parses the text, and if its UTF-8 is invalid, parses it again with the UTF-8 repaired. Invalid UTF-8 does not change
// where the strings of a JSON text begin and end, so checking it afterwards is enough.
Reason Decoder::read_text(Span text, const Message& message, Columns& columns) {
  if (text.size() > kept_bytes_) return read_large_text(text, message, columns);
  bool valid_utf8;
  const Reason reason = parse_text(text, message, valid_utf8);
  if (valid_utf8 || is_valid_utf8(text)) return reason;
  ++columns.invalid_utf8;
  return parse_text(replace_invalid_utf8(text, repaired_), message, valid_utf8);
}

// Finds the same as read_text in less memory: it repairs the UTF-8 first, and frees the text once `data` is taken out
// of it.
Reason Decoder::read_large_text(Span text, const Message& message, Columns& columns) {
  if (!is_valid_utf8(text)) {
    ++columns.invalid_utf8;
    text = replace_invalid_utf8(text, repaired_);
    decompressor_.shrink(kept_bytes_);
  }
  const Reason reason = take_data(text);
  if (reason != Reason::NONE) return reason;
  if (envelope_.distinct_id.text.size() <= kept_id_bytes) give_back_text();
  bool valid_utf8;
  return read_data(message, valid_utf8);
}

// Frees the text, and keeps a copy of the distinct id.
void Decoder::give_back_text() {
  Span& id = envelope_.distinct_id.text;
  distinct_id_.assign(id.begin, id.end + 1);  // with the closing quote, which append_value looks at
  id = {distinct_id_.data(), distinct_id_.data() + id.size()};
  decompressor_.shrink(kept_bytes_);
  repaired_.shrink(kept_bytes_);
}

Reason Decoder::take_data(Span text) {
  envelope_ = {};
  const Reason reason = read_envelope(text, data_, envelope_);
  if (reason != Reason::NONE) return reason;
  shift_ = limits_.correct_clock_skew ? clock_shift(envelope_.now, envelope_.sent_at) : 0;
  return envelope_.unescaped.escapes_valid ? Reason::NONE : Reason::RECEIVED_NON_SNAPSHOT_MESSAGE;
}

Reason Decoder::read_data(const Message& message, bool& valid_utf8) {
  const Span data{data_.data(), data_.data() + envelope_.unescaped.size};
  // an item is far from now if its time is once it is shifted
  const double now = static_cast<double>(message.now_ms) - shift_;
  const Nearness nearness{now, static_cast<double>(limits_.max_timestamp_diff_ms)};
  return reader_.read(data, nearness, valid_utf8);
}

Reason Decoder::parse_text(Span text, const Message& message, bool& valid_utf8) {
  valid_utf8 = false;
  Reason reason = take_data(text);
  if (reason != Reason::NONE) return reason;
  reason = read_data(message, valid_utf8);
  // Unescaping adds whole characters only: `data` in the outer text is valid UTF-8 if the inner text is.
  const Span raw = envelope_.data.text;
  valid_utf8 = valid_utf8 && is_valid_utf8({text.begin, raw.begin}) && is_valid_utf8({raw.end, text.end});
  return reason;
}

Reason Decoder::check_ids(const Message& message, Columns& columns, Row& row) {
  const Snapshot& snapshot = reader_.snapshot();
  if (is_longer(snapshot.session_id.text, limits_.max_session_id_characters) ||
      is_longer(snapshot.window_id.text, limits_.max_session_id_characters) ||
      is_longer(envelope_.distinct_id.text, limits_.max_distinct_id_characters))
    return Reason::ID_TOO_LONG;
  const size_t before = columns.texts.size();
  row.session_id = append_text(columns, snapshot.session_id.text);
  row.distinct_id = append_text(columns, envelope_.distinct_id.text);
  std::array<uint8_t, uuid_size> small;
  Span session_id_header = message.session_id;
  if (limits_.small_uuids && is_uuid(columns.text(row.session_id))) {
    small = small_uuid(columns.text(row.session_id));
    std::copy(small.begin(), small.end(), columns.texts.begin() + static_cast<ptrdiff_t>(row.session_id.offset));
    if (is_uuid(session_id_header)) {
      small = small_uuid(session_id_header);
      session_id_header = {small.data(), small.data() + small.size()};
    }
  }
  const auto unlike = [&](Span header, TextSlice body) { return header.begin && !equal(header, columns.text(body)); };
  Reason reason = Reason::NONE;
  if (unlike(session_id_header, row.session_id))
    reason = Reason::SESSION_ID_HEADER_BODY_MISMATCH;
  else if (unlike(message.distinct_id, row.distinct_id))
    reason = Reason::DISTINCT_ID_HEADER_BODY_MISMATCH;
  if (reason != Reason::NONE) {
    row.session_id = row.distinct_id = {};
    columns.texts.resize(before);
  }
  return reason;
}

Reason Decoder::check_times(Columns& columns, Row& row) const {
  const Snapshot& snapshot = reader_.snapshot();
  if (snapshot.far_items) {
    const TimeRange& all = snapshot.all_times;
    columns.far_rows.push_back({columns.rows.size() - 1, shifted_time(all.first), shifted_time(all.last)});
    if (limits_.far_item_drops_message || snapshot.events.empty()) return Reason::MESSAGE_TIMESTAMP_DIFF_TOO_LARGE;
  }
  if (snapshot.events.empty()) return Reason::MESSAGE_CONTAINED_NO_VALID_RRWEB_EVENTS;
  row.first_time = shifted_time(snapshot.times.first);
  row.last_time = shifted_time(snapshot.times.last);
  return Reason::NONE;
}

// Unpacks the events that the client packed. The text and its unpacked events may have max_decompressed_bytes together.
// False if that makes the message a large one, and it may not be.
bool Decoder::unpack(size_t text_bytes, Columns& columns) {
  const Snapshot& snapshot = reader_.snapshot();
  unpacker_->start(limits_.max_decompressed_bytes - text_bytes, large_ ? no_limit : limits_.large_bytes);
  for (const uint32_t index : snapshot.packed) {
    const bool done = unpacker_->unpack(snapshot.bytes_of(snapshot.events[index]), index);
    if (unpacker_->stopped()) break;
    ++(done ? columns.unpacked_events : columns.unpack_failures);
  }
  took_much_ = took_much_ || unpacker_->memory() > limits_.large_bytes;
  unpacker_->shrink_inputs(kept_bytes_);
  stopped_at_large_ = unpacker_->stopped();
  return !stopped_at_large_;
}

// Whether a message that takes this many bytes may not be decoded now.
bool Decoder::stops_at_large(size_t bytes) {
  const bool large = bytes > limits_.large_bytes;
  took_much_ = took_much_ || large;
  return stopped_at_large_ = large && !large_;
}

Reason Decoder::write_lines(Columns& columns, Row& row) {
  const Snapshot& snapshot = reader_.snapshot();
  const LineWriter writer(snapshot.window_id);
  const auto bytes_of = [&](size_t index) {
    const Span bytes = snapshot.bytes_of(snapshot.events[index]);
    return unpacker_ ? unpacker_->next(static_cast<uint32_t>(index), bytes) : bytes;
  };
  const size_t events = snapshot.events.size();
  size_t most = 0;
  for (size_t i = 0; i < events; ++i) most += writer.line_bytes(bytes_of(i).size());
  if (shift_) most += events * TimeText::most;
  if (most > line_expansion * limits_.max_decompressed_bytes) return Reason::PAYLOAD_TOO_LARGE;
  if (stops_at_large(most / 2)) return Reason::NONE;

  if (!chunk_ || chunk_->capacity - chunk_->used < most) chunk_ = pool_->take(most, ChunkUse::lines);
  if (columns.chunks.empty() || columns.chunks.back() != chunk_) columns.chunks.push_back(chunk_);
  uint8_t* const begin = chunk_->bytes + chunk_->used;
  uint8_t* out = begin;
  if (unpacker_) unpacker_->rewind();
  for (size_t i = 0; i < events; ++i) {
    const Span bytes = bytes_of(i);
    const bool compact = envelope_.unescaped.line_breaks && holds_line_break(bytes);
    if (shift_)
      out = write_shifted(writer, bytes, compact, out);
    else
      out = compact ? writer.write_compacted(bytes, out) : writer.write(bytes, out);
  }
  if (shift_) columns.clock_shifts.push_back(shift_);
  row.chunk = static_cast<uint32_t>(columns.chunks.size() - 1);
  row.lines = {begin, out};
  chunk_->used += row.lines.size();
  columns.line_bytes += row.lines.size();
  // A chunk that was made for one large row takes no other rows: they would keep that row's memory alive.
  if (chunk_->capacity > ChunkPool::chunk_bytes) chunk_.reset();
  return Reason::NONE;
}

uint8_t* Decoder::write_shifted(const LineWriter& writer, Span event, bool compact, uint8_t* out) const {
  const Span time = time_value(event);
  return writer.write_replaced(event, time, TimeText(shifted_time(number_value(time))).span(), compact, out);
}

void Decoder::write_features(Columns& columns, Row& row) const {
  const Snapshot& snapshot = reader_.snapshot();
  row.counters = snapshot.counters;
  row.source = append_text(columns, snapshot.source.text, max_characters);
  row.library = append_text(columns, snapshot.library.text, max_characters);
  row.mode = snapshot.mode;

  row.events.begin = columns.events.size();
  if (snapshot.events.size() > many_events) columns.events.reserve(columns.events.size() + snapshot.events.size());
  for (const EventSlice& event : snapshot.events) columns.events.push_back(event.time);
  if (shift_) {
    for (size_t i = row.events.begin; i < columns.events.size(); ++i)
      columns.events[i] = std::copysign(shifted_time(std::abs(columns.events[i])), columns.events[i]);
  }
  row.events.end = columns.events.size();

  row.urls.begin = columns.urls.size();
  for (const Span raw : snapshot.urls) {
    if (columns.urls.size() - row.urls.begin == max_urls) break;
    const TextSlice url = append_text(columns, raw, max_url_characters);
    const auto same = [&](TextSlice other) { return equal(columns.text(url), columns.text(other)); };
    if (std::none_of(columns.urls.begin() + static_cast<ptrdiff_t>(row.urls.begin), columns.urls.end(), same))
      columns.urls.push_back(url);
    else
      columns.texts.resize(url.offset);
  }
  row.urls.end = columns.urls.size();

  row.logs.begin = columns.logs.size();
  for (const RawLog& log : snapshot.logs) write_log(log, columns);
  row.logs.end = columns.logs.size();
}

void Decoder::write_log(const RawLog& log, Columns& columns) const {
  const Snapshot& snapshot = reader_.snapshot();
  const size_t offset = columns.texts.size();
  for (size_t i = log.strings_begin; i < log.strings_end; ++i) {
    if (i != log.strings_begin) columns.texts.push_back(' ');
    append_value(snapshot.bytes_of(snapshot.log_strings[i]), columns.texts, max_log_characters);
  }
  columns.logs.push_back({shifted_time(log.time), {offset, columns.texts.size() - offset}, log.level});
}

}  // namespace recording
