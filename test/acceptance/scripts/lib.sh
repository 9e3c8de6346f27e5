# Functions of the scripts beside this one. They run the real command and look at its exit code and what it says.
# Given: LOCKSTEP (the command), SERVER (its address), ADMIN and ADMIN_PASSWORD, BROKERS (addresses for clusters), HOME (empty), and
# where the administrator has a second factor its recovery codes, each of which is good once, as lines of $HOME/codes.

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

# log_in_admin: with the next recovery code, where there are some.
log_in_admin() {
  local code=()
  if [[ -s "$HOME/codes" ]]; then
    code=(--code "$(head -n 1 "$HOME/codes")")
    sed -i 1d "$HOME/codes"
  fi
  ok login "$ADMIN" --context test --password-stdin "${code[@]}" <<< "$ADMIN_PASSWORD"
}

sign_in() {
  ok context add test "$SERVER"
  log_in_admin
}
