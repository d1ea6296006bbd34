#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "feed.weft.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"

struct Subscriber {
  weft::AsyncServerWriter<feed::Entry> entries;
  int64_t next = 0;      // the entry that is to be written next
  bool waiting = false;  // for room; OnReady will call
  // Called when the caller has cancelled or is lost. Last, so that it is destroyed first.
  std::optional<std::stop_callback<std::function<void()>>> on_end = std::nullopt;
};

class Log final : public feed::Log::AsyncService {
 public:
  static constexpr size_t kKept = 100;

  void Append(weft::ServerContext&, feed::AppendRequest& request,
              weft::Responder<feed::AppendReply> responder) override {
    // Destroyed behind the mutex: a stop callback that runs at this moment waits for it in Drop.
    std::vector<std::shared_ptr<Subscriber>> ended;
    {
      const std::lock_guard lock(mu_);
      feed::Entry entry;
      entry.set_number(first_ + static_cast<int64_t>(kept_.size()));
      entry.set_text(std::move(*request.mutable_text()));
      responder.reply().set_number(entry.number());
      kept_.push_back(std::move(entry));
      if (kept_.size() > kKept) {
        kept_.pop_front();
        ++first_;
      }
      for (auto it = subscribers_.begin(); it != subscribers_.end();) {
        if (Send(it->first, *it->second)) {
          ++it;
        } else {
          ended.push_back(std::move(it->second));
          it = subscribers_.erase(it);
        }
      }
    }
    responder.Finish();
  }

  void Follow(weft::ServerContext& call, feed::FollowRequest& request,
              weft::AsyncServerWriter<feed::Entry> entries) override {
    const std::stop_token gone = call.stop_token();
    auto subscriber = std::make_shared<Subscriber>(std::move(entries), request.from());
    int64_t id = 0;
    {
      const std::lock_guard lock(mu_);
      id = ++last_id_;
      // Under one lock with the insertion: no Append comes between the kept entries and the next
      // one.
      if (!Send(id, *subscriber)) return;
      subscribers_[id] = subscriber;
    }
    // After the mutex: a call that has ended already runs Drop here and now.
    subscriber->on_end.emplace(gone, [this, id] { Drop(id); });
  }

  // Ends all streams; their callers may follow another server from where they are.
  void Close() {
    std::map<int64_t, std::shared_ptr<Subscriber>> ended;
    const std::lock_guard lock(mu_);
    for (auto& [id, subscriber] : subscribers_) {
      subscriber->entries.Finish(absl::UnavailableError("the log closes"));
    }
    ended.swap(subscribers_);
  }

 private:
  // Writes what there is, while there is room. False: the stream has ended.
  bool Send(int64_t id, Subscriber& subscriber) {
    if (subscriber.next < first_) {
      subscriber.entries.Finish(absl::ResourceExhaustedError("too slow: entries were dropped"));
      return false;
    }
    // OnReady is registered already, and goes on from `next`.
    if (subscriber.waiting) return true;
    while (subscriber.next < first_ + static_cast<int64_t>(kept_.size())) {
      if (!subscriber.entries.TryWrite(kept_[static_cast<size_t>(subscriber.next - first_)])) {
        subscriber.waiting = true;
        subscriber.entries.OnReady([this, id] { GoOn(id); });
        return true;
      }
      ++subscriber.next;
    }
    return true;
  }

  // There is room again, or the call has ended.
  void GoOn(int64_t id) {
    // Declared before the lock, so that it is destroyed after the mutex is free.
    std::shared_ptr<Subscriber> ended;
    const std::lock_guard lock(mu_);
    const auto it = subscribers_.find(id);
    if (it == subscribers_.end()) return;
    it->second->waiting = false;
    if (!it->second->entries.ended() && Send(id, *it->second)) return;
    ended = std::move(it->second);
    subscribers_.erase(it);
    if (!ended->entries.finished()) ended->entries.Finish(absl::CancelledError("nobody follows"));
  }

  void Drop(int64_t id) {
    std::shared_ptr<Subscriber> ended;
    const std::lock_guard lock(mu_);
    const auto it = subscribers_.find(id);
    if (it == subscribers_.end()) return;
    ended = std::move(it->second);
    subscribers_.erase(it);
    ended->entries.Finish(absl::CancelledError("nobody follows"));
  }

