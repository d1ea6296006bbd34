#include "weft/codegen/service_template.h"

namespace weft::codegen {

constexpr absl::string_view kServiceDeclarations = R"(
$service_comment$
$if service_deprecated$
struct [[deprecated]] $service$ final {
$else$
struct $service$ final {
$end$
  $service$() = delete;

  static constexpr std::string_view kFullName = "$full_name$";
$for methods$

  static constexpr ::weft::$method_type$<$request$, $reply$> $constant${{
      .service = "$full_name$",
      .name = "$wire_name$",
      .full_name = "$full_name$/$wire_name$",
      .kind = ::weft::MethodKind::$kind$,
      .run_inline = $run_inline$,
      .idempotent = $idempotent$,
      .timeout_ms = $timeout_ms$,
      .ordered = $ordered$,
      .pool = $pool$}};
$end$

  class Service;
  class AsyncService;
  class CoroService;
  template <typename Derived>
  class MixedService;
  class StubInterface;
  class Stub;
};

// Handlers that may block: they run on the worker pool and answer by returning.
class $service$::Service : public ::weft::Service {
 public:
$for methods$
  $comment$
$if unary$
  virtual ::absl::Status $name$(
      ::weft::ServerContext& call, $request$& request, $reply$& reply);
$end$
$if client_streams$
  virtual ::absl::Status $name$(
      ::weft::ServerContext& call, ::weft::ServerReader<$request$>& requests,
      $reply$& reply);
$end$
$if server_streams$
  virtual ::absl::Status $name$(
      ::weft::ServerContext& call, $request$& request,
      ::weft::ServerWriter<$reply$>& replies);
$end$
$if both_stream$
  virtual ::absl::Status $name$(
      ::weft::ServerContext& call, ::weft::ServerStream<$request$, $reply$>& stream);
$end$

$end$
  std::string_view full_name() const final;
  std::span<const ::weft::ServiceMethod> methods() const final;
};

// Handlers that answer later, from any thread, through their responder.
class $service$::AsyncService : public ::weft::Service {
 public:
$for methods$
  $comment$
$if unary$
  virtual void $name$(
      ::weft::ServerContext& call, $request$& request,
      ::weft::Responder<$reply$> responder);
$end$
$if client_streams$
  virtual void $name$(
      ::weft::ServerContext& call, ::weft::AsyncServerReader<$request$, $reply$> requests);
$end$
$if server_streams$
  virtual void $name$(
      ::weft::ServerContext& call, $request$& request,
      ::weft::AsyncServerWriter<$reply$> replies);
$end$
$if both_stream$
  virtual void $name$(
      ::weft::ServerContext& call, ::weft::AsyncServerStream<$request$, $reply$> stream);
$end$

$end$
  std::string_view full_name() const final;
  std::span<const ::weft::ServiceMethod> methods() const final;
};

// Handlers that are coroutines; they resume on the worker pool.
class $service$::CoroService : public ::weft::Service {
 public:
$for methods$
  $comment$
$if unary$
  virtual ::weft::Coro<::absl::Status> $name$(
      ::weft::ServerContext& call, $request$& request, $reply$& reply);
$end$
$if client_streams$
  virtual ::weft::Coro<::absl::Status> $name$(
      ::weft::ServerContext& call, ::weft::ServerReader<$request$>& requests,
      $reply$& reply);
$end$
$if server_streams$
  virtual ::weft::Coro<::absl::Status> $name$(
      ::weft::ServerContext& call, $request$& request,
      ::weft::ServerWriter<$reply$>& replies);
$end$
$if both_stream$
  virtual ::weft::Coro<::absl::Status> $name$(
      ::weft::ServerContext& call, ::weft::ServerStream<$request$, $reply$>& stream);
$end$

$end$
  std::string_view full_name() const final;
  std::span<const ::weft::ServiceMethod> methods() const final;
};

// Each handler in a style of its own. Derived is the class with the handlers, which has every method
// as one of the three bases above has it: public, and without override.
//
//   class MyHandlers final : public $service$::MixedService<MyHandlers> { ... };
template <typename Derived>
class $service$::MixedService : public ::weft::Service {
 public:
  std::string_view full_name() const final { return $service$::kFullName; }
  std::span<const ::weft::ServiceMethod> methods() const final {
$if methods$
    static constexpr ::weft::ServiceMethod kMethods[] = {
$for methods$
        ::weft::HandlerMethod<Derived, &Derived::$name$>($service$::$constant$),
$end$
    };
    return kMethods;
$else$
    return {};
$end$
  }

