# The benchmark's one service: the payload comes back unchanged.
@0xd1f6a3b85c0e7942;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("weft::bench::capnp_echo");

interface EchoService {
  echo @0 (payload :Data) -> (payload :Data);
}
