// gRPC's code and weft's of the same .proto, in one program: both serve and call it, each by its
// own protocol. weft's is in the namespace `both::weft`, a name that hides ::weft where it is open.
#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tests/integration/beside_grpc.weft_mock.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"

// To read gRPC's headers takes longer than all else here, so they are read once.
#include "tests/integration/beside_grpc.grpc.pb.cc"

namespace both {
namespace {

using ::testing::Return;

Text TextOf(const std::string& words) {
  Text text;
  text.set_text(words);
  return text;
}

class GrpcGreeter final : public Greeter::Service {
 public:
  grpc::Status Say(grpc::ServerContext*, const Text* request, Text* reply) override {
    reply->set_text("gRPC: " + request->text());
    return grpc::Status::OK;
  }
  grpc::Status SayOften(grpc::ServerContext*, const Text* request,
                        grpc::ServerWriter<Text>* replies) override {
    replies->Write(*request);
    return {grpc::StatusCode::ABORTED, "gRPC's end"};
  }
};

class WeftGreeter final : public weft::Greeter::Service {
 public:
  absl::Status Say(::weft::ServerContext&, Text& request, Text& reply) override {
    reply.set_text("weft: " + request.text());
    return absl::OkStatus();
  }
  absl::Status SayOften(::weft::ServerContext&, Text& request,
                        ::weft::ServerWriter<Text>& replies) override {
    replies.Write(request);
    return absl::AbortedError("weft's end");
  }
};

TEST(BesideGrpc, BothServeAndCallInOneProgram) {
  GrpcGreeter grpc_service;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&grpc_service);
  const std::unique_ptr<grpc::Server> grpc_server = builder.BuildAndStart();
  ASSERT_NE(grpc_server, nullptr);
  const std::unique_ptr<Greeter::Stub> grpc_stub = Greeter::NewStub(
      grpc::CreateChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials()));

  WeftGreeter weft_service;
  ::weft::Server weft_server({.io_threads = 1, .worker_threads = 2});
  ASSERT_EQ(weft_server.Register(weft_service), absl::OkStatus());
  ASSERT_EQ(weft_server.Start("127.0.0.1:0"), absl::OkStatus());
  auto channel = ::weft::Channel::Create(absl::StrCat("127.0.0.1:", weft_server.port()));
  ASSERT_TRUE(channel.ok()) << channel.status();
  weft::Greeter::Stub weft_stub(**channel);

  for (int i = 0; i < 3; ++i) {
    grpc::ClientContext context;
    Text reply;
    const grpc::Status status = grpc_stub->Say(&context, TextOf("hello"), &reply);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(reply.text(), "gRPC: hello");

    const absl::StatusOr<Text> weft_reply = weft_stub.Say(TextOf("hello"));
    ASSERT_TRUE(weft_reply.ok()) << weft_reply.status();
    EXPECT_EQ(weft_reply->text(), "weft: hello");
  }

  grpc::ClientContext context;
  const auto grpc_replies = grpc_stub->SayOften(&context, TextOf("often"));
  Text reply;
  EXPECT_TRUE(grpc_replies->Read(&reply));
  EXPECT_EQ(reply.text(), "often");
  EXPECT_FALSE(grpc_replies->Read(&reply));
  EXPECT_EQ(grpc_replies->Finish().error_message(), "gRPC's end");

  auto weft_replies = weft_stub.SayOften(TextOf("often"));
  EXPECT_TRUE(weft_replies.Read(&reply));
  EXPECT_EQ(reply.text(), "often");
  EXPECT_FALSE(weft_replies.Read(&reply));
  EXPECT_EQ(weft_replies.Finish(), absl::AbortedError("weft's end"));
}

TEST(BesideGrpc, TheMockIsBesideItToo) {
  weft::MockGreeterStub mock;
  EXPECT_CALL(mock, Say).WillOnce(Return(TextOf("mocked")));
  weft::Greeter::StubInterface& stub = mock;
  EXPECT_EQ(stub.Say(TextOf("x"))->text(), "mocked");
}

}  // namespace
}  // namespace both