  std::mutex mu_;
  std::deque<feed::Entry> kept_;
  int64_t first_ = 0;  // the number of the oldest entry that is kept
  int64_t last_id_ = 0;
  std::map<int64_t, std::shared_ptr<Subscriber>> subscribers_;
};

class Follower {
 public:
  explicit Follower(feed::Log::Stub log)
      : entries_(log.Follow(feed::FollowRequest(), {.timeout = absl::InfiniteDuration()})) {
    ReadNext();
  }

  // Waits for so many entries, or for the end.
  void WaitFor(int64_t count) {
    std::unique_lock lock(mu_);
    changed_.wait(lock, [&] { return in_order_ >= count || ended_.has_value(); });
  }
  absl::Status WaitForEnd() {
    std::unique_lock lock(mu_);
    changed_.wait(lock, [&] { return ended_.has_value(); });
    return *ended_;
  }
  int64_t in_order() {
    const std::lock_guard lock(mu_);
    return in_order_;
  }

 private:
  void ReadNext() {
    // The next read begins inside the callback of the last one: there is one read at a time, and
    // `entry_` is its own.
    entries_.ReadAsync(&entry_, [this](bool more) {
      if (more) {
        Count();
        ReadNext();
      } else {
        entries_.FinishAsync([this](const absl::Status& status) { End(status); });
      }
    });
  }
  void Count() {
    const std::lock_guard lock(mu_);
    // A gap or a repetition stops the count: main's WaitFor would not return.
    if (entry_.number() == in_order_) ++in_order_;
    changed_.notify_all();
  }
  void End(const absl::Status& status) {
    const std::lock_guard lock(mu_);
    ended_ = status;
    changed_.notify_all();
  }

  weft::ClientReader<feed::Entry> entries_;
  feed::Entry entry_;
  std::mutex mu_;
  std::condition_variable changed_;
  int64_t in_order_ = 0;
  std::optional<absl::Status> ended_;
};

int main() {
  Log service;
  weft::ServerOptions options;
  options.on_state = [&service](weft::ServerState state) {
    // Without this Stop would wait for the whole drain: these streams never end by themselves.
    if (state == weft::ServerState::kDraining) service.Close();
  };
  weft::Server server(options);
  absl::Status status = server.Register(service);
  if (status.ok()) status = server.Start("127.0.0.1:0");
  if (!status.ok()) return 1;
  auto channel = weft::Channel::Create("127.0.0.1:" + std::to_string(server.port()));
  if (!channel.ok()) return 1;
  feed::Log::Stub log(**channel);

  std::vector<std::unique_ptr<Follower>> followers;
  for (int i = 0; i < 10; ++i) followers.push_back(std::make_unique<Follower>(log));
  auto slow = log.Follow(feed::FollowRequest(), {.timeout = absl::InfiniteDuration()});
  feed::Entry entry;
  feed::AppendRequest line;
  line.set_text(std::string(1000, 'x'));
  for (int count = 1; count <= 1000; ++count) {
    if (!log.Append(line).ok()) return 1;
    if (count == 1 && !slow.Read(&entry)) return 1;  // the first, and then no more for a while
    // In step with the followers: kKept is 100, so that one that keeps up never loses an entry.
    if (count % 50 != 0) continue;
    for (const auto& follower : followers) follower->WaitFor(count);
  }
  int got_all = 0;
  for (const auto& follower : followers) got_all += follower->in_order() == 1000 ? 1 : 0;
  std::printf("%d followers have all 1000 entries\n", got_all);

  int64_t last = entry.number();
  bool gap = false;
  while (slow.Read(&entry)) {
    gap = gap || entry.number() != last + 1;
    last = entry.number();
  }
  std::printf("the slow one has some of them, without a gap: %s\n",
              !gap && last > 0 && last < 999 ? "yes" : "no");
  std::printf("then: %s\n", slow.Finish().ToString().c_str());

  server.Stop();
  int closed = 0;
  for (const auto& follower : followers)
    closed += absl::IsUnavailable(follower->WaitForEnd()) ? 1 : 0;
  std::printf("%d followers were told that the log closes\n", closed);
  return 0;
}
