#!/usr/bin/env bash
# Users, roles and service accounts: added, changed and removed without a question.
source "$(dirname "$0")/lib.sh"

sign_in
ok users add ben --role operator --password-stdin <<< 'marble-heron-trestle-noon'
says 'ben is operator'
ends 1 users add ben --role operator --password-stdin <<< 'marble-heron-trestle-noon'
ok users list --json
[[ "$(field '.users.map((user) => user.username).includes("ben")')" == true ]] || fail 'ben is not listed'
ok users set-role ben monitoring
ends 4 users set-role "$ADMIN" monitoring
ok users reset-password ben --password-file "$HOME/ben"
hides "$(cat "$HOME/ben")"
ends 2 users reset-password ben --password-file "$HOME/ben"
ok login ben --context test --password-stdin < "$HOME/ben"
ends 4 jobs list
complains 'PASSWORD_CHANGE_REQUIRED'
printf '%s\n%s\n' "$(cat "$HOME/ben")" 'copper-finch-lattice-dawn' > "$HOME/both"
ok change-password --password-stdin < "$HOME/both"
ok jobs list
ends 4 users list
log_in_admin
ok roles add watchers --grant jobs:view clusters:view@cluster:script-east
ends 2 roles add wrong --grant jobs:veiw
complains 'did you mean "jobs:view"?'
ok roles remove watchers --yes
ends 2 users remove ben
ok users remove ben --yes
ends 1 users get ben
