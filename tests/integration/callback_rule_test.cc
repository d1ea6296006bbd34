// When callbacks run: never inside a call of the application's, and so never under a lock that is
// held around one. A table of the calls that do not wait, each with callbacks due and a lock held,
// on threads of each kind; and a table of all calls, each made in each callback.
#include <array>
#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/integration/stack.h"
#include "tests/protos/rows.weft.h"
#include "weft/core/in_process_network.h"
#include "weft/core/worker_pool.h"
#include "weft/rpc/testing/fake_streams.h"

namespace weft::test {
namespace {

constexpr CallOptions kLong{.timeout = absl::Minutes(1)};

// A lock that is known to its holder: where a callback would wait for its own thread, it says so.
class UserLock {
 public:
  class Hold {
   public:
    explicit Hold(UserLock& lock) : lock_(lock) {
      lock_.mu_.lock();
      lock_.holder_ = std::this_thread::get_id();
    }
    ~Hold() {
      lock_.holder_ = std::thread::id();
      lock_.mu_.unlock();
    }

   private:
    UserLock& lock_;
  };
  // The body of each callback.
  void Take(const char* by) {
    // A real lock would hang the test here. The holder is known, so it fails with the callback's
    // name instead.
    // Read without the mutex: only this thread itself can have put its own id there.
    if (holder_ == std::this_thread::get_id()) {
      ADD_FAILURE() << by << " runs inside a call, under the lock held around it";
      return;
    }
    const Hold hold(*this);
  }

 private:
  std::mutex mu_;
  std::atomic<std::thread::id> holder_{};
};

// Keeps the streams of its calls for the test.
class KeptRows final : public Rows::AsyncService {
 public:
  using Talking = AsyncServerStream<Row, Row>;
  using Adding = AsyncServerReader<Row, RowSum>;

  void Talk(ServerContext& context, Talking stream) override {
    (void)context;
    if (!closing_)
      talks.Update([&](auto& all) { all.push_back(std::make_shared<Talking>(std::move(stream))); });
  }
  void Add(ServerContext&, Adding stream) override {
    if (!closing_)
      adds.Update([&](auto& all) { all.push_back(std::make_shared<Adding>(std::move(stream))); });
  }
  // Answers when `in_get` has returned.
  void Get(ServerContext&, RowQuery&, Responder<Row> responder) override {
    if (in_get) in_get();
    responder.Finish();
  }
  // Calls that it keeps end, and so do those that come.
  void Close() {
    closing_ = true;
    talks.Set({});
    adds.Set({});
  }
  std::shared_ptr<Talking> NextTalk() { return Take(talks); }
  std::shared_ptr<Adding> NextAdd() { return Take(adds); }

  std::function<void()> in_get;

 private:
  std::atomic<bool> closing_{false};
  template <typename T>
  static std::shared_ptr<T> Take(Watched<std::vector<std::shared_ptr<T>>>& all) {
    if (!all.WaitFor([](const auto& v) { return !v.empty(); })) std::abort();
    std::shared_ptr<T> taken;
    all.Update([&](auto& v) {
      taken = std::move(v.back());
      v.pop_back();
    });
    return taken;
  }
  Watched<std::vector<std::shared_ptr<Talking>>> talks;
  Watched<std::vector<std::shared_ptr<Adding>>> adds;
};

// The state that callbacks refer to; they may come after the world has gone.
struct Shared {
  UserLock lock;
  Watched<int> due{0};  // callbacks that have not run
  std::list<Row> rows;
};

// A server and a channel in memory, with a listener everywhere, each of which takes the lock.
struct World {
  explicit World(std::function<void(ServerOptions&, ChannelOptions&)> change = nullptr) {
    network = InProcessNetwork::Create({});
    server_options.network = network;
    server_options.worker_threads = 2;
    const auto listener = [shared = shared](const ConnectionEvent&) {
      shared->lock.Take("on_connection");
    };
    server_options.on_connection = listener;
    server_options.on_state = [shared = shared](ServerState) { shared->lock.Take("on_state"); };
    channel_options.network = network;
    channel_options.on_connection = listener;
    if (change) change(server_options, channel_options);
    // Around the listener of the test, so that the world knows when its server has stopped.
    server_options.on_state = [this, told = server_options.on_state](ServerState state) {
      told(state);
      if (state == ServerState::kStopped) stopped.Notify();
    };
    server = std::make_unique<Server>(server_options);
    EXPECT_EQ(server->Register(service), absl::OkStatus());
    EXPECT_EQ(server->Start("inproc:world"), absl::OkStatus());
    Connect();
  }
  ~World() {
    End();
    EXPECT_TRUE(AllCalled());
  }
  // Returns when no handler runs any more.
  void End() {
    // First of all: streams that the service keeps would hold up the server's end.
    service.Close();
    channel.reset();
    server.reset();
    EXPECT_TRUE(stopped.Wait());  // a destructor in a callback has returned at once
  }
  Row* NewRow() { return &shared->rows.emplace_back(); }
  void Connect() {
    channel = ChannelTo("inproc:world", channel_options);
    stub.emplace(*channel);
  }
  // A callback that takes the lock.
  template <typename... Args>
  auto Locks(const char* by) {
    shared->due.Update([](int& n) { ++n; });
    return [shared = shared, by](Args...) {
      shared->lock.Take(by);
      shared->due.Update([](int& n) { --n; });
    };
  }
  [[nodiscard]] bool AllCalled() { return shared->due.WaitForValue(0); }

