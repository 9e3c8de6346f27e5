# Functions of the scripts beside this one. They run the real command and look at its exit code and what it says.
# Given: LOCKSTEP (the command), SERVER (its address), ADMIN and ADMIN_PASSWORD, BROKERS (addresses for clusters), HOME (empty).

set -euo pipefail

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# ok COMMAND…: what must succeed; standard output is in $out, standard error in $err.
ok() { ends 0 "$@"; }

# ends CODE COMMAND…: standard input comes from the caller.
ends() {
  local expected="$1" code=0
  shift
  out="$("$LOCKSTEP" "$@" 2> "$HOME/err")" || code=$?
  err="$(cat "$HOME/err")"
  [[ "$code" == "$expected" ]] || fail "lockstep $*: exit $code instead of $expected"$'\n'"$out"$'\n'"$err"
}

# says TEXT: on standard output. complains TEXT: on standard error.
says() { [[ "$out" == *"$1"* ]] || fail "standard output does not say \"$1\":"$'\n'"$out"; }
complains() { [[ "$err" == *"$1"* ]] || fail "standard error does not say \"$1\":"$'\n'"$err"; }
hides() { [[ "$out$err" != *"$1"* ]] || fail "it shows \"$1\""; }

# field PATH: of the JSON on standard output, as node reads it: .users[0].username
field() { node -e 'const v = JSON.parse(process.argv[1]); console.log(eval(`v${process.argv[2]}`))' "$out" "$1"; }

sign_in() {
  ok context add test "$SERVER"
  ok login "$ADMIN" --password-stdin <<< "$ADMIN_PASSWORD"
}