 private:
  friend Derived;
  MixedService() = default;
};
)";

constexpr absl::string_view kServiceDefinitions = R"(
$for methods$
::absl::Status $service$::Service::$name$(
$if unary$
    ::weft::ServerContext&, $request$&, $reply$&) {
$end$
$if client_streams$
    ::weft::ServerContext&, ::weft::ServerReader<$request$>&, $reply$&) {
$end$
$if server_streams$
    ::weft::ServerContext&, $request$&, ::weft::ServerWriter<$reply$>&) {
$end$
$if both_stream$
    ::weft::ServerContext&, ::weft::ServerStream<$request$, $reply$>&) {
$end$
  return ::weft::UnimplementedMethod($service$::$constant$);
}

$end$
std::string_view $service$::Service::full_name() const { return $service$::kFullName; }

std::span<const ::weft::ServiceMethod> $service$::Service::methods() const {
$if methods$
  static constexpr ::weft::ServiceMethod kMethods[] = {
$for methods$
      ::weft::BlockingMethod<&$service$::Service::$name$>($service$::$constant$),
$end$
  };
  return kMethods;
$else$
  return {};
$end$
}

$for methods$
void $service$::AsyncService::$name$(
$if unary$
    ::weft::ServerContext&, $request$&,
    ::weft::Responder<$reply$> responder) {
$end$
$if client_streams$
    ::weft::ServerContext&, ::weft::AsyncServerReader<$request$, $reply$> responder) {
$end$
$if server_streams$
    ::weft::ServerContext&, $request$&,
    ::weft::AsyncServerWriter<$reply$> responder) {
$end$
$if both_stream$
    ::weft::ServerContext&, ::weft::AsyncServerStream<$request$, $reply$> responder) {
$end$
  responder.Finish(::weft::UnimplementedMethod($service$::$constant$));
}

$end$
std::string_view $service$::AsyncService::full_name() const { return $service$::kFullName; }

std::span<const ::weft::ServiceMethod> $service$::AsyncService::methods() const {
$if methods$
  static constexpr ::weft::ServiceMethod kMethods[] = {
$for methods$
      ::weft::AsyncMethod<&$service$::AsyncService::$name$>($service$::$constant$),
$end$
  };
  return kMethods;
$else$
  return {};
$end$
}

$for methods$
::weft::Coro<::absl::Status> $service$::CoroService::$name$(
$if unary$
    ::weft::ServerContext&, $request$&, $reply$&) {
$end$
$if client_streams$
    ::weft::ServerContext&, ::weft::ServerReader<$request$>&, $reply$&) {
$end$
$if server_streams$
    ::weft::ServerContext&, $request$&, ::weft::ServerWriter<$reply$>&) {
$end$
$if both_stream$
    ::weft::ServerContext&, ::weft::ServerStream<$request$, $reply$>&) {
$end$
  co_return ::weft::UnimplementedMethod($service$::$constant$);
}

$end$
std::string_view $service$::CoroService::full_name() const { return $service$::kFullName; }

std::span<const ::weft::ServiceMethod> $service$::CoroService::methods() const {
$if methods$
  static constexpr ::weft::ServiceMethod kMethods[] = {
$for methods$
      ::weft::CoroMethod<&$service$::CoroService::$name$>($service$::$constant$),
$end$
  };
  return kMethods;
$else$
  return {};
$end$
}
)";

}  // namespace weft::codegen
