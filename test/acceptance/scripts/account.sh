#!/usr/bin/env bash
# Signing in and out, contexts, tokens: as a script does it.
source "$(dirname "$0")/lib.sh"

ends 2 whoami
complains 'no server is set'
ends 2 context add test ftp://nowhere
ok context add test "$SERVER"
ends 4 whoami
complains 'lockstep login --context test'
ends 4 login "$ADMIN" --password-stdin <<< 'not the password'
complains 'AUTH_INVALID'
log_in_admin
says "$ADMIN is signed in to $SERVER"
[[ "$(stat -c %a "$HOME/.config/lockstep/contexts.json")" == 600 ]] || fail 'others may read the contexts'
ok whoami --json
[[ "$(field .username)" == "$ADMIN" ]] || fail 'whoami is somebody else'

ok tokens create --name script --days 1 --token-file "$HOME/token"
[[ "$(stat -c %a "$HOME/token")" == 600 ]] || fail 'others may read the token'
hides "$(cat "$HOME/token")"
ok logout
ends 4 jobs list
export LOCKSTEP_TOKEN
LOCKSTEP_TOKEN="$(cat "$HOME/token")"
ok jobs list --json
ends 2 jobs lsit
complains 'did you mean "list"?'
unset LOCKSTEP_TOKEN
chmod 644 "$HOME/.config/lockstep/contexts.json"
ends 2 jobs list
complains 'chmod 600'
