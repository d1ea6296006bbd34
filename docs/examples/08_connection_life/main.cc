#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ticker.weft.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"

class Ticker final : public ticker::Ticker::Service {
 public:
  absl::Status Now(weft::ServerContext&, ticker::NowRequest&, ticker::NowReply& reply) override {
    reply.set_ticks(1);
    return absl::OkStatus();
  }
};

class Diary {
 public:
  weft::ConnectionListener Listener() {
    return [this](const weft::ConnectionEvent& event) {
      // Runs on the I/O thread: a long wait here would stop the connection itself.
      std::lock_guard<std::mutex> lock(mu_);
      lines_.emplace_back(weft::ConnectionStateName(event.state));
      changed_.notify_all();
    };
  }
  // Waits for so many lines, and prints them.
  void Print(size_t count) {
    std::unique_lock<std::mutex> lock(mu_);
    changed_.wait(lock, [&] { return lines_.size() >= count; });
    for (const std::string& line : lines_) std::printf("- %s\n", line.c_str());
    lines_.clear();
  }

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  std::vector<std::string> lines_;
};

int main() {
  Ticker service;
  weft::ServerOptions server_options;
  // A health check would be turned off here, before any client is told.
  server_options.on_state = [](weft::ServerState state) {
    if (state == weft::ServerState::kDraining) std::printf("the server takes no more calls\n");
  };
  weft::Server server(server_options);
  absl::Status status = server.Register(service);
  if (status.ok()) status = server.Start("127.0.0.1:0");
  if (!status.ok()) return 1;

  Diary diary;
  weft::ChannelOptions options;
  options.on_connection = diary.Listener();
  options.idle_timeout = absl::Milliseconds(50);
  const std::string target = "127.0.0.1:" + std::to_string(server.port());
  auto channel = weft::Channel::Create(target, options);
  if (!channel.ok()) return 1;
  ticker::Ticker::Stub ticker(**channel);
  // The first call makes the connection: Create has only looked at the address.
  if (!ticker.Now(ticker::NowRequest()).ok()) return 1;
  // connecting, up, going away, down: the idle channel closes its connection by itself.
  diary.Print(4);

  // Off, so that its connection is still there when it is looked at.
  options.idle_timeout = absl::ZeroDuration();
  // The diary counts lines: a second channel's would be taken for the first one's.
  options.on_connection = nullptr;
  auto other = weft::Channel::Create(target, options);
  if (!other.ok() || !ticker::Ticker::Stub(**other).Now(ticker::NowRequest()).ok()) return 1;
  for (const weft::ConnectionInfo& connection : (*other)->connections()) {
    std::printf("to %s: %s, %s\n", connection.peer.c_str(),
                std::string(weft::ConnectionStateName(connection.state)).c_str(),
                connection.bytes_in > 0 && connection.bytes_out > 0 ? "used" : "unused");
  }

  // Calls under way end within ServerOptions::drain. There is none here, so Stop returns soon.
  server.Stop();
  // After Stop the channel still exists; it finds nobody to connect to.
  const absl::Status gone = ticker::Ticker::Stub(**other).Now(ticker::NowRequest()).status();
  std::printf("%s\n", absl::StatusCodeToString(gone.code()).c_str());
  return 0;
}