  const std::shared_ptr<Shared> shared = std::make_shared<Shared>();
  Notification stopped;
  KeptRows service;
  ServerOptions server_options;
  ChannelOptions channel_options;
  std::shared_ptr<InProcessNetwork> network;
  std::unique_ptr<Server> server;
  std::unique_ptr<Channel> channel;
  std::optional<Rows::Stub> stub;
};

// ---- a lock around each call that does not wait

// The objects that a call needs, made before the lock is taken.
struct Prepared {
  std::function<void()> call;
  std::shared_ptr<void> holds = nullptr;
  // Without the lock, while what the call needs is there: a context must outlive its call.
  std::function<void()> then = nullptr;
};

struct NonWaiting {
  const char* name;
  std::function<Prepared(World&)> prepare;
};

using Talk = ClientStream<Row, Row>;

// Both ends of one stream.
struct Pair {
  explicit Pair(World& w) : client(std::make_unique<Talk>(w.stub->Talk(kLong))) {
    server = w.service.NextTalk();
  }

  std::unique_ptr<Talk> client;
  std::shared_ptr<KeptRows::Talking> server;
};

// Reads that wait, on both sides.
void ReadBoth(World& w, Pair& pair) {
  pair.client->ReadAsync(w.NewRow(), w.Locks<bool>("the client's ReadAsync"));
  pair.server->ReadAsync(w.NewRow(), w.Locks<bool>("the server's ReadAsync"));
}

Prepared OnPair(World& w, const std::function<void(Pair&)>& before,
                std::function<void(Pair&)> call) {
  auto pair = std::make_shared<Pair>(w);
  before(*pair);
  return {[pair, call = std::move(call)] { call(*pair); }, pair};
}

// A row from the server that the client has there.
void SendToClient(Pair& pair) {
  EXPECT_TRUE(pair.server->TryWrite(Row()));
  EXPECT_TRUE(pair.client->WaitForInitialMetadata() || true);  // or a message
}

std::vector<NonWaiting> NonWaitingCalls() {
  const auto nothing = [](Pair&) {};
  return {
      {"ReadAsync with a message there",
       [](World& w) {
         return OnPair(w, SendToClient, [&w](Pair& p) {
           p.client->ReadAsync(w.NewRow(), w.Locks<bool>("ReadAsync"));
         });
       }},
      {"ReadAsync of a stream that has ended",
       [](World& w) {
         return OnPair(
             w,
             [](Pair& p) {
               p.server->Finish();
               (void)p.client->Finish();
             },
             [&w](Pair& p) { p.client->ReadAsync(w.NewRow(), w.Locks<bool>("ReadAsync")); });
       }},
      {"the server's ReadAsync of a stream that has ended",
       [](World& w) {
         return OnPair(
             w,
             [](Pair& p) {
               p.client->Cancel();
               EXPECT_TRUE(PollUntil([&] { return p.server->ended(); }));
             },
             [&w](Pair& p) { p.server->ReadAsync(w.NewRow(), w.Locks<bool>("ReadAsync")); });
       }},
      {"OnReady with room",
       [nothing](World& w) {
         return OnPair(w, nothing, [&w](Pair& p) {
           p.client->OnReady(w.Locks<>("the client's OnReady"));
           p.server->OnReady(w.Locks<>("the server's OnReady"));
         });
       }},
      {"WaitForInitialMetadataAsync that need not wait",
       [](World& w) {
         return OnPair(w, SendToClient, [&w](Pair& p) {
           p.client->WaitForInitialMetadataAsync(w.Locks<bool>("WaitForInitialMetadataAsync"));
         });
       }},
      // A read that is told of the end shows that the end has come to the client.
      {"FinishAsync of a call that has ended",
       [](World& w) {
         return OnPair(
             w,
             [](Pair& p) {
               p.server->Finish();
               Row row;
               EXPECT_FALSE(p.client->Read(&row));
             },
             [&w](Pair& p) { p.client->FinishAsync(w.Locks<absl::Status>("FinishAsync")); });
       }},
      {"FinishAsync with a read that waits",
       [](World& w) {
         return OnPair(
             w, [&w](Pair& p) { ReadBoth(w, p); },
             [&w](Pair& p) {
               p.client->FinishAsync(w.Locks<absl::Status>("FinishAsync"));
               p.server->Finish();
             });
       }},
      {"Cancel of a stream",
       [](World& w) {
         return OnPair(
             w, [&w](Pair& p) { ReadBoth(w, p); }, [](Pair& p) { p.client->Cancel(); });
       }},
      {"TryWrite and HalfClose",
       [](World& w) {
         return OnPair(
             w, [&w](Pair& p) { ReadBoth(w, p); },
             [](Pair& p) {
               // Each write makes the read of the other end due.
               EXPECT_TRUE(p.client->TryWrite(Row()));
               EXPECT_TRUE(p.server->TryWrite(Row()));
               p.client->HalfClose();
             });
       }},
      {"the destructor of a stream",
       [](World& w) {
         return OnPair(
             w,
             [&w](Pair& p) {
               ReadBoth(w, p);
               p.client->FinishAsync(w.Locks<absl::Status>("FinishAsync"));
             },
             [](Pair& p) { p.client.reset(); });
       }},
      {"the server's Finish with a read that waits",
       [](World& w) {
         return OnPair(
             w, [&w](Pair& p) { ReadBoth(w, p); }, [](Pair& p) { p.server->Finish(); });
       }},
      {"the destructor of a server's stream",
       [](World& w) {
         return OnPair(
             w, [&w](Pair& p) { ReadBoth(w, p); }, [](Pair& p) { p.server.reset(); });
       }},
      {"SendInitialMetadata",
       [](World& w) {
         return OnPair(
             w,
             [&w](Pair& p) {
               p.client->WaitForInitialMetadataAsync(w.Locks<bool>("WaitForInitialMetadataAsync"));
             },
             [](Pair& p) { EXPECT_TRUE(p.server->context().SendInitialMetadata()); });
       }},
      {"stop_token with a callback, of a call that is cancelled",
       [](World& w) {
         using Callback = std::stop_callback<std::function<void()>>;
         auto first = std::make_shared<std::unique_ptr<Callback>>();
         Prepared prepared = OnPair(
             w,
             [&w, first](Pair& p) {
               *first = std::make_unique<Callback>(p.server->context().stop_token(),
                                                   w.Locks<>("a stop callback"));
               p.client->Cancel();
             },
             [first](Pair& p) { (void)p.server->context().stop_token(); });
         // A stop callback that is destroyed before its turn is never called, so it has to be kept
         // until then.
         prepared.then = [&w, first] { EXPECT_TRUE(w.AllCalled()); };
         return prepared;
       }},
      {"Finish of a reader's answer",
       [](World& w) {
         auto client = std::make_shared<ClientWriter<Row, RowSum>>(w.stub->Add(kLong));
         auto server = w.service.NextAdd();
         server->ReadAsync(w.NewRow(), w.Locks<bool>("the server's ReadAsync"));
         client->FinishAsync(w.Locks<absl::StatusOr<RowSum>>("FinishAsync"));
         return Prepared{[server] { server->Finish(); }, client};
       }},
      {"a call that fails at once",
       [](World& w) {
         return Prepared{[&w] {
           w.stub->GetAsync({}, {.timeout = -absl::Seconds(1)},
                            w.Locks<absl::StatusOr<Row>>("GetAsync"));
         }};
       }},
      {"a call that is cancelled before it starts",
       [](World& w) {
         auto context = std::make_shared<ClientContext>();
         context->Cancel();
         return Prepared{[&w, context] {
                           w.stub->GetAsync({}, {.context = context.get()},
                                            w.Locks<absl::StatusOr<Row>>("GetAsync"));
                         },
                         context, [&w] { EXPECT_TRUE(w.AllCalled()); }};
       }},
      {"a call that is too large",
       [](World& w) {
         // Over a limit of one byte, so the call fails before it is sent.
         auto large = std::make_shared<RowQuery>();
         w.channel_options.limits.max_message_bytes = 1;
         w.Connect();
         large->set_rows(1'000'000);
         return Prepared{[&w, large] {
           w.stub->GetAsync(*large, kLong, w.Locks<absl::StatusOr<Row>>("GetAsync"));
         }};
       }},
      {"Cancel of a context and of a stop token",
       [](World& w) {
         auto contexts = std::make_shared<std::array<ClientContext, 2>>();
         auto source = std::make_shared<std::stop_source>();
         (*contexts)[1].CancelOn(source->get_token());
         w.service.in_get = nullptr;
         auto streams = std::make_shared<std::vector<Talk>>();
         for (ClientContext& context : *contexts) {
           streams->push_back(w.stub->Talk({.timeout = absl::Minutes(1), .context = &context}));
           streams->back().FinishAsync(w.Locks<absl::Status>("FinishAsync"));
         }
         return Prepared{[contexts, source] {
                           (*contexts)[0].Cancel();
                           source->request_stop();
                         },
                         streams, [&w] { EXPECT_TRUE(w.AllCalled()); }};
       }},
      {"Connect, connections and counts of a channel",
       [](World& w) {
         // A channel that is not connected: its listener is told of the attempt.
         w.Connect();
         return Prepared{[&w] {
           w.channel->Connect();
           (void)w.channel->connections();
           (void)w.channel->counts();
           (void)w.server->connection_list();
           (void)w.server->Stats();
         }};
       }},
      {"Start of a server",
       [](World& w) {
         // Its on_state, which takes the same lock, is due when Start has begun to serve.
         auto other = std::make_shared<Server>(w.server_options);
         return Prepared{[other] { EXPECT_EQ(other->Start("inproc:other"), absl::OkStatus()); },
                         other};
       }},
      {"Push, End and SetRoom of a fake",
       [](World& w) {
         auto fake = std::make_shared<FakeStream<Row, Row>>();
         auto talk = std::make_shared<Talk>(fake->Open());
         fake->SetRoom(0);
         talk->ReadAsync(w.NewRow(), w.Locks<bool>("ReadAsync"));
         talk->OnReady(w.Locks<>("OnReady"));
         return Prepared{[fake, talk, &w] {
                           fake->Push(Row());
                           fake->SetRoom(1);
                           fake->End(absl::OkStatus());
                           talk->ReadAsync(w.NewRow(), w.Locks<bool>("ReadAsync"));
                           talk->FinishAsync(w.Locks<absl::Status>("FinishAsync"));
                         },
                         talk};
       }},
      {"Cancel and the destructor of a fake's stream",
       [](World& w) {
         auto fake = std::make_shared<FakeReader<Row>>();
         auto rows = std::make_shared<std::optional<ClientReader<Row>>>(fake->Open());
         (*rows)->ReadAsync(w.NewRow(), w.Locks<bool>("ReadAsync"));
         return Prepared{[fake, rows] {
           (*rows)->Cancel();
           rows->reset();
         }};
       }},
  };
}

// Runs code on a thread of some kind, and returns when it has run.
struct Place {
  const char* name;
  std::function<void(World&, std::function<void()>)> run;
};

void OnApplicationThread(World&, const std::function<void()>& code) { std::thread(code).join(); }

void InUnaryCallback(World& w, const std::function<void()>& code) {
  Notification ran;
  w.stub->GetAsync({}, kLong, [&](absl::StatusOr<Row>) {
    code();
    ran.Notify();
  });
  EXPECT_TRUE(ran.Wait());
}

void InAsyncHandler(World& w, const std::function<void()>& code) {
  w.service.in_get = code;
  (void)w.stub->Get({}, kLong);
  w.service.in_get = nullptr;
}

class CallsUnderALock : public testing::TestWithParam<NonWaiting> {};

TEST_P(CallsUnderALock, RunNoCallbackInside) {
  const Place places[] = {{"a thread of the application", OnApplicationThread},
                          {"a callback on the I/O thread", InUnaryCallback},
                          {"a handler on a worker", InAsyncHandler}};
  // The three kinds of threads that application code runs on. On each the callback must come later,
  // or elsewhere.
  for (const Place& place : places) {
    SCOPED_TRACE(place.name);
    World w;
    {
      const Prepared prepared = GetParam().prepare(w);
      place.run(w, [&] {
        const UserLock::Hold hold(w.shared->lock);
        prepared.call();
      });
      if (prepared.then) prepared.then();
    }
    EXPECT_TRUE(w.AllCalled());  // what waited has ended with its streams
  }
}

// A row's name without what gtest does not take.
struct NameOf {
  template <typename Info>
  std::string operator()(const Info& row) const {
    std::string name;
    for (const char c : std::string_view(row.param.name)) {
      if (std::isalnum(static_cast<unsigned char>(c))) name.push_back(c);
    }
    return name;
  }
};

INSTANTIATE_TEST_SUITE_P(Table, CallsUnderALock, testing::ValuesIn(NonWaitingCalls()), NameOf());

// ---- each call in each callback

// Calls `code` for the first one that comes, and tells.
class Once {
 public:
  explicit Once(std::function<void()> code) : code_(std::move(code)) {}
  void operator()() {
    // A listener is told of many things. The code runs for the first of them.
    if (called_.exchange(true)) return;
    code_();
    ran_.Notify();
  }
  [[nodiscard]] bool Wait() { return ran_.Wait(); }

