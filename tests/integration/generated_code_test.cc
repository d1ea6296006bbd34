// Generated code compiles, for every awkward name, and does what a program expects of it.
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/protos/awkward_names.weft_mock.h"
#include "tests/protos/echo.weft_mock.h"
#include "tests/protos/no_package.weft_mock.h"
#include "tests/protos/proto2.weft_mock.h"
#include "weft/core/coro.h"

namespace weft::test {
namespace {

using ::testing::_;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;
using ::testing::Property;
using ::testing::Return;

EchoRequest RequestOf(const std::string& text) {
  EchoRequest request;
  request.set_text(text);
  return request;
}

EchoReply ReplyOf(const std::string& text) {
  EchoReply reply;
  reply.set_text(text);
  return reply;
}

std::vector<std::string> MethodNames(const ::weft::Service& service) {
  std::vector<std::string> names;
  for (const ::weft::ServiceMethod& method : service.methods()) {
    names.emplace_back(method.info->name);
  }
  return names;
}

// ---- Constants

TEST(GeneratedCode, ConstantsSayWhatTheProtoSays) {
  // Checked by the compiler: the constants have to be usable there.
  static_assert(EchoService::kFullName == "weft.test.EchoService");
  static_assert(EchoService::kEcho.service == "weft.test.EchoService");
  static_assert(EchoService::kEcho.name == "Echo");
  static_assert(EchoService::kEcho.full_name == "weft.test.EchoService/Echo");
  static_assert(EchoService::kEcho.kind == MethodKind::kUnary);
  static_assert(!EchoService::kEcho.run_inline && !EchoService::kEcho.idempotent);
  static_assert(EchoService::kEcho.timeout_ms == 0);
  static_assert(EchoService::kEchoInline.run_inline);
  static_assert(EchoService::kEchoIdempotent.idempotent);
  static_assert(EchoService::kSleepBriefly.timeout_ms == 50);
}

TEST(GeneratedCode, WireNamesAreNeverChanged) {
  static_assert(awkward::Keywords::kDelete.full_name == "weft.test.awkward.Keywords/delete");
  static_assert(awkward::enum__::kStruct.full_name == "weft.test.awkward.enum/struct");
  static_assert(awkward::Members::kFullName_.name == "FullName");
  static_assert(::WeftTestNoPackage::kRun.full_name == "WeftTestNoPackage/Run");
}

// ---- Service bases

TEST(GeneratedCode, ThreeBasesListTheSameMethods) {
  const CounterService::Service blocking;
  const CounterService::AsyncService async;
  const CounterService::CoroService coroutine;
  for (const ::weft::Service* service :
       {static_cast<const ::weft::Service*>(&blocking), static_cast<const ::weft::Service*>(&async),
        static_cast<const ::weft::Service*>(&coroutine)}) {
    EXPECT_EQ(service->full_name(), "weft.test.CounterService");
    EXPECT_THAT(MethodNames(*service), ElementsAre("Echo"));
    EXPECT_EQ(service->methods()[0].info, &CounterService::kEcho);
  }
}

TEST(GeneratedCode, ServiceWithoutMethodsListsNone) {
  EXPECT_THAT(MethodNames(EmptyService::Service()), IsEmpty());
  EXPECT_THAT(MethodNames(EmptyService::AsyncService()), IsEmpty());
  EXPECT_THAT(MethodNames(EmptyService::CoroService()), IsEmpty());
}

TEST(GeneratedCode, MethodsNamedLikeMembersAreListedByTheirOwnNames) {
  EXPECT_THAT(MethodNames(awkward::Members::Service()),
              ElementsAre("Service", "AsyncService", "CoroService", "MixedService", "Derived",
                          "StubInterface", "Stub", "methods", "full_name", "FullName", "target_",
                          "kMethods"));
}

// Compiles only where the handler of the method `delete` has this name.
class Overriding final : public awkward::Keywords::Service {
  absl::Status delete_(ServerContext&, awkward::int_&, awkward::class_&) override {
    return absl::OkStatus();
  }
};
static_assert(!std::is_abstract_v<Overriding>);

// ---- Mocks

TEST(GeneratedCode, MocksABlockingCall) {
  MockEchoServiceStub mock;
  EXPECT_CALL(mock, Echo(Property(&EchoRequest::text, "hello"),
                         Field(&CallOptions::timeout, absl::Seconds(1))))
      .WillOnce(Return(ReplyOf("there")));
  EchoService::StubInterface& stub = mock;
  const absl::StatusOr<EchoReply> reply =
      stub.Echo(RequestOf("hello"), {.timeout = absl::Seconds(1)});
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->text(), "there");
}

TEST(GeneratedCode, MocksACallbackCall) {
  MockEchoServiceStub mock;
  EXPECT_CALL(mock, EchoAsync)
      .WillOnce([](const EchoRequest& request, CallOptions, Callback<EchoReply> done) {
        std::move(done)(ReplyOf(request.text()));
      });
  EchoService::StubInterface& stub = mock;
  std::optional<absl::StatusOr<EchoReply>> result;
  stub.EchoAsync(RequestOf("hello"), {},
                 [&](absl::StatusOr<EchoReply> r) { result = std::move(r); });
  ASSERT_TRUE(result.has_value() && result->ok());
  EXPECT_EQ((*result)->text(), "hello");
}

Coro<absl::Status> AskTwice(EchoService::StubInterface& stub) {
  const EchoRequest request = RequestOf("hello");
  const absl::StatusOr<EchoReply> first = co_await stub.EchoCoro(request);
  if (!first.ok()) co_return first.status();
  const absl::StatusOr<EchoReply> second =
      co_await stub.EchoCoro(request, {.timeout = absl::Seconds(1)});
  co_return second.status();
}

TEST(GeneratedCode, MocksACoroutineCall) {
  MockEchoServiceStub mock;
  EXPECT_CALL(mock, EchoCoro(_, _))
      .WillOnce([](const EchoRequest& request, CallOptions) {
        return CoroCall<EchoReply>(ReplyOf(request.text()));
      })
      .WillOnce([](const EchoRequest&, CallOptions) {
        return CoroCall<EchoReply>(absl::UnavailableError("gone"));
      });
  std::optional<absl::Status> status;
  Spawn(AskTwice(mock), [&](std::optional<absl::Status> result, std::exception_ptr error) {
    EXPECT_EQ(error, nullptr);
    status = std::move(result);
  });
  EXPECT_EQ(status, absl::UnavailableError("gone"));
}

// Counts the calls that are started on it, and ends each with an error inside Start.
class CountingTarget final : public CallTarget {
 public:
  void Start(internal::OutboundCall& call) override {
    ++started;
    internal::CallEnd end;
    end.status = absl::UnavailableError("counted");
    call.End(end);
  }
  int started = 0;
};

TEST(GeneratedCode, AStubKeepsATargetThatItIsGivenByASharedPointer) {
  static_assert(std::is_constructible_v<EchoService::Stub, CallTarget&>);
  static_assert(std::is_constructible_v<EchoService::Stub, CountingTarget&>);
  static_assert(std::is_constructible_v<EchoService::Stub, std::shared_ptr<CountingTarget>>);
  static_assert(std::is_constructible_v<EchoService::Stub, std::unique_ptr<CountingTarget>>);
  static_assert(!std::is_constructible_v<EchoService::Stub, CountingTarget>, "it would be gone");
  static_assert(!std::is_convertible_v<CallTarget&, EchoService::Stub>);
  static_assert(!std::is_convertible_v<std::shared_ptr<CallTarget>, EchoService::Stub>);

  auto target = std::make_shared<CountingTarget>();
  CountingTarget& counts = *target;
  const std::weak_ptr<CountingTarget> there = target;
  auto stub = std::make_unique<EchoService::Stub>(std::move(target));
  EXPECT_EQ(stub->Echo({}).status().message(), "counted");
  EchoService::Stub copy = *stub;
  stub = nullptr;
  EXPECT_EQ(copy.Echo({}).status().message(), "counted");
  EXPECT_EQ(counts.started, 2);
  // The stub has gone, and its copy alone keeps the target.
  EXPECT_EQ(there.use_count(), 1);
  copy = EchoService::Stub(std::make_unique<CountingTarget>());
  EXPECT_TRUE(there.expired());

  CountingTarget referred;
  EXPECT_EQ(EchoService::Stub(referred).Echo({}).status().message(), "counted");
  EXPECT_EQ(referred.started, 1);
}

TEST(GeneratedCode, MocksEveryStyleOfAnAwkwardMethod) {
  awkward::MockKeywordsStub mock;
  EXPECT_CALL(mock, delete_).WillOnce(Return(absl::NotFoundError("blocking")));
  EXPECT_CALL(mock, deleteAsync)
      .WillOnce([](const awkward::int_&, CallOptions, Callback<awkward::class_> done) {
        std::move(done)(absl::NotFoundError("callback"));
      });
  EXPECT_CALL(mock, deleteCoro).WillOnce([](const awkward::int_&, CallOptions) {
    return CoroCall<awkward::class_>(absl::NotFoundError("coroutine"));
  });
  awkward::Keywords::StubInterface& stub = mock;
  EXPECT_EQ(stub.delete_({}).status().message(), "blocking");
  stub.deleteAsync({}, {}, [](absl::StatusOr<awkward::class_> result) {
    EXPECT_EQ(result.status().message(), "callback");
  });
  // A call made of a result is over already, so nothing has to be awaited.
  CoroCall<awkward::class_> call = stub.deleteCoro({});
  ASSERT_TRUE(call.await_ready());
  EXPECT_EQ(call.await_resume().status().message(), "coroutine");
}

TEST(GeneratedCode, StylesWhoseNameIsTakenStandBesideTheMethods) {
  awkward::MockStylesStub mock;
  EXPECT_CALL(mock, SayAsync).WillOnce(Return(absl::NotFoundError("the method SayAsync")));
  EXPECT_CALL(mock, SayAsync_);
  awkward::Styles::StubInterface& stub = mock;
  EXPECT_EQ(stub.SayAsync({}).status().message(), "the method SayAsync");
  stub.SayAsync_({}, {}, [](absl::StatusOr<awkward::Reply>) {});
}

}  // namespace
}  // namespace weft::test
