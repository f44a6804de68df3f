// Several messages of a poll with their headers, from the values to compressed blocks.
//
// An input is a byte of options, and then the messages: options, a partition, the session id's and the distinct id's
// header after their lengths of one byte, and the value after its length of two bytes.
#include <zstd.h>

#include <cstdlib>
#include <map>
#include <string>
#include <tuple>

#include "compress.hpp"
#include "decoder.hpp"
#include "file_blocks.hpp"
#include "text/utf8.hpp"
#include "text/uuid.hpp"

using namespace recording;

namespace {

constexpr int64_t now_ms = 1795461731742;
constexpr int64_t week_ms = 7 * 24 * 3600 * 1000;
constexpr size_t most_bytes = 1 << 20, few_bytes = 1 << 12, few_events = 8;

void check(bool holds) {
  if (!holds) std::abort();
}

Span take(Cursor& in, size_t size) {
  const size_t taken = std::min(size, in.left());
  in.at += taken;
  return {in.at - taken, in.at};
}

struct Input {
  std::vector<Message> messages;
  std::vector<int64_t> partitions;
  std::vector<int32_t> teams;
};

Input read(Cursor in) {
  static const char* const encodings[] = {"gzip", "lz4", "zstd", "br"};
  Input input;
  while (!in.done()) {
    const uint8_t options = in.take(), place = in.take();
    Message& message = input.messages.emplace_back();
    if (options & 4) {
      const auto* const name = reinterpret_cast<const uint8_t*>(encodings[options & 3]);
      message.content_encoding = {name, name + std::strlen(encodings[options & 3])};
    }
    const Span session_id = take(in, in.take()), distinct_id = take(in, in.take());
    if (options & 8) message.session_id = session_id;
    if (options & 16) message.distinct_id = distinct_id;
    message.skip = options & 32;
    const size_t low = in.take(), high = in.take();
    message.value = take(in, high << 8 | low);
    message.timestamp_ms = place & 16 ? -1 : now_ms;
    message.now_ms = now_ms;
    input.partitions.push_back(place % 4);
    input.teams.push_back(place / 4 % 4);
  }
  return input;
}

Decoder& decoder_of(uint8_t options) {
  static std::unique_ptr<Decoder> decoders[32];
  auto& decoder = decoders[options % 32];
  if (!decoder) {
    decoder =
        std::make_unique<Decoder>(Limits{most_bytes, week_ms, (options & 1) != 0, options & 16 ? few_bytes : most_bytes,
                                         options & 16 ? few_bytes : most_bytes, 256, 1024, (options & 2) != 0,
                                         (options & 4) != 0, (options & 8) != 0, most_bytes});
  }
  return *decoder;
}

std::string text_of(Span text) { return {text.begin, text.end}; }

using SessionKey = std::tuple<int64_t, int64_t, std::string>;  // partition, team, session id
using Lines = std::map<SessionKey, std::string>;

void check_headers(const Message& message, const Row& row, const Columns& columns) {
  const std::string id = text_of(columns.text(row.session_id)), header = text_of(message.session_id);
  check(!message.session_id.begin || header == id ||
        (is_uuid(message.session_id) && is_uuid(columns.text(row.session_id))));
  check(!message.distinct_id.begin || equal(message.distinct_id, columns.text(row.distinct_id)));
}

// Compresses the blocks, and reads them back.
void check_blocks(FileBlocks& file, BlockCompressor& compressor, bool zstd) {
  std::vector<BlockLines> blocks;
  for (const FileBlock& block : file.blocks())
    blocks.push_back({&block.session->block.slices(), block.session->block.size});
  std::vector<size_t> lengths;
  for (size_t at = 0; at < blocks.size();) {
    const CompressedBlocks done = compressor.compress(blocks.data() + at, blocks.size() - at);
    check(!done.lengths.empty());
    const uint8_t* from = done.bytes.begin;
    for (const size_t length : done.lengths) {
      std::string lines;
      for (const Span slice : *blocks[at].slices) lines.append(slice.begin, slice.end);
      check(lines.size() == blocks[at].size);
      if (zstd) {
        std::string text(lines.size(), '\0');
        check(ZSTD_decompress(text.data(), text.size(), from, length) == text.size() && text == lines);
      }
      from += length;
      lengths.push_back(length);
      ++at;
    }
    check(from == done.bytes.end);
  }
  file.store(lengths);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static BlockCompressor zstd(make_zstd_codec(1, {})), snappy(make_snappy_codec());
  if (size == 0) return 0;
  const uint8_t options = bytes[0];
  Input input = read({bytes + 1, bytes + size});
  Decoder& decoder = decoder_of(options);
  const bool limited = options & 32;
  SessionBatch batch({limited ? few_events : no_limit, few_events});
  Lines expected;
  const int64_t team_ids[] = {1, 2, 1};
  const uint8_t captures_console[] = {1, 0, 1};
  size_t first = 0;
  for (bool large = false; first < input.messages.size();) {
    std::vector<Message> left(input.messages.begin() + static_cast<ptrdiff_t>(first), input.messages.end());
    Columns columns;
    decoder.decode(left, columns, large);
    check(columns.rows.size() <= left.size());
    if (columns.rows.empty()) {
      check(columns.stopped_at_large && !large);
      large = true;
      continue;
    }
    large = false;
    const size_t rows = columns.rows.size();
    std::vector<int64_t> offsets;
    std::vector<uint8_t> dispositions, reasons, retentions;
    for (size_t i = 0; i < rows; ++i) {
      const Row& row = columns.rows[i];
      const int32_t team = input.teams[first + i];
      check(row.ok == (!left[i].skip && left[i].reason == Reason::NONE));
      offsets.push_back(static_cast<int64_t>(first + i));
      // Team 3 is no team.
      const Disposition disposition = disposition_of(left[i].reason);
      dispositions.push_back(left[i].skip || team == 3 ? static_cast<uint8_t>(Disposition::drop)
                                                       : static_cast<uint8_t>(disposition));
      reasons.push_back(static_cast<uint8_t>(left[i].reason));
      retentions.push_back(static_cast<uint8_t>(input.partitions[first + i] % 2));
      if (!row.ok) continue;
      check(is_valid_utf8(row.lines));
      check_headers(left[i], row, columns);
      if (team != 3)
        expected[{input.partitions[first + i], team_ids[team], text_of(columns.text(row.session_id))}] +=
            text_of(row.lines);
    }
    const SourceRows source = {rows,
                               input.partitions.data() + first,
                               offsets.data(),
                               dispositions.data(),
                               reasons.data(),
                               input.teams.data() + first,
                               retentions.data(),
                               3,
                               team_ids,
                               captures_console};
    check(source.first_invalid(columns) == rows);
    batch.record(columns, source);
    first += rows;
  }
  PartitionFigures sum;
  for (int64_t partition = 0; partition < 4; ++partition) {
    sum.bytes += batch.partition(partition).bytes;
    sum.sessions += batch.partition(partition).sessions;
  }
  check(sum.bytes == batch.total().bytes && sum.sessions == batch.total().sessions);
  if (options & 64) {
    batch.discard(0);
    for (auto at = expected.begin(); at != expected.end();)
      at = std::get<0>(at->first) == 0 ? expected.erase(at) : ++at;
  }
  const size_t counted = batch.total().bytes;
  size_t lines = 0;
  for (auto& file : files_of(batch.take())) {
    for (const FileBlock& block : file->blocks()) {
      const Session& session = *block.session;
      std::string found;
      for (const Span slice : session.block.slices()) found.append(slice.begin, slice.end);
      lines += found.size();
      if (limited) continue;
      const auto at = expected.find({session.partition, session.team_id, session.id});
      check(at != expected.end() && at->second == found);
      expected.erase(at);
    }
    check_blocks(*file, options & 128 ? snappy : zstd, (options & 128) == 0);
  }
  check(limited || expected.empty());
  check(lines <= counted);
  return 0;
}
