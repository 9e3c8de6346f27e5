#!/usr/bin/env bash
# Clusters, jobs, inventory, audit log, reports and one frame of the dashboard.
source "$(dirname "$0")/lib.sh"

sign_in
ok clusters add --name script-east --brokers "${BROKERS%% *}"
ok clusters add --name script-west --brokers "${BROKERS##* }"
ends 1 clusters add --name script-east --brokers "${BROKERS%% *}"
ok clusters list --json
ends 2 clusters add --name script-north --brokers nowhere
complains '"nowhere" is not an address'
ok clusters test script-east
says 'yes'
ok jobs add --name script-orders --source script-east --target script-west --topic 'script-*'
ends 2 jobs add --name script-orders
complains '--source and --target and --topic are needed'
ok jobs edit script-orders --topic script-orders
ok jobs mappings script-orders
says '{"match":"script-orders"}'
ok jobs start script-orders
ok jobs pause script-orders --json
[[ "$(field .job.desired)" == paused ]] || fail 'it is not paused'
ok jobs clone script-orders script-copy
ok jobs list
says 'script-copy'
ends 1 clusters remove script-east --yes
complains 'RESOURCE_CONFLICT'
ok inventory take script-orders
ok dashboard --once
says 'script-orders'
ok dashboard --once --json
ok audit list --action job --limit 5
says 'job.pause'
ok audit export --action job --out "$HOME/audit.csv"
grep -q 'job.create' "$HOME/audit.csv" || fail 'the export lacks job.create'
ok compliance generate daily --out "$HOME/report.csv"
ends 2 jobs delete script-orders
ok jobs delete script-orders --yes
ok jobs delete script-copy --yes
ends 1 jobs get script-orders
ok clusters remove script-east --yes
ok clusters remove script-west --yes
