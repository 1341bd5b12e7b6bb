#!/usr/bin/env bash
# What only a Mac can show about `authsome run --redirect pf` and `--redirect proxy`.
#
# THIS SCRIPT HAS NEVER BEEN RUN: no Mac was at hand when it was written. It is the list of what has to be seen
# on one, in a form that can be executed; expect to mend it before you trust it. It needs sudo without a
# password, a network over IPv4, curl, and nothing else that has a run open.
# usage: scripts/macos-e2e.sh [PATH OF authsome]
set -euo pipefail
cd "$(dirname "$0")/.."

[ "$(uname)" = Darwin ] || { echo "macos-e2e: this is for macOS" >&2; exit 1; }
authsome=${1:-target/debug/authsome}
AUTHSOME_HOME=$(mktemp -d)
export AUTHSOME_HOME
trap '"$authsome" daemon stop >/dev/null 2>&1 || true; rm -rf "$AUTHSOME_HOME"' EXIT
failures=0

filter() {
  sudo pfctl -a com.apple/authsome -s rules 2>/dev/null
  sudo pfctl -a com.apple/authsome -s nat 2>/dev/null
  sudo pfctl -s info 2>/dev/null | grep Status: | awk '{ print $2 }'
  sudo pfctl -v -s Interfaces 2>/dev/null | grep '^lo0'
}
see() {
  local what=$1
  shift
  if "$@"; then echo "ok      $what"; else echo "FAILED  $what"; failures=$((failures + 1)); fi
}
pf() { "$authsome" run --redirect pf -- "$@"; }
proxy() { "$authsome" run --redirect proxy -- "$@"; }
exits_with_3() { local code=0; pf sh -c 'exit 3' || code=$?; [ "$code" = 3 ]; }
same_user() { [ "$(pf id -u)" = "$(id -u)" ]; }
others_reach_the_real_server() { curl -sSf --max-time 10 -o /dev/null https://example.com/; }
fails() { ! "$@" >/dev/null 2>&1; }

# Parsed by Apple's own grammar, and not loaded. Never `load anchor`: it acts even under -n.
for rules in netns/src/pf/golden/*.conf; do
  see "pfctl takes $(basename "$rules")" sudo pfctl -n -a com.apple/authsome -f "$rules"
done

before=$(filter)
see "a run starts, which says that its probe was seen" pf true
see "an exit code is the agent's" exits_with_3
see "a page is fetched by a connection that was bounced" pf curl -sSf -o /dev/null https://example.com/
see "IPv6 is refused" fails pf curl -6 -sS --max-time 5 https://example.com/
see "QUIC is refused" fails pf nc -u -w 2 -z 192.0.2.1 443
see "the agent is the user" same_user
see "the home is out of reach" fails pf ls "$AUTHSOME_HOME"
see "the daemon is out of reach" fails pf "$authsome" daemon status
see "nothing is left of it" [ "$before" = "$(filter)" ]

pf sleep 60 & run=$!
sleep 3
see "a second run is refused while there is one" fails pf true
see "others' connections are not redirected" others_reach_the_real_server
sudo kill -9 "$(pgrep -f __pf-helper | head -1)"
wait "$run" || true
see "what a killed helper left is undone by the next" pf true
see "and then nothing is left of that either" [ "$before" = "$(filter)" ]

see "a proxied run fetches a page" proxy curl -sSf -o /dev/null https://example.com/
see "a proxied run has no other way out" fails proxy curl --noproxy '*' -sS --max-time 5 https://example.com/
see "a proxied run cannot see the home" fails proxy ls "$AUTHSOME_HOME"

cat <<'REST'
To be seen by a person:
- with `lo0 (skip)` set before (start a virtual machine with shared networking): the run works, and the flag is
  set again afterwards;
- with a VPN up (utun): a page is fetched;
- Ctrl-C, Ctrl-Z and fg in an interactive agent; the window's size;
- `gh api user` (Go asks the keychain, not variables): fails until the run's certificate is trusted there;
- fast user switching, sleep, and a change of network while an agent runs.
REST
[ "$failures" = 0 ]
