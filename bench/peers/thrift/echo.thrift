// The benchmark's one service: the payload comes back unchanged.
namespace cpp weft.bench.thrift_echo

service EchoService {
  binary Echo(1: binary payload)
}