 private:
  const std::function<void()> code_;
  std::atomic<bool> called_{false};
  Notification ran_;
};

class HookOnce final : public ClientInterceptor {
 public:
  explicit HookOnce(std::shared_ptr<Once> once) : once_(std::move(once)) {}
  absl::StatusOr<std::unique_ptr<Call>> Start(const ClientCallStart&) override {
    (*once_)();
    return nullptr;
  }

 private:
  const std::shared_ptr<Once> once_;
};

Coro<int> AwaitThen(Rows::Stub& stub, std::shared_ptr<Once> once) {
  const absl::StatusOr<Row> row = co_await stub.GetCoro({}, kLong);
  (*once)();
  co_return row.ok() ? 1 : 0;
}

// A callback: makes it come, in a world of its own, with `code` in it; returns when that has run.
struct CallbackPlace {
  const char* name;
  std::function<void(const std::function<void(World&)>& code)> run;
};

using OnceRef = std::shared_ptr<Once>;

// `come` makes the callback come.
void In(World& w, const std::function<void(World&)>& code,
        const std::function<void(const OnceRef&)>& come) {
  const auto once = std::make_shared<Once>([&] { code(w); });
  come(once);
  EXPECT_TRUE(once->Wait());
  // All that the code has begun ends here, or hangs.
  w.End();
}

// Holds the Once that a listener calls: the listener is made before its Once.
struct Slot {
  void Set(const OnceRef& once) { *to_ = once; }
  void operator()() const {
    if (*to_ != nullptr) (**to_)();
  }

