#!/usr/bin/env bash
# run.sh <build folder> [--seconds N]: the demo's server and client, as built there. Ends by itself: 0 when everything
# was as it should be, 1 with the reason when not.
set -euo pipefail

build=${1:?run.sh wants the build folder}
shift
programs=$build/docs/examples/demo
said=$(mktemp)
server=
finish() {
  if [[ -n $server ]]; then kill -KILL "$server" 2>/dev/null || true; fi
  rm -f "$said"
}
trap finish EXIT
fail() { echo "demo: FAILED: $*" >&2; exit 1; }

for program in demo_server demo_client; do
  [[ -x $programs/$program ]] || fail "$programs/$program is not built"
done

"$programs/demo_server" >"$said" &
server=$!
address=
for _ in {1..100}; do
  address=$(sed -n 's/^listening on //p' "$said")
  [[ -z $address ]] || break
  kill -0 "$server" 2>/dev/null || fail "the server ended before it listened; its message is above"
  sleep 0.05
done
[[ -n $address ]] || fail "the server did not listen within 5 s"

"$programs/demo_client" --server "$address" --server-pid "$server" "$@" || fail "the client ended with $?"

# The client has told the server to stop.
status=0
wait "$server" || status=$?
server=
(( status == 0 )) || fail "the server ended with $status"
echo
echo "The server has stopped. What its methods did; the errors are those of the calls above that fail on purpose:"
sed -e '/^listening/d' -e 's/^/  /' "$said"
echo
echo "demo: passed"
