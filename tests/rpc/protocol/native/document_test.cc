// docs/native_protocol.md against the code: its examples are what the writer writes and the reader
// takes, and its tables say what the constants are.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "tests/support/raw_frames.h"
#include "tests/support/scripted_transport.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/protocol/close_reason.h"
#include "weft/rpc/protocol/native/frame_reader.h"
#include "weft/rpc/protocol/native/frame_writer.h"
#include "weft/rpc/protocol/native/handshake.h"
#include "weft/rpc/protocol/native/hello.pb.h"
#include "weft/rpc/protocol/native/native_session.h"

namespace weft::internal::native {
namespace {

std::string Document() {
  // tests/rpc/protocol/native/ stands four folders below the root.
  const std::filesystem::path path =
      std::filesystem::path(__FILE__).parent_path() / "../../../../docs/native_protocol.md";
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> Lines() {
  std::istringstream document(Document());
  std::vector<std::string> lines;
  for (std::string line; std::getline(document, line);) lines.push_back(line);
  return lines;
}

// Blocks that begin with "```hex name": their bytes by name.
std::map<std::string, std::string> Examples() {
  std::map<std::string, std::string> examples;
  // Null outside a block of an example.
  std::string* current = nullptr;
  for (const std::string& line : Lines()) {
    if (line.rfind("```hex ", 0) == 0) {
      const auto [at, fresh] = examples.try_emplace(line.substr(7));
      // A second example of one name would replace the first, which nobody would check then.
      EXPECT_TRUE(fresh) << line;
      current = &at->second;
    } else if (line.rfind("```", 0) == 0) {
      current = nullptr;
    } else if (current != nullptr) {
      // Behind a semicolon stands an explanation.
      std::istringstream words(line.substr(0, line.find(';')));
      for (std::string word; words >> word;) {
        EXPECT_EQ(word.size(), 2u) << line;
        current->push_back(static_cast<char>(std::stoi(word, nullptr, 16)));
      }
    }
  }
  return examples;
}

// The rows of the table whose head begins with these columns.
std::vector<std::vector<std::string>> Table(const std::vector<std::string>& head) {
  std::vector<std::vector<std::string>> rows;
  bool inside = false;
  for (const std::string& line : Lines()) {
    if (line.rfind("|", 0) != 0) {
      if (inside) break;
      continue;
    }
    std::vector<std::string> cells;
    for (absl::string_view cell : absl::StrSplit(line, '|')) {
      cells.emplace_back(absl::StripAsciiWhitespace(cell));
    }
    // A line begins and ends with a bar, so the first and the last cell are empty.
    cells.erase(cells.begin());
    cells.pop_back();
    if (inside && cells[0].find("---") == std::string::npos) rows.push_back(cells);
    if (cells.size() >= head.size() && std::equal(head.begin(), head.end(), cells.begin())) {
      inside = true;
    }
  }
  // A renamed column must not make the test look at nothing.
  EXPECT_FALSE(rows.empty()) << head[0];
  return rows;
}

// The bytes that a frame writer puts into its output.
std::string Written(size_t max_frame, const std::function<void(FrameWriter&)>& write) {
  auto record = std::make_shared<WriteRecord>();
  OutputQueue queue(std::make_unique<ScriptedTransport>(record));
  {
    MutexLock lock(queue.mutex());
    FrameWriter writer(queue, max_frame);
    write(writer);
    EXPECT_TRUE(queue.Claim());
  }
  EXPECT_EQ(queue.Flush(), OutputQueue::Flushed::kAll);
  return record->written();
}

OutMessage BytesOf(std::string_view bytes) {
  OutMessage out;
  out.bytes = bytes;
  out.size = bytes.size();
  return out;
}

std::string Plain(const FrameHeader& header, std::string_view bytes) {
  return Written(kMinFrame, [&](FrameWriter& w) { w.Plain(header, bytes); });
}

// Bytes as the document shows them, so that a failure can be compared by eye.
std::string HexOf(std::string_view bytes) {
  std::string hex;
  for (const char c : bytes) {
    constexpr char kDigits[] = "0123456789ABCDEF";
    hex += kDigits[static_cast<uint8_t>(c) >> 4];
    hex += kDigits[static_cast<uint8_t>(c) & 15];
    hex += ' ';
  }
  return hex;
}

Metadata MetadataOf(const std::vector<std::pair<std::string, std::string>>& pairs) {
  Metadata metadata;
  for (const auto& [key, value] : pairs) EXPECT_TRUE(metadata.Add(key, value).ok());
  return metadata;
}

// The bytes that the code writes for the document's examples.
std::map<std::string, std::string> WhatTheCodeWrites() {
  std::map<std::string, std::string> written;
  written["preface"] = std::string(kPreface.data(), kPreface.size());
  written["hello"] = Plain({0, FrameType::kHello, 0, 0, 0},
                           Handshake::MakeHello(SessionLimits(), {.token = "sesame"}));
  // A message of the demo: field 1 with a text.
  const std::string carrot =
      "\x0A\x06"
      "carrot";
  written["request-named"] = Written(kMinFrame, [&](FrameWriter& w) {
    RequestHead head;
    head.id = 1;
    head.method = 1;
    head.method_name = "demo.Greeter/Say";
    head.timeout_us = 1'500'000;
    w.Request(head, BytesOf(carrot));
  });
  written["request-numbered"] = Written(kMinFrame, [&](FrameWriter& w) {
    RequestHead head;
    head.id = 2;
    head.method = 1;
    w.Request(head, BytesOf(carrot));
  });
  written["request-metadata"] = Written(kMinFrame, [&](FrameWriter& w) {
    const Metadata metadata = MetadataOf({{"tenant", "blue"}, {"k", "v"}});
    RequestHead head;
    head.id = 3;
    head.method = 1;
    head.metadata = &metadata;
    w.Request(head, BytesOf(carrot));
  });
  written["response"] = Written(kMinFrame, [](FrameWriter& w) {
    w.Response({.id = 1, .handler_us = 1'234}, BytesOf("\x0A\x06"
                                                       "potato"));
  });
  written["error"] = Written(kMinFrame, [](FrameWriter& w) {
    w.Error({.id = 2}, absl::UnavailableError("going for now"), true);
  });
  written["headers"] = Written(kMinFrame, [](FrameWriter& w) {
    w.Headers(1, MetadataOf({{"shard", "n-7"}}));
  });
  absl::Status status = absl::NotFoundError("no cat");
  status.SetPayload("u/Detai", absl::Cord("v"));
  written["error-details"] = Written(
      kMinFrame, [&](FrameWriter& w) { w.Error({.id = 3, .handler_us = 7}, status, false); });
  const std::string long_message =
      "\x0A\x1C"
      "abcdefghijklmnopqrstuvwxyz01";
  // A limit of 20 bytes, which no peer may announce: so the example is short enough for a page.
  written["pieces"] = Written(20, [&](FrameWriter& w) {
    BlockRef block = BlockRef::New(long_message.size());
    std::copy(long_message.begin(), long_message.end(), block->data());
    const char* data = block->data();
    std::vector<MessagePiece> pieces;
    pieces.push_back({std::move(block), data, long_message.size()});
    OutMessage out;
    out.pieces = &pieces;
    out.size = long_message.size();
    RequestHead head;
    head.id = 4;
    head.method = 1;
    PieceCursor rest = w.Request(head, out);
    while (rest.left > 0) w.Data(4, /*reply=*/false, pieces, nullptr, &rest);
  });
  written["attachment"] = Written(kMinFrame, [](FrameWriter& w) {
    const std::string_view message =
        "\x0A\x06"
        "potato";
    std::vector<MessagePiece> pieces;
    for (const std::string_view part : {message, std::string_view("raw!!")}) {
      BlockRef block = BlockRef::New(part.size());
      std::copy(part.begin(), part.end(), block->data());
      const char* data = block->data();
      pieces.push_back({std::move(block), data, part.size()});
    }
    OutMessage out;
    out.pieces = &pieces;
    out.size = 13;
    out.attachment_size = 5;
    w.Response({.id = 1, .handler_us = 1'234}, out);
  });
  written["stream-open"] = Written(kMinFrame, [](FrameWriter& w) {
    RequestHead head;
    head.id = 5;
    head.method = 2;
    head.method_name = "demo.Greeter/Say";
    head.open = true;
    w.Request(head, OutMessage());
  });
  written["stream-message"] = Written(kMinFrame, [](FrameWriter& w) {
    w.StreamMessage({.id = 5, .reply = true}, BytesOf("\x0A\x06"
                                                      "potato"));
  });
  written["stream-end"] = Plain({0, FrameType::kMessage, kEnd | kNoMessage, 0, 5}, "");
  written["window"] = Plain({0, FrameType::kWindow, kReply, 0, 5}, std::string("\0\0\1\0", 4));
  const Metadata metadata = MetadataOf({{"tenant", "blue"}, {"ids-bin", std::string("\0\xFF", 2)}});
  std::string bytes(metadata.WireSize(), '\0');
  metadata.WriteTo(bytes.data());
  written["metadata"] = bytes;
  written["cancel"] = Plain({0, FrameType::kCancel, 0, 4, 7}, "");
  written["ping"] = Plain({0, FrameType::kPing, 0, 0, 42}, "");
  written["pong"] = Plain({0, FrameType::kPing, kReply, 0, 42}, "");
  std::string clock(kClockSize, '\0');
  // The document's example is of this moment.
  StoreWire(clock.data(), uint64_t{1'780'000'000'000'000});
  written["pong-clock"] = Plain({0, FrameType::kPing, kReply, 0, 42}, clock);
  written["goaway-announced"] =
      Plain({0, FrameType::kGoAway, 0, 14, kNoCallNamed}, "the server is stopping");
  written["goaway"] = Plain({0, FrameType::kGoAway, 0, 14, 9}, "the server is stopping");
  written["goaway-ack"] = Plain({0, FrameType::kGoAwayAck, 0, 0, 0}, "");
  return written;
}

TEST(NativeProtocolDocument, ExamplesAreWhatTheCodeWrites) {
  const std::map<std::string, std::string> examples = Examples();
  const std::map<std::string, std::string> written = WhatTheCodeWrites();
  for (const auto& [name, bytes] : written) {
    // In both directions: an example that the code does not write is as wrong as a missing one.
    ASSERT_TRUE(examples.count(name) == 1) << "not in the document: " << name;
    EXPECT_EQ(HexOf(examples.at(name)), HexOf(bytes)) << name;
  }
  for (const auto& [name, bytes] : examples) {
    EXPECT_EQ(written.count(name), 1u) << "only in the document: " << name;
  }
}

TEST(NativeProtocolDocument, ExamplesAreWhatTheCodeTakes) {
  for (const auto& [name, bytes] : Examples()) {
    // These two are no frames.
    if (name == "preface" || name == "metadata") continue;
    std::string_view left = bytes;
    while (!left.empty()) {
      ASSERT_GE(left.size(), kHeaderSize) << name;
      const FrameHeader header = ReadHeader(left.data());
      // The frames of the example with pieces are shorter than any that peers agree on, and taken
      // all the same.
      EXPECT_EQ(FrameReader::CheckHeader(header, kMinFrame), FrameError::kNone) << name;
      left.remove_prefix(kHeaderSize);
      ASSERT_GE(left.size(), header.length) << name;
      const std::string_view body = left.substr(0, header.length);
      left.remove_prefix(header.length);
      if (header.type == FrameType::kRequest) {
        RequestFrame frame;
        EXPECT_EQ(FrameReader::ReadRequest(header, body, &frame), FrameError::kNone) << name;
        EXPECT_TRUE(Metadata().ReadFrom(frame.metadata).ok()) << name;
      } else if (header.type == FrameType::kResponse) {
        ResponseFrame frame;
        EXPECT_EQ(FrameReader::ReadResponse(header, body, &frame), FrameError::kNone) << name;
      } else if (header.type == FrameType::kHello) {
        const auto agreement = Handshake::ReadHello(body, SessionLimits());
        ASSERT_TRUE(agreement.ok()) << agreement.status();
        EXPECT_EQ(agreement->facts.token, "sesame");
      } else if (header.type == FrameType::kHeaders) {
        EXPECT_TRUE(Metadata().ReadFrom(body).ok()) << name;
      }
    }
  }
}

TEST(NativeProtocolDocument, NamesTheFieldsOfHello) {
  // The message is lite and knows no names: each field is told by the bytes that it makes.
  std::map<std::string, std::string> fields;
  const auto add = [&](const char* name, const std::function<void(Hello*)>& set) {
    Hello hello;
    set(&hello);
    fields[name] = hello.SerializeAsString();
  };
  add("lowest_version", [](Hello* h) { h->set_lowest_version(1); });
  add("highest_version", [](Hello* h) { h->set_highest_version(1); });
  add("max_frame_bytes", [](Hello* h) { h->set_max_frame_bytes(1); });
  add("max_message_bytes", [](Hello* h) { h->set_max_message_bytes(1); });
  add("max_metadata_bytes", [](Hello* h) { h->set_max_metadata_bytes(1); });
  add("max_calls", [](Hello* h) { h->set_max_calls(1); });
  add("max_methods", [](Hello* h) { h->set_max_methods(1); });
  add("heartbeat_ms", [](Hello* h) { h->set_heartbeat_ms(1); });
  add("heartbeat_misses", [](Hello* h) { h->set_heartbeat_misses(1); });
  add("auth_token", [](Hello* h) { h->set_auth_token("x"); });
  add("node", [](Hello* h) { h->set_node("x"); });
  add("cluster", [](Hello* h) { h->set_cluster("x"); });
  add("incarnation", [](Hello* h) { h->set_incarnation(1); });
  add("dial_nonce", [](Hello* h) { h->set_dial_nonce(1); });
  add("connection", [](Hello* h) { h->set_connection(1); });
  add("connections", [](Hello* h) { h->set_connections(1); });
  add("features", [](Hello* h) { h->set_features(1); });
  add("required_features", [](Hello* h) { h->set_required_features(1); });
  add("stream_window_bytes", [](Hello* h) { h->set_stream_window_bytes(1); });
  add("connection_window_bytes", [](Hello* h) { h->set_connection_window_bytes(1); });
  add("last_dial", [](Hello* h) { h->set_last_dial(1); });
  add("wanted_node", [](Hello* h) { h->set_wanted_node("x"); });
  add("refused", [](Hello* h) { h->set_refused(true); });
  const auto rows = Table({"field", "number", "type"});
  EXPECT_EQ(rows.size(), fields.size());
  for (const auto& row : rows) {
    ASSERT_EQ(fields.count(row[0]), 1u) << row[0];
    const int number = std::stoi(row[1]);
    const bool text = row[2] == "bytes" || row[2] == "string";
    std::string expected = raw::Varint(number, 1);
    if (text) {
      expected = raw::Varint(number, 1) + "x";
      // protobuf's mark of a field with a length.
      expected[0] = static_cast<char>(expected[0] | 2);
    }
    EXPECT_EQ(HexOf(fields[row[0]]), HexOf(expected)) << row[0];
  }
}

TEST(NativeProtocolDocument, NamesTheTypesOfFrames) {
  const std::map<std::string, FrameType> types = {
      {"REQUEST", FrameType::kRequest}, {"RESPONSE", FrameType::kResponse},
      {"DATA", FrameType::kData},       {"CANCEL", FrameType::kCancel},
      {"WINDOW", FrameType::kWindow},   {"PING", FrameType::kPing},
      {"GOAWAY", FrameType::kGoAway},   {"GOAWAY_ACK", FrameType::kGoAwayAck},
      {"HEADERS", FrameType::kHeaders}, {"MESSAGE", FrameType::kMessage},
      {"HELLO", FrameType::kHello}};
  const auto rows = Table({"type", "name", "aux"});
  EXPECT_EQ(rows.size(), types.size());
  std::set<int> known;
  for (const auto& row : rows) {
    ASSERT_EQ(types.count(row[1]), 1u) << row[1];
    EXPECT_EQ(std::stoi(row[0], nullptr, 16), static_cast<int>(types.at(row[1]))) << row[1];
    // A reserved type would have a row, though readers refuse its frames.
    if (row[4].find("reserved") == std::string::npos) {
      known.insert(static_cast<int>(types.at(row[1])));
    }
  }
  // The other way round, too: a type that the code knows and the page does not is found.
  for (int type = 0; type < 256; ++type) {
    const FrameHeader header{0, static_cast<FrameType>(type), 0, 0, 1};
    EXPECT_EQ(FrameReader::CheckHeader(header, kMinFrame) != FrameError::kUnknownType,
              known.count(type) == 1)
        << type;
  }
}

TEST(NativeProtocolDocument, NamesTheFlagsOfEachType) {
  const std::map<std::string, int> flags = {{"END", kEnd},
                                            {"MORE", kMore},
                                            {"COMPRESSED", kCompressed},
                                            {"METADATA", kMetadata},
                                            {"ATTACHMENT", kAttachment},
                                            {"ONEWAY", kOneway},
                                            {"NAMED", kNamed},
                                            {"NOT_EXECUTED", kNotExecuted},
                                            {"NO_MESSAGE", kNoMessage},
                                            {"REPLY", kReply}};
  const std::map<std::string, FrameType> types = {
      {"REQUEST", FrameType::kRequest}, {"RESPONSE", FrameType::kResponse},
      {"DATA", FrameType::kData},       {"MESSAGE", FrameType::kMessage},
      {"WINDOW", FrameType::kWindow},   {"PING", FrameType::kPing}};
  std::map<FrameType, int> allowed;
  const auto rows = Table({"flag", "name", "in"});
  EXPECT_EQ(rows.size(), flags.size());
  for (const auto& row : rows) {
    ASSERT_EQ(flags.count(row[1]), 1u) << row[1];
    EXPECT_EQ(std::stoi(row[0], nullptr, 16), flags.at(row[1])) << row[1];
    // A flag for later has no frame that it may stand in.
    if (row[2].empty()) continue;
    for (absl::string_view type : absl::StrSplit(row[2], ", ")) {
      ASSERT_EQ(types.count(std::string(type)), 1u) << row[2];
      allowed[types.at(std::string(type))] |= flags.at(row[1]);
    }
  }
  // Types that the table does not name allow no flag at all.
  for (int type = 0; type < 256; ++type) {
    const auto t = static_cast<FrameType>(type);
    EXPECT_EQ(AllowedFlags(t), allowed.count(t) == 1 ? allowed[t] : 0) << type;
  }
}

TEST(NativeProtocolDocument, NamesTheStatuses) {
  const auto rows = Table({"code", "status"});
  EXPECT_EQ(rows.size(), 17u);
  for (const auto& row : rows) {
    const auto code = static_cast<uint16_t>(std::stoi(row[0]));
    EXPECT_EQ(StatusCodeName(FromWireCode(code)), row[1]);
  }
}

TEST(NativeProtocolDocument, NamesTheReasonsOfFaults) {
  std::set<std::string> reasons;
  for (size_t i = 0; i < kCloseReasons; ++i) {
    reasons.emplace(CloseReasonName(static_cast<CloseReason>(i)));
  }
  // Ends that are nobody's fault, and one before the protocol's first byte.
  for (const CloseReason reason :
       {CloseReason::kPeerClosed, CloseReason::kBroken, CloseReason::kLocal, CloseReason::kGoAway,
        CloseReason::kHandshakeFailed}) {
    reasons.erase(std::string(CloseReasonName(reason)));
  }
  std::set<std::string> named;
  for (const auto& row : Table({"fault", "reason"})) {
    EXPECT_EQ(reasons.count(row[1]), 1u) << row[1];
    named.insert(row[1]);
  }
  // Each reason of a fault has a row, and each row a reason.
  EXPECT_EQ(named, reasons);
}

TEST(NativeProtocolDocument, NamesTheLimits) {
  const std::map<std::string, size_t> limits = {
      {"header", kHeaderSize},
      {"least max_frame_bytes", kMinFrame},
      {"largest max_frame_bytes", kLargestFrame},
      {"default max_frame_bytes", SessionLimits().max_frame_bytes},
      {"largest message", MessageCodec::kMax},
      {"default max_message_bytes", SessionLimits().max_message_bytes},
      {"largest metadata", kMaxMetadata}};
  const auto rows = Table({"limit", "bytes"});
  EXPECT_EQ(rows.size(), limits.size());
  for (const auto& row : rows) {
    ASSERT_EQ(limits.count(row[0]), 1u) << row[0];
    EXPECT_EQ(std::stoull(row[1]), limits.at(row[0])) << row[0];
  }
  // These limits stand in the text, not in the table.
  const std::string text = Document();
  EXPECT_NE(text.find("keeps " + std::to_string(HeldFrames::kMaxBytes) + " bytes"),
            std::string::npos);
  EXPECT_NE(text.find("at most " + std::to_string(HandshakePhase::kMaxRefusals) + " of them"),
            std::string::npos);
  EXPECT_NE(text.find("handshake time (5 s,"), std::string::npos);
  EXPECT_EQ(SessionLimits().handshake_timeout, absl::Seconds(5));
  EXPECT_EQ(kWireVersion, 1u);
}

}  // namespace
}  // namespace weft::internal::native
