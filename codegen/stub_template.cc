#include "weft/codegen/stub_template.h"

namespace weft::codegen {

constexpr absl::string_view kStubDeclarations = R"(
// Each method in three styles: blocking, with a callback, and to co_await.
class $service$::StubInterface {
 public:
  virtual ~StubInterface() = default;
$for methods$

  $comment$
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
$end$
};

// Calls over a target (a channel, a peer, a caller), which must outlive it. As copyable and as cheap
// as a pointer; any thread may call, at once.
class $service$::Stub final : public $service$::StubInterface {
 public:
  explicit Stub(::weft::CallTarget& target) : target_(&target) {}
$for methods$

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
$end$

 private:
$if methods$
  ::weft::CallTarget* target_;
$else$
  [[maybe_unused]] ::weft::CallTarget* target_;
$end$
};
)";

constexpr absl::string_view kStubDefinitions = R"(
$for methods$

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
)";

}  // namespace weft::codegen
