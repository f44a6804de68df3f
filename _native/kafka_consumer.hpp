// A consumer of given partitions, made of the C functions of librdkafka: its messages stay where librdkafka has put
// them. The functions come from the library that confluent-kafka brings. They are librdkafka's public interface, which
// keeps its form from version to version (rdkafka.h).
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "text/cursor.hpp"

namespace recording {

struct LibrdkafkaFunctions;
struct KafkaMessage;

// A null span stands for null.
struct Header {
  Span name;
  Span value;
};

// A line of librdkafka's log (level as in syslog), an error of the whole client, or how many bytes it has fetched that
// were not taken yet.
struct KafkaEvent {
  static constexpr int error = -1;
  static constexpr int fetched = -2;

  int level;
  int code;
  std::string text;
};

// An error in the place of a message. `partition` is below zero if it concerns no partition.
struct KafkaFault {
  int code;
  int64_t partition;
  std::string text;
};

struct Watermarks {
  int error = 0;
  int64_t low = 0;
  int64_t high = 0;
};

class KafkaClient;

// Messages of one poll. Their bytes are valid while this lives.
class KafkaPoll {
 public:
  explicit KafkaPoll(std::shared_ptr<KafkaClient> client) : client_(std::move(client)) {}
  KafkaPoll(const KafkaPoll&) = delete;
  KafkaPoll& operator=(const KafkaPoll&) = delete;
  ~KafkaPoll();

  std::vector<int64_t> partitions;
  std::vector<int64_t> offsets;
  std::vector<int64_t> timestamps_ms;  // -1: none
  std::vector<Span> keys;
  std::vector<Span> values;
  std::vector<Header> headers;      // of all messages
  std::vector<size_t> header_ends;  // where the headers of each message end
  std::vector<KafkaFault> faults;

 private:
  friend class KafkaConsumer;

  void add(KafkaMessage* message, const LibrdkafkaFunctions& kafka);
  void add_headers(KafkaMessage* message, const LibrdkafkaFunctions& kafka);
  Span copied(Span bytes);

  std::shared_ptr<KafkaClient> client_;  // librdkafka wants its messages back before its client ends
  std::vector<KafkaMessage*> messages_;
  std::vector<std::unique_ptr<uint8_t[]>> copies_;  // pieces of memory for headers
  uint8_t* free_ = nullptr;                         // the rest of the last one
  size_t free_bytes_ = 0;
  size_t bytes_ = 0;  // of their keys, values and headers
};

class KafkaConsumer {
 public:
  // `library` is the path of librdkafka, which is loaded already. Sets `error` if it can't be used, or refuses a
  // property.
  KafkaConsumer(const std::string& library, const std::vector<std::pair<std::string, std::string>>& properties,
                const std::string& topic, std::string& error);
  ~KafkaConsumer();

  // These return an error text, or an empty one.
  std::string assign(const std::vector<std::pair<int64_t, int64_t>>& offsets);
  std::string unassign(const std::vector<int64_t>& partitions);

  // The next offset to read of each partition; below zero if nothing was read yet.
  std::vector<int64_t> positions(const std::vector<int64_t>& partitions) const;

  // The log's first offset and its end: what is known of the last fetch, or asked for if there is a time-out.
  Watermarks watermarks(int64_t partition, int timeout_ms) const;

  // Takes up to `most` messages, and waits for them. Takes no more once they hold `enough_bytes`.
  std::shared_ptr<KafkaPoll> poll(size_t most, size_t enough_bytes, int timeout_ms);

  std::deque<KafkaEvent> take_events();
  std::string error_text(int code) const;
  void close();

 private:
  std::shared_ptr<KafkaClient> client_;
  const std::string topic_;
};

}  // namespace recording
