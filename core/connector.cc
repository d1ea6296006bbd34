#include "weft/core/connector.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/plain_transport.h"

namespace weft {

Connector::Connector(EventLoop& loop, std::shared_ptr<InProcessNetwork> network)
    : loop_(loop),
      network_(std::move(network)),
      resolver_(loop),
      deadline_(loop,
                [this] {
                  loop_.AssertInLoop();
                  std::string text =
                      absl::StrCat(phase_, " ", target_text_, ": no answer", After());
                  if (!last_error_.ok()) {
                    absl::StrAppend(&text, "; before that: ", std::string(last_error_.message()));
                  }
                  Finish(absl::UnavailableError(text));
                }),
      begin_(loop, [this] {
        loop_.AssertInLoop();
        if (target_.is_in_process()) {
          phase_ = "connect";
          Finish(network_ != nullptr ? network_->Dial(target_.in_process_name, loop_.clock())
                                     : absl::UnavailableError(absl::StrCat(
                                           "connect ", target_text_, ": no in-process network")));
          return;
        }
        resolver_.Resolve(target_, [this](absl::StatusOr<std::vector<SocketAddress>> addresses) {
          loop_.AssertInLoop();
          if (!addresses.ok()) {
            Finish(absl::UnavailableError(
                absl::StrCat(std::string(addresses.status().message()), After())));
            return;
          }
          phase_ = "connect";
          addresses_ = *std::move(addresses);
          next_ = 0;
          TryNext();
        });
      }) {}

Connector::~Connector() WEFT_NO_THREAD_ANALYSIS { Cancel(); }

std::string Connector::After() {
  return absl::StrCat(" (after ", InMs(loop_.clock().Now() - started_), ")");
}

void Connector::Start(const HostPort& target, const std::string& target_text, Nanos limit,
                      OnConnected done) {
  Cancel();
  target_ = target;
  target_text_ = target_text;
  phase_ = "resolve";
  done_ = std::move(done);
  started_ = loop_.clock().Now();
  last_error_ = absl::OkStatus();
  deadline_.StartAfter(limit);
  begin_.StartAt(started_);
}

void Connector::Cancel() {
  resolver_.Cancel();
  watch_.Stop();
  deadline_.Stop();
  begin_.Stop();
  socket_ = Socket();
  done_ = nullptr;
}

void Connector::TryNext() {
  while (next_ < addresses_.size()) {
    const SocketAddress& address = addresses_[next_++];
    bool connected = false;
    absl::StatusOr<Socket> socket = Socket::StartConnect(address, &connected);
    if (!socket.ok()) {
      last_error_ = socket.status();
      continue;
    }
    socket_ = *std::move(socket);
    if (connected) {
      FinishWith(std::move(socket_));
      return;
    }
    absl::Status watched = watch_.Start(loop_, socket_.fd(), this);
    if (!watched.ok()) {
      last_error_ = watched;
      continue;
    }
    watch_.WatchWrite(true);
    return;
  }
  const std::string why(last_error_.message());
  // One address: the error names it already.
  Finish(absl::UnavailableError(absl::StrCat(why, After())));
}

void Connector::OnWritable() {
  loop_.AssertInLoop();
  watch_.Stop();
  absl::Status result = socket_.ConnectResult();
  if (result.ok()) {
    FinishWith(std::move(socket_));
    return;
  }
  std::string text(result.message());  // "connect: <reason>"
  const std::string address = addresses_[next_ - 1].ToString();
  last_error_ = absl::UnavailableError(
      absl::StrCat("connect ", address, text.substr(std::string("connect").size())));
  TryNext();
}

void Connector::FinishWith(Socket socket) {
  Finish(std::make_unique<PlainTransport>(std::move(socket)));
}

void Connector::Finish(absl::StatusOr<std::unique_ptr<Transport>> result) {
  OnConnected done = std::move(done_);
  Cancel();
  if (done) done(std::move(result));
}

}  // namespace weft