 private:
  std::shared_ptr<OnceRef> to_ = std::make_shared<OnceRef>();
};

std::vector<CallbackPlace> CallbackPlaces() {
  using Code = std::function<void(World&)>;
  return {
      {"a unary callback",
       [](const Code& code) {
         World w;
         In(w, code, [&](const OnceRef& once) {
           w.stub->GetAsync({}, kLong, [once](absl::StatusOr<Row>) { (*once)(); });
         });
       }},
      {"a callback on an executor",
       [](const Code& code) {
         auto pool = internal::WorkerPool::Create({.threads = 2});
         World w;
         In(w, code, [&](const OnceRef& once) {
           w.stub->GetAsync({}, {.timeout = absl::Minutes(1), .executor = pool->get()},
                            [once](absl::StatusOr<Row>) { (*once)(); });
         });
         (*pool)->Stop();
       }},
      {"ReadAsync and FinishAsync of a client",
       [](const Code& code) {
         World w;
         Pair pair(w);
         In(w, code, [&](const OnceRef& once) {
           pair.client->ReadAsync(w.NewRow(), [once](bool) { (*once)(); });
           pair.client->FinishAsync([once](absl::Status) { (*once)(); });
           pair.server->Finish();
         });
       }},
      {"OnReady and WaitForInitialMetadataAsync of a client",
       [](const Code& code) {
         World w;
         Pair pair(w);
         In(w, code, [&](const OnceRef& once) {
           pair.client->WaitForInitialMetadataAsync([once](bool) { (*once)(); });
           pair.client->OnReady([once] { (*once)(); });
           pair.server.reset();
         });
       }},
      {"ReadAsync of a server",
       [](const Code& code) {
         World w;
         Pair pair(w);
         In(w, code, [&](const OnceRef& once) {
           pair.server->ReadAsync(w.NewRow(), [once](bool) { (*once)(); });
           pair.client->HalfClose();
           EXPECT_TRUE(once->Wait());
           // A stream that is kept would hold up the world's end.
           pair.server.reset();
         });
       }},
      {"a coroutine",
       [](const Code& code) {
         World w;
         In(w, code, [&](const OnceRef& once) {
           Spawn(AwaitThen(*w.stub, once), [](std::optional<int>, std::exception_ptr) {});
         });
       }},
      {"the end of a spawned coroutine",
       [](const Code& code) {
         World w;
         const auto nothing = std::make_shared<Once>([] {});
         In(w, code, [&](const OnceRef& once) {
           Spawn(AwaitThen(*w.stub, nothing),
                 [once](std::optional<int>, std::exception_ptr) { (*once)(); });
         });
       }},
      {"on_connection of a channel",
       [](const Code& code) {
         Slot slot;
         World w([&](ServerOptions&, ChannelOptions& channel) {
           channel.on_connection = [slot](const ConnectionEvent& event) {
             if (event.state == ConnectionState::kUp) slot();
           };
         });
         In(w, code, [&](const OnceRef& once) {
           slot.Set(once);
           w.channel->Connect();
         });
       }},
      {"on_connection of a server",
       [](const Code& code) {
         Slot slot;
         World w([&](ServerOptions& server, ChannelOptions&) {
           server.on_connection = [slot](const ConnectionEvent& event) {
             if (event.state == ConnectionState::kUp) slot();
           };
         });
         In(w, code, [&](const OnceRef& once) {
           slot.Set(once);
           w.channel->Connect();
         });
       }},
      {"on_state of a server that drains",
       [](const Code& code) {
         Slot slot;
         World w([&](ServerOptions& server, ChannelOptions&) {
           server.on_state = [slot](ServerState state) {
             if (state == ServerState::kDraining) slot();
           };
         });
         In(w, code, [&](const OnceRef& once) {
           slot.Set(once);
           w.stub->GetAsync({}, kLong,
                            [&w](absl::StatusOr<Row>) { w.server->Stop(absl::ZeroDuration()); });
         });
       }},
      {"a stop callback",
       [](const Code& code) {
         World w;
         Pair pair(w);
         std::optional<std::stop_callback<std::function<void()>>> callback;
         In(w, code, [&](const OnceRef& once) {
           callback.emplace(pair.server->context().stop_token(), [once] { (*once)(); });
           pair.client->Cancel();
           EXPECT_TRUE(once->Wait());
           pair.server.reset();
         });
       }},
      {"an interceptor of a channel",
       [](const Code& code) {
         World w;
         In(w, code, [&](const OnceRef& once) {
           w.channel_options.interceptors = {std::make_shared<HookOnce>(once)};
           w.Connect();
           auto stub = *w.stub;
           stub.GetAsync({}, kLong, [](absl::StatusOr<Row>) {});
         });
       }},
      {"an inline handler",
       [](const Code& code) {
         World w([&](ServerOptions& server, ChannelOptions&) { server.run_inline = true; });
         In(w, code, [&](const OnceRef& once) {
           w.service.in_get = [once] { (*once)(); };
           w.stub->GetAsync({}, kLong, [](absl::StatusOr<Row>) {});
         });
       }},
      {"an interceptor of a server",
       [](const Code& code) {
         Slot slot;
         struct Hook final : ServerInterceptor {
           absl::StatusOr<std::unique_ptr<Call>> Start(const ServerCallStart&) override {
             told();
             return nullptr;
           }
           Slot told;
         };
         auto hook = std::make_shared<Hook>();
         hook->told = slot;
         World w([&](ServerOptions& server, ChannelOptions&) { server.interceptors = {hook}; });
         In(w, code, [&](const OnceRef& once) {
           slot.Set(once);
           w.stub->GetAsync({}, kLong, [](absl::StatusOr<Row>) {});
         });
       }},
      {"a handler on a worker",
       [](const Code& code) {
         World w;
         In(w, code, [&](const OnceRef& once) {
           w.service.in_get = [once] { (*once)(); };
           w.stub->GetAsync({}, kLong, [](absl::StatusOr<Row>) {});
         });
       }},
      {"an authenticator",
       [](const Code& code) {
         Slot slot;
         World w([&](ServerOptions& server, ChannelOptions&) {
           server.authenticator = [slot](std::string_view,
                                         const std::string&) -> absl::StatusOr<std::string> {
             slot();
             return "somebody";
           };
         });
         In(w, code, [&](const OnceRef& once) {
           slot.Set(once);
           w.channel->Connect();
         });
       }},
      {"a fake's ReadAsync",
       [](const Code& code) {
         World w;
         FakeReader<Row> fake({Row()});
         auto rows = fake.Open();
         In(w, code,
            [&](const OnceRef& once) { rows.ReadAsync(w.NewRow(), [once](bool) { (*once)(); }); });
         fake.WaitForCallbacks();
       }},
  };
}

// KeptRows never answers its streams: blocking reads of them end by this deadline.
constexpr CallOptions kBrief{.timeout = absl::Milliseconds(20)};

struct AnyCall {
  const char* name;
  std::function<void(World&)> call;
};

std::vector<AnyCall> AnyCalls() {
  return {
      {"a blocking call", [](World& w) { (void)w.stub->Get({}, kBrief); }},
      {"a call with a callback",
       [](World& w) { w.stub->GetAsync({}, kBrief, w.Locks<absl::StatusOr<Row>>("GetAsync")); }},
      {"a coroutine",
       [](World& w) {
         auto nothing = std::make_shared<Once>([] {});
         Spawn(AwaitThen(*w.stub, nothing), [nothing](std::optional<int>, std::exception_ptr) {});
       }},
      {"a stream that is read blocking",
       [](World& w) {
         Talk talk = w.stub->Talk(kBrief);
         Row row;
         (void)talk.WaitForInitialMetadata();
         (void)talk.Read(&row);
         (void)talk.Write(row);
         (void)talk.Finish();
       }},
      {"a stream with callbacks, dropped",
       [](World& w) {
         Talk talk = w.stub->Talk(kBrief);
         talk.ReadAsync(w.NewRow(), w.Locks<bool>("ReadAsync"));
         talk.OnReady(w.Locks<>("OnReady"));
         talk.HalfClose();
         talk.FinishAsync(w.Locks<absl::Status>("FinishAsync"));
         talk.Cancel();
       }},
      {"snapshots",
       [](World& w) {
         (void)w.channel->connections();
         (void)w.channel->counts();
         (void)w.server->connection_list();
         (void)w.server->Stats();
         (void)w.server->state();
       }},
      {"Connect", [](World& w) { w.channel->Connect(); }},
      {"the channel's destructor", [](World& w) { w.channel.reset(); }},
      {"another channel, connecting, and its destructor",
       [](World& w) {
         auto other = ChannelTo("inproc:world", w.channel_options);
         Rows::Stub(*other).GetAsync({}, kBrief, w.Locks<absl::StatusOr<Row>>("GetAsync"));
       }},
      {"Stop", [](World& w) { w.server->Stop(absl::ZeroDuration()); }},
      {"Wait", [](World& w) { w.server->Wait(); }},
      // Taken out of the world first: code that runs meanwhile finds no server instead of half of
      // one.
      {"the server's destructor", [](World& w) { std::exchange(w.server, nullptr).reset(); }},
      {"another server",
       [](World& w) {
         ServerOptions options = w.server_options;
         // The other server's end must not be taken for that of the world's server.
         options.on_state = nullptr;
         Server other(options);
         (void)other.Start("inproc:other");
         other.Stop(absl::ZeroDuration());
       }},
  };
}

class CallsInCallbacks : public testing::TestWithParam<CallbackPlace> {};

TEST_P(CallsInCallbacks, NeitherHangNorNest) {
  for (const AnyCall& call : AnyCalls()) {
    SCOPED_TRACE(call.name);
    GetParam().run(call.call);
  }
}

INSTANTIATE_TEST_SUITE_P(Table, CallsInCallbacks, testing::ValuesIn(CallbackPlaces()), NameOf());

}  // namespace
}  // namespace weft::test
