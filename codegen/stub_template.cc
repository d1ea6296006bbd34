#include "weft/codegen/stub_template.h"

namespace weft::codegen {

constexpr absl::string_view kStubDeclarations = R"(
// Each method in three styles: blocking, with a callback, and to co_await. Streaming methods return
// the object to read from or write to, in the same three styles.
class $service$::StubInterface {
 public:
  virtual ~StubInterface() = default;
$for methods$

  $comment$
$if unary$
$if deprecated$
  [[deprecated]]
$end$
  virtual ::absl::StatusOr<$reply$> $name$(
      const $request$& request, ::weft::CallOptions options = {}) = 0;
$if deprecated$
  [[deprecated]]
$end$
  virtual void $async_name$(
      const $request$& request, ::weft::CallOptions options,
      ::weft::Callback<$reply$> done) = 0;
$if deprecated$
  [[deprecated]]
$end$
  virtual ::weft::CoroCall<$reply$> $coro_name$(
      const $request$& request, ::weft::CallOptions options = {}) = 0;
$else$
$if deprecated$
  [[deprecated]]
$end$
$if client_streams$
  virtual ::weft::ClientWriter<$request$, $reply$> $name$(
      ::weft::CallOptions options = {}) = 0;
$end$
$if server_streams$
  virtual ::weft::ClientReader<$reply$> $name$(
      const $request$& request, ::weft::CallOptions options = {}) = 0;
$end$
$if both_stream$
  virtual ::weft::ClientStream<$request$, $reply$> $name$(
      ::weft::CallOptions options = {}) = 0;
$end$
$end$
$end$
};

// Calls over a target (a channel, a peer, a caller): one that is given by reference must outlive it,
// one that is given by std::shared_ptr, not null, it keeps. As copyable and as cheap as such a
// pointer; any thread may call, at once.
class $service$::Stub final : public $service$::StubInterface {
 public:
  explicit Stub(::weft::CallTarget& target) : target_(target) {}
  explicit Stub(std::shared_ptr<::weft::CallTarget> target) : target_(std::move(target)) {}
$for methods$

$if unary$
$if deprecated$
  [[deprecated]]
$end$
  ::absl::StatusOr<$reply$> $name$(
      const $request$& request, ::weft::CallOptions options = {}) override;
$if deprecated$
  [[deprecated]]
$end$
  void $async_name$(
      const $request$& request, ::weft::CallOptions options,
      ::weft::Callback<$reply$> done) override;
$if deprecated$
  [[deprecated]]
$end$
  ::weft::CoroCall<$reply$> $coro_name$(
      const $request$& request, ::weft::CallOptions options = {}) override;
$else$
$if deprecated$
  [[deprecated]]
$end$
$if client_streams$
  ::weft::ClientWriter<$request$, $reply$> $name$(
      ::weft::CallOptions options = {}) override;
$end$
$if server_streams$
  ::weft::ClientReader<$reply$> $name$(
      const $request$& request, ::weft::CallOptions options = {}) override;
$end$
$if both_stream$
  ::weft::ClientStream<$request$, $reply$> $name$(
      ::weft::CallOptions options = {}) override;
$end$
$end$
$end$

 private:
  ::weft::StubTarget target_;
};
)";

constexpr absl::string_view kStubDefinitions = R"(
$for methods$

$if unary$
::absl::StatusOr<$reply$> $service$::Stub::$name$(
    const $request$& request, ::weft::CallOptions options) {
  return ::weft::CallBlocking(*target_, $service$::$constant$, request, options);
}

void $service$::Stub::$async_name$(
    const $request$& request, ::weft::CallOptions options,
    ::weft::Callback<$reply$> done) {
  ::weft::CallAsync(*target_, $service$::$constant$, request, options, std::move(done));
}

::weft::CoroCall<$reply$> $service$::Stub::$coro_name$(
    const $request$& request, ::weft::CallOptions options) {
  return ::weft::CallCoro(*target_, $service$::$constant$, request, options);
}
$end$
$if client_streams$
::weft::ClientWriter<$request$, $reply$> $service$::Stub::$name$(
    ::weft::CallOptions options) {
  return ::weft::CallStream(*target_, $service$::$constant$, options);
}
$end$
$if server_streams$
::weft::ClientReader<$reply$> $service$::Stub::$name$(
    const $request$& request, ::weft::CallOptions options) {
  return ::weft::CallStream(*target_, $service$::$constant$, request, options);
}
$end$
$if both_stream$
::weft::ClientStream<$request$, $reply$> $service$::Stub::$name$(
    ::weft::CallOptions options) {
  return ::weft::CallStream(*target_, $service$::$constant$, options);
}
$end$
$end$
)";

}  // namespace weft::codegen
