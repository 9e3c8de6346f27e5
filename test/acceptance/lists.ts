/**
 * What the mirror is to be held to, item by item, and how far it is: the scenarios of MirrorMaker 2 in five modes, those of
 * Strimzi and Redpanda, complaints of users, the checks, the faults. docs/acceptance.md is made of it (`npm run gen`).
 * `covered` is claimed for tests whose bodies show the whole item, on real brokers unless the item is about a model.
 */
import { comesWith, covered, item, none, open, partly, type Coverage, type Item, type List } from './coverage.ts';

const MODES = ['M1', 'M2', 'M3', 'M4', 'M5'] as const;
type Cells = Readonly<Record<(typeof MODES)[number], Coverage>>;

const always = none('exactness is no mode here: the cells of M2 run with it');
const noMatter = none('the mode has no part in it; M2 has the test');

function scenario(id: string, says: string, cells: Partial<Cells>): Item[] {
  return MODES.map((mode) => item(`${id} ${mode}`, says, cells[mode] ?? (mode === 'M4' ? always : noMatter)));
}

const mirrorMaker: List = {
  title: 'MirrorMaker 2: 17 scenarios in 5 modes',
  intro:
    'M1: both ways, with a prefix. M2: one way; names on the target are what the rule of the topic says, unchanged or not. M3: mutual TLS. M4: ' +
    'its exactly-once mode. M5: a transactional source.',
  items: [
    ...scenario(
      'A1',
      'records, settings, heartbeats and places arrive; a consumer goes over and comes back; later topics follow',
      {
        M1: covered(['activeActive', 'groups/groups-both-ways']),
        M2: partly(
          ['copy', 'failover', 'failover/failover-there-and-back', 'groupsClient', 'grows', 'settingsFollow'],
          'places of MirrorMaker 2 that only go forwards; heartbeats of both sides',
        ),
        M3: covered(['secureCertificates', 'directions/both-ways-certificates']),
        M5: covered(['transactions', 'failover', 'failover/failover-there-and-back']),
      },
    ),
    ...scenario('A2', 'a group has place 0 on a partition that is empty', {
      M1: covered(['groups/groups-both-ways']),
      M2: covered(['groups']),
      M3: covered(['directions/both-ways-certificates']),
      M5: covered(['groups/groups-of-late-topics'], 'also on a partition that holds the end of a transaction only'),
    }),
    ...scenario('A3', 'one way, a group is carried over whole; a later topic too; nothing goes back', {
      M1: none('it is about one way'),
      M2: covered(['groups', 'failover', 'groups/groups-of-late-topics']),
      M3: covered(['directions/both-ways-certificates']),
      M5: covered(['failover', 'groups/groups-of-late-topics']),
    }),
    ...scenario('A4', 'after a move no record is read twice', {
      M1: covered(['groups/groups-both-ways']),
      M2: covered(['groups', 'failover']),
      M3: covered(['directions/both-ways-certificates']),
      M5: covered(['failover', 'groups']),
    }),
    ...scenario('A5', 'with the feature off, no topic of it is made', {
      M2: covered(['directions/both-ways-certificates']),
    }),
    ...scenario('A6', 'nothing is ever written to the source: its credentials may only read', {
      M1: covered(['directions/both-ways-certificates']),
      M2: covered(['leastRights', 'copy']),
      M3: covered(['directions/both-ways-certificates']),
      M5: covered(['transactionsRights']),
    }),
    ...scenario('A7', 'no place is committed for what is not copied, then it appears', {
      M1: covered(['groups/groups-both-ways']),
      M2: covered(['movesHeld', 'movesEmptyMap', 'groups/groups-ahead-of-the-copy']),
      M3: noMatter,
      M5: covered(['groups/groups-ahead-of-the-copy']),
    }),
    ...scenario('A8', 'after a restart more is written, and groups follow; places only go forwards', {
      M1: covered(['groups/groups-both-ways']),
      M2: covered(['groups', 'groups/groups-of-late-topics']),
      M3: covered(['directions/both-ways-certificates']),
      M5: covered(['transactions', 'groups', 'groups/groups-of-late-topics']),
    }),
    ...scenario('A9', 'a group far behind moves on, then back, and its place is exact each time', {
      M1: covered(['groups/groups-both-ways']),
      M2: covered(['groups', 'groupsMapped']),
      M3: covered(['directions/both-ways-certificates']),
      M5: covered(['groups', 'groups/groups-of-late-topics']),
    }),
    ...scenario('A10', 'a setting that is left out keeps the value of the target, others follow', {
      M1: covered(['groups/groups-both-ways']),
      M2: covered(['settingsFollow', 'settingsExcluded']),
    }),
    ...scenario('A11', 'settings in effect at the source, and back to the default when an override goes', {
      M2: covered(['settingsFollow']),
    }),
    ...scenario('A12', "only what is set on the source's topic; for the rest the target has its own", {
      M2: covered(['settingsFollow']),
    }),
    ...scenario('A13', 'only records from the start of the mirror on', {
      M1: covered(['starts/latest-both-ways']),
      M2: covered(['starts']),
      M5: covered(['starts/latest-in-transactions', 'transactionsRights']),
    }),
    ...scenario('A14', 'one topic is copied anew from its beginning and another is not, with exact counts', {
      M1: noMatter,
      M2: noMatter,
      M4: partly(['rebuild'], '`rebuild` of a copy with identical offsets beside one that stays; the counts of both'),
    }),
    ...scenario('A15', 'on single nodes; without offsets of groups', {
      M1: covered(['activeActive']),
      M2: covered(['copy']),
      M3: covered(['secureCertificates', 'rotation/client-certificate-rotated']),
      M5: covered(['transactions']),
    }),
    ...scenario(
      'A16',
      'three workers, names full of special characters, topics that appear, a rolling change of the file',
      {
        M1: open('three processes of each of two mirrors, both ways'),
        M2: covered(['ownership', 'ownershipStart', 'processes/three-processes', 'namesRefused']),
        M3: noMatter,
      },
    ),
    ...scenario(
      'A17',
      'topics, partitions, settings and ACLs through an administrator client of the user (four tests)',
      {
        M1: none('there are no plug-ins: what the mirror may not change, the plan prints as commands'),
        M2: none('there are no plug-ins: what the mirror may not change, the plan prints as commands'),
        M3: none('there are no plug-ins'),
        M5: none('there are no plug-ins'),
      },
    ),
  ],
};

const strimzi: List = {
  title: 'Strimzi',
  intro: 'Nine system tests, which count records; here what arrives is compared.',
  items: [
    item(
      'S1',
      'the mirror is restarted, and partitions are added',
      covered(['topics/partitions-added-up', 'topics/partitions-added-down']),
    ),
    item('S2', 'TLS and mutual TLS', covered(['rotation/client-certificate-rotated', 'secureCertificates'])),
    item('S3', 'TLS with SCRAM-SHA-512', covered(['secureCopy', 'rotation/password-rotated'])),
    item('S4', 'more processes, none, and again some', covered(['ownership', 'interrupted'])),
    item('S5', 'the same names on the target', covered(['copy', 'transactions'])),
    item(
      'S6',
      'both ways with groups: nothing is read twice',
      partly(
        ['failover', 'failover/failover-there-and-back', 'activeActive'],
        'groups with mirrors of both ways at once',
      ),
    ),
    item(
      'S7',
      'a failed mirror is mended and goes on; pause and resume; offsets shown and changed',
      partly(
        ['oneRightLess', 'rights/source-read-revoked', 'rebuild'],
        'an address that is mended while the mirror runs; pause and resume come with the server',
      ),
    ),
    item(
      'S8',
      'a restart after a change of the SCRAM password',
      covered(['rotation/password-rotated'], 'without any restart'),
    ),
    item(
      'S9',
      'a restart after a renewal of authority and certificates',
      covered(['rotation/ca-rotated', 'rotation/client-certificate-rotated']),
    ),
  ],
};

const redpanda: List = {
  title: 'Redpanda Migrator',
  intro: '',
  items: [
    item('P1', 'the order of one partition', covered(['copy', 'kill'])),
    item(
      'P2',
      'a header with a malformed schema id survives',
      partly(['copy'], 'a record with such a header by name; headers and values of random bytes are compared'),
    ),
    item('P3', '10,000 records with schemas, times and groups', comesWith('the registry')),
    item('P4', 'a second round of group offsets changes nothing', covered(['movesNothingLeft', 'syncQuiet', 'groups'])),
    item('P5', 'versions of schemas', comesWith('the registry')),
    item('P6', 'ACLs are carried over by a policy', covered(['aroundPlanned', 'aroundSecond', 'aroundRefused'])),
    item('P7', 'settings are carried over', covered(['settingsFollow', 'aroundLive'])),
    item('P8', 'a minute of live load', covered(['clusters/quiet-run'], 'ten minutes')),
  ],
};

const complaints: List = {
  title: 'Complaints of users',
  intro: 'Named after what was reported; each is a regression test.',
  items: [
    item(
      'cmp-offsets-01-no-negative-lag',
      'while data is copied, no place is beyond the end of the target',
      covered(['movesHeld', 'movesProperty', 'groups/groups-ahead-of-the-copy']),
    ),
    item(
      'cmp-offsets-02-empty-partition',
      'everything was read, then deleted by retention, then the mirror starts: no lag',
      covered(['groups/groups-odd-places', 'movesStart']),
    ),
    item(
      'cmp-offsets-03-no-mapping-no-commit',
      'without a mapping nothing is committed',
      covered(['movesEmptyMap', 'groups/groups-ahead-of-the-copy']),
    ),
    item(
      'cmp-offsets-04-zero-offset-synced',
      'a place 0 is carried over',
      covered(['groups/groups-odd-places', 'groups']),
    ),
    item(
      'cmp-offsets-05-translation-bound',
      'after a move in steady traffic nothing is read again',
      covered(['failover']),
    ),
    item(
      'cmp-offsets-06-lagging-group',
      'a group far behind, also from before the last restart, has an exact place',
      covered(['groups', 'groupsMapped']),
    ),
    item(
      'cmp-offsets-07-variable-spacing',
      'gaps of all sizes lose no mapping',
      covered(['groupsMapped', 'offsetMap']),
    ),
    item(
      'cmp-offsets-08-low-volume-topic',
      'a topic of five records, then silence: places within one interval',
      covered(['groups/groups-odd-places']),
    ),
    item(
      'cmp-offsets-09-restart-keeps-translation',
      'a restart while a group is behind moves nobody back',
      covered(['groups', 'groupsMapped']),
    ),
    item(
      'cmp-offsets-10-null-entry',
      'a place that a client has set to −1 harms no other',
      covered(['groups/groups-odd-places', 'movesUntranslated']),
    ),
    item(
      'cmp-offsets-11-missing-target-topic',
      'one topic of a group is gone from the target: the others follow',
      covered(['groups/groups-odd-places', 'syncStopped', 'topics/target-topic-deleted-up']),
    ),
    item(
      'cmp-offsets-12-out-of-the-box',
      'of 100 records 50 were read: the place is the next one',
      covered(['groups']),
    ),
    item(
      'cmp-offsets-13-broker-outage',
      'places follow again by themselves after an outage of the source',
      covered(['groups/groups-while-brokers-are-away', 'syncAgain']),
    ),
    item('cmp-offsets-14-checkpoints-not-empty', "MirrorMaker 2's client finds places", covered(['groupsClient'])),
    item(
      'cmp-offsets-15-idle-groups',
      'groups without members follow, and new ones are found',
      covered(['groups', 'failover']),
    ),
    item('cmp-offsets-16-same-name-topics', 'places under unchanged names', covered(['failover'])),
    item(
      'cmp-offsets-17-no-rewind-after-cutover',
      'consumers have moved, the mirror starts again: nobody is moved back',
      covered(['groups/groups-moved-over', 'groupsActive', 'movesBack']),
    ),
    item(
      'cmp-offsets-18-no-skip-ahead',
      'equal and falling times',
      covered(['groups/groups-odd-places'], 'no time is looked at'),
    ),
    item(
      'cmp-offsets-19-active-group-protected',
      'a group that becomes active in the middle is not moved',
      covered(['groups/groups-between-look-and-commit', 'syncRace', 'groupsActive']),
    ),
    item(
      'cmp-loss-01-retention-running',
      'retention takes what was not copied: the exact range, and it stops',
      covered(['logs/retention-target-paused', 'logs/delete-records-up']),
    ),
    item('cmp-loss-02-retention-at-startup', 'the same while the mirror was down', covered(['logs/retention-down'])),
    item(
      'cmp-loss-03-topic-recreated',
      'a topic created anew is found by its id',
      covered([
        'topics/source-topic-recreated-up',
        'topics/source-topic-recreated-down',
        'guardRecreatedDown',
        'guardRecreatedUp',
      ]),
    ),
    item(
      'cmp-loss-04-missing-after-reassignment',
      'partitions move between processes under load',
      covered(['ownership']),
    ),
    item('cmp-loss-05-failed-commit', 'killed while the target holds it back', covered(['kill'])),
    item(
      'cmp-loss-06-start-timestamp-beyond-end',
      'a start behind the last record copies no history',
      covered(['directions/both-ways-certificates']),
    ),
    item(
      'cmp-missing-01-several-workers',
      'three processes, then new topics and partitions',
      covered(['grows', 'ownership', 'processes/three-processes']),
    ),
    item(
      'cmp-missing-02-rolling-config',
      'processes restarted one by one with another file',
      covered(['ownershipStart', 'processes/three-processes']),
    ),
    item(
      'cmp-missing-03-topic-creation-fails',
      'a topic that cannot be created at first is created later, with its settings',
      covered(['rights/create-revoked', 'tooFewBrokers', 'processes/three-processes']),
    ),
    item(
      'cmp-missing-04-stale-position',
      'another cluster under the same address',
      covered([
        'topics/target-cluster-replaced',
        'topics/target-cluster-replaced-later',
        'topics/source-cluster-replaced',
      ]),
    ),
    item(
      'cmp-missing-05-wrong-direction',
      'both directions, and a wrong address is refused',
      covered(['activeActive', 'otherCluster', 'oneCluster']),
    ),
    item(
      'cmp-missing-06-partial-copy',
      'one record that is too large stops its partition and no other',
      covered(['settings/record-too-large', 'guardLarge']),
    ),
    item(
      'cmp-missing-07-many-topics',
      '200 topics, then 1,000',
      covered(['processes/thousand-topics', 'limits/idle-10000-partitions']),
    ),
    item(
      'cmp-missing-08-worker-failure',
      'processes are killed again and again: all partitions are owned within 30 s',
      partly(['ownership', 'noProgress'], 'held to 30 s: the test allows 45 s, 20 to 22 s were seen'),
    ),
    item(
      'cmp-missing-09-after-rebalance',
      'no partition is left out after rebalances and growth',
      covered(['ownership', 'processes/three-processes']),
    ),
    item(
      'cmp-metrics-01-offset-lag',
      'the lag of each partition is true at each sample',
      partly(
        ['sourceLag', 'clusters/target-down'],
        'lag and ends of both logs sampled together, under load and through a pause',
      ),
    ),
    item(
      'cmp-metrics-02-latency-definition',
      'latency from append to append, not age of records',
      open('a metric of it: what is told is lag in records and seconds; `npm run bench` measures added latency'),
    ),
    item(
      'cmp-metrics-03-complete-and-scrapable',
      'all metrics can be scraped',
      partly(['scraped'], 'the lag of heartbeats of MirrorMaker 2'),
    ),
    item(
      'cmp-loop-01-two-independent-mirrors',
      'two mirrors, each way, make no nested names and stand still when nothing is written',
      covered(['activeActive']),
    ),
    item('cmp-loop-02-heartbeats', 'heartbeats do not go round', covered(['groups/groups-both-ways'])),
    item('cmp-loop-03-identity', 'the same names both ways are refused', covered(['chain', 'ring'])),
    item('cmp-loop-04-echo', 'source and target are one cluster: refused', covered(['oneCluster', 'oneClusterTwice'])),
    item(
      'cmp-perf-01-defaults-fast',
      'fast without tuning',
      partly(
        ['benchPeer', 'benchModes'],
        '`npm run bench -- --strict` fails below its bounds, with defaults; nobody but a person runs it',
      ),
    ),
    item(
      'cmp-perf-02-wan',
      '80 ms away, one partition',
      partly(['network/latency-80'], 'a load that fills the line: 70 % of bandwidth × delay'),
    ),
    item(
      'cmp-perf-03-one-slow-partition',
      'one slow partition takes nothing from the others, and recovers by itself',
      covered(['limits/one-leader-paused', 'stalled']),
    ),
    item(
      'cmp-perf-04-per-partition-rate',
      'the rate of one partition is published',
      open('`npm run bench -- --partitions 3`: performance.md has figures of a loaded machine, none of a quiet one'),
    ),
    item('cmp-dup-01-restart-no-resync', 'a restart copies nothing again', covered(['copy'])),
    item('cmp-dup-02-worker-restart', 'a process is killed under load', covered(['kill', 'ownership'])),
    item(
      'cmp-dup-03-rebalance',
      'rebalances while the former owner still runs',
      covered(['ownership', 'ownershipOff', 'doubles', 'doublesOff']),
    ),
    item(
      'cmp-dup-04-oversize-retry',
      'a record that is too large repeats nothing',
      covered(['settings/record-too-large']),
    ),
    item('cmp-dup-05-migrator', 'a plain copy with restarts is equal', covered(['kill'])),
    item(
      'cmp-failed-01-flush-timeout',
      'the target pauses for 2 minutes, idle connections are cut',
      partly(
        ['clusters/target-down', 'brokers/leader-frozen-target', 'idleConnections'],
        'the whole target stopped (SIGSTOP) for 2 minutes under load; brokers with `connections.max.idle.ms` of seconds',
      ),
    ),
    item(
      'cmp-failed-02-no-manual-restart',
      'errors that pass need nobody',
      partly(
        ['network/errors-of-others', 'network/errors-of-produce'],
        'the restart of a single partition: a server restarts a job',
      ),
    ),
    item(
      'cmp-failed-03-stuck-shutdown',
      'a stop ends within its deadline whatever hangs',
      covered(['stops/stop-target-black-hole', 'stops/stop-target-paused']),
    ),
    item(
      'cmp-failed-04-deleted-source-topic',
      'a deleted topic leaves the others alone',
      covered(['topics/source-topic-deleted-up']),
    ),
    item(
      'cmp-failed-05-endpoint-change',
      'listeners of the source move, or turn to TLS',
      covered(
        ['listeners/listeners-moved', 'listeners/listener-turned-to-tls'],
        'the turn to TLS is named, and goes on with another file and a restart of the mirror',
      ),
    ),
    item(
      'cmp-config-01-docs-equal-code',
      'every documented key works, and every key is documented',
      covered(['keysDocumented', 'keysThere', 'keyDefaults', 'keysWork']),
    ),
    item(
      'cmp-config-02-live-change',
      'changes are applied live; two processes with different files are refused',
      partly(['ownershipStart'], 'live changes come with the server'),
    ),
    item('cmp-config-03-single-place', 'everything in one file', covered(['aroundPlanned', 'groups'])),
    item('cmp-schema-01-subject-for-renamed-topic', 'a renamed topic has its subject', comesWith('the registry')),
    item('cmp-schema-02-never-blocks-data', 'schemas never hold up data', comesWith('the registry')),
    item('cmp-schema-03-id-conflicts', 'ids that are taken', comesWith('the registry')),
    item('cmp-schema-04-order', 'versions in their order', comesWith('the registry')),
    item('cmp-schema-05-upgrade', 'protobuf, JSON Schema, references', comesWith('the registry')),
    item('cmp-schema-06-scale', 'many subjects', comesWith('the registry')),
    item(
      'cmp-big-01-larger-than-target',
      'records that the target does not take: named beforehand, and stopped at, split or set aside',
      partly(
        ['settings/record-too-large', 'settings/batches-split', 'settings/records-of-5-mb-there', 'splits', 'settings'],
        'records of 30 MB; a policy that sets such a record aside (dead letter) is not built',
      ),
    ),
    item(
      'cmp-sync-01-only-differences',
      '10,000 ACLs, 5,000 topics, no change: no request that alters',
      partly(['manyAcls', 'aroundSecond'], '5,000 topics'),
    ),
    item(
      'cmp-sync-02-target-owned-keys',
      'a stricter min.insync.replicas stays',
      covered(['settingsNotWeaker', 'aroundLive'], 'min.insync.replicas in memory, retention on real brokers'),
    ),
    item(
      'cmp-sync-03-drift',
      'changes on either side are seen within one interval',
      partly(['aroundLive'], 'a setting, an ACL and a quota that somebody changes on the target while the mirror runs'),
    ),
    item(
      'cmp-sync-04-restricted-cluster',
      'no authorizer, no right to create: only that is missing, and named',
      covered(['noAuthorizer', 'aroundDenied', 'rights/create-revoked', 'rights/describe-configs-revoked']),
    ),
    item(
      'cmp-failback-01',
      'the old primary comes back: what only it has is listed, and the way back doubles nothing',
      covered(
        ['failoverLost', 'failover', 'failover/failover-there-and-back', 'failover/failback-decisions'],
        'topics that end behind the cut are copied back whole: Kafka cannot cut the end of a log',
      ),
    ),
    item(
      'cmp-eos-01',
      'exactly once for hours',
      open('hours of live transactions under load, places of groups compared at each sample'),
    ),
    item(
      'cmp-mem-01',
      'memory with a slow target, large records, many partitions',
      covered(['limits/memory-dead-target']),
    ),
    item('cmp-fidelity-01', 'headers twice, binary headers, times, deletions', covered(['copy'])),
    item(
      'cmp-linker-01',
      'the start of the source moves; restarts with open transactions',
      partly(
        ['transactionsRights', 'logs/delete-records-up', 'transactions'],
        'the last stable offset of the target, sampled through restarts, never goes back; that the log start follows the source later on is not promised',
      ),
    ),
  ],
};

const checks: List = {
  title: 'Checks R1–R13, R15, R17, R18',
  intro:
    'What every run is judged by. The checker is a program of its own, on raw batches; what it must find is planted.',
  items: [
    item('R1', 'lost records', covered(['checker', 'checkerFaithful'])),
    item('R2', 'records that never arrive', covered(['checker'])),
    item('R3', 'records from nowhere, aborted ones that are seen', covered(['checker', 'checkerAborted'])),
    item('R4', 'records twice', covered(['checker'])),
    item('R5', 'another order', covered(['checker'])),
    item('R6', 'other bytes or times', covered(['checker'])),
    item('R7', 'another partition', covered(['checker'])),
    item(
      'R8',
      'offsets that nothing accounts for',
      covered(['checker', 'ledger', 'verifyLedger', 'verify/verify-planted', 'mapped']),
    ),
    item(
      'R9',
      'a map that is not exact',
      covered(['verifyMap', 'verify/verify-planted', 'offsetMap', 'groupsMapped', 'mapped']),
    ),
    item(
      'R10',
      'a map that changes, groups that move back',
      partly(
        ['movesBack', 'mapped'],
        'maps exported before and after kills, entry by entry; an old entry that was changed is planted nowhere',
      ),
    ),
    item(
      'R11',
      'transactions in part',
      covered(['transactions', 'failoverLost'], 'within each partition; over several at the cut of a failover'),
    ),
    item(
      'R12',
      'a writer that was replaced',
      covered(['ownership', 'doubles', 'network/ghost-produce', 'network/ghost-without-sequences', 'ownershipSim']),
    ),
    item(
      'R13',
      'what the source lost is exactly what is reported',
      covered(['elections/unclean-source-copied', 'guardTruncated'], 'as offsets, not as ids of records'),
    ),
    item(
      'R15',
      'honest figures',
      partly(
        ['sourceLag', 'clusters/target-down', 'figures/figures-under-faults', 'verify', 'verify/verify-job'],
        'the sampler (lag told ≥ true lag at each moment) beside every other fault',
      ),
    ),
    item(
      'R17',
      'one incident for each fault, none without one',
      partly(
        ['clusters/quiet-run', 'outageOnce', 'writers/foreign-plain', 'faultCounts', 'schedulesSim'],
        'how long detection took is told of stops, and not held to a bound',
      ),
    ),
    item(
      'R18',
      'throughput of what a fault leaves',
      covered(['figures/figures-under-faults', 'limits/one-leader-paused', 'brokers/leaders-moved']),
    ),
  ],
};

const faults: List = {
  title: 'Faults F00–F63',
  intro:
    'The faults themselves run with `npm run test:faults`; [reliability.md](reliability.md) has what came of them. Those of brokers, clusters and network ' +
    'copy with the default `transactions: preserve`, most of them a plain and a transactional topic, and end with `lockstep verify`; those of holes and most of rights ' +
    'copy with `committed-only`; those of topics, logs, settings and writers copy plain topics, but for a few with transactions. Where a broker of the ' +
    'target is lost, a partition may stop at an end of a transaction that is written again (decision 5): that it was so is then part of the judgement. ' +
    'How soon each recovers is measured, and held to a bound only where that is said.',
  items: [
    item(
      'F00',
      'nothing, for 10 minutes',
      partly(['clusters/quiet-run'], 'the lag that is told against the true one at each sample'),
    ),
    item(
      'F01',
      'kill −9 at each named point, and 200 times at random',
      partly(
        [
          'crash-points/crash-aligning',
          'crash-points/crash-copying',
          'crash-points/crash-filling-holes',
          'crash-points/crash-in-transaction',
          'crash-points/crash-mapping',
          'campaign/campaign-kills-current',
          'kill',
          'transactions',
          'mapped',
          'writerSim',
          'mappedSim',
          'mappedLater',
        ],
        '200 random ones need LOCKSTEP_FULL=1',
      ),
    ),
    item(
      'F02',
      'stopped for 5, 45 and 120 s while another takes over',
      covered([
        'ownership',
        'doubles',
        'ownershipSuspended',
        'campaign/campaign-pauses-current',
        'campaign/campaign-pauses-old',
        'standstill/stopped-past-transaction-limit-shared',
        'standstill/stopped-past-transaction-limit',
      ]),
    ),
    item(
      'F03',
      'two instances of one mirror',
      covered(['ownershipStart', 'doubles', 'doublesOff', 'campaign/campaign-doubles-current']),
    ),
    item('F04', 'a write that arrives late', covered(['network/ghost-produce', 'network/ghost-without-sequences'])),
    item(
      'F05',
      'a heap of 128 MB, large records, 1,000 partitions',
      partly(['limits/memory-dead-target'], 'the bound of the whole process is 512 MB'),
    ),
    item(
      'F06',
      'the event loop starved for 10 s, a tenth of a processor',
      covered(['limits/tenth-of-a-core'], 'by SIGSTOP and SIGCONT, 50 of each 500 ms'),
    ),
    item(
      'F07',
      'another version and back',
      partly(
        ['state/state-record-unreadable', 'ownershipStrange'],
        'two versions of the program on one mirror, one after the other and in one group',
      ),
    ),
    item(
      'F10',
      'leaders ended by SIGTERM',
      covered(['brokers/leaders-terminated'], 'the time to recover is a figure, without a bound'),
    ),
    item(
      'F11',
      'leaders killed',
      covered(['brokers/leaders-killed'], 'the time to recover is a figure, without a bound'),
    ),
    item('F12', 'a leader stopped for 30 s', covered(['brokers/leader-frozen-source', 'brokers/leader-frozen-target'])),
    item(
      'F13',
      'the controller killed, metadata that is stale',
      covered(['brokers/controllers-killed', 'network/stale-leaders-source', 'network/stale-leaders-target']),
    ),
    item('F14', 'all brokers restarted one by one', covered(['brokers/rolling-restart'])),
    item(
      'F15',
      'a whole cluster away for 10 minutes',
      partly(
        ['clusters/target-down', 'clusters/source-down'],
        '10 minutes (it has 2), memory held to a bound, a transactional source that is away',
      ),
    ),
    item('F16', 'leaders moved every 2 s', covered(['brokers/leaders-moved'], 'for one minute')),
    item(
      'F17',
      'an unclean election on the source',
      covered(
        ['elections/unclean-source-copied', 'elections/unclean-source-not-copied'],
        'a recorded choice of what to do is not built',
      ),
    ),
    item(
      'F18',
      'the target loses what it acknowledged',
      covered(['elections/unclean-target', 'elections/unclean-target-source-gone']),
    ),
    item(
      'F20',
      'no way between mirror and source',
      covered(['network/black-hole-to-source', 'network/black-hole-from-source'], 'each direction by itself'),
    ),
    item(
      'F21',
      'no way between mirror and target',
      covered(['network/black-hole-to-target', 'network/black-hole-from-target'], 'each direction by itself'),
    ),
    item('F22', 'one way only', covered(['network/black-hole-from-target', 'network/black-hole-from-source'])),
    item(
      'F23',
      '80 and 250 ms away',
      partly(
        ['network/latency-80', 'network/latency-250'],
        'a load that fills the line: 70 % of bandwidth × delay for each partition',
      ),
    ),
    item('F24', '1 Mbit/s', partly(['network/bandwidth'], 'the same')),
    item(
      'F25',
      'bits that flip on the way',
      covered(['network/bit-flips-source', 'network/bit-flips-target', 'network/bit-flips-always']),
    ),
    item(
      'F26',
      'resets within frames, half-open connections',
      covered(['network/reset-mid-frame', 'network/half-open-client', 'network/half-open-broker']),
    ),
    item('F27', 'slices of 1 to 7 bytes', covered(['network/slices'])),
    item(
      'F28',
      'the answer of each kind of request lost',
      covered(
        [
          'network/lost-answers',
          'network/lost-answer-produce',
          'network/lost-answer-delete-records',
          'transactions/lost-answers-of-transactions-4-3',
          'transactions/lost-answers-of-transactions-3-9',
          'transactions/lost-answers-of-groups',
          'mapped/mapped-lost-answers',
          'syncNoAnswer',
          'transactionsSim',
        ],
        'of those about topics the first three answers are lost, not five; TxnOffsetCommit is not asked',
      ),
    ),
    item(
      'F29',
      'EndTxn is held until the next transaction has begun',
      covered(
        [
          'transactions/late-end-of-transaction-4-3',
          'transactions/late-end-of-transaction-3-9',
          'transactionsSim',
          'writerSim',
        ],
        'its connection is lost with it, so that the mirror need not wait for its own timeout',
      ),
    ),
    item(
      'F30',
      'certificates expire, authorities are replaced',
      partly(
        [
          'rotation/ca-rotated',
          'rotation/client-certificate-rotated',
          'rotation/client-certificate-expires',
          'expiredCertificate',
        ],
        'a warning 30 days before',
      ),
    ),
    item(
      'F31',
      'a password is changed; a listener moves',
      covered(['rotation/password-rotated', 'listeners/listeners-moved']),
    ),
    item('F32', 'none, and again some', covered(['ownership', 'interrupted'])),
    item('F33', 'paused and resumed 1,000 times', covered(['server/job-paused-1000-times'])),
    item(
      'F34',
      'the configuration is edited while it runs',
      covered(['server/job-edited-while-it-runs'], '30 edits of a job of a server'),
    ),
    item(
      'F35',
      'names with special characters',
      covered(
        ['namesRefused', 'names/names-of-all-characters'],
        'names of clusters and mirrors take none of them, ids of groups and users all',
      ),
    ),
    item('F40', 'the disk of the target is full', covered(['clusters/disk-full-target'])),
    item('F41', 'the disk of the source is full', covered(['clusters/disk-full-source'])),
    item('F42', "the product's database is full", covered(['server/server-disk-full'])),
    item(
      'F43',
      "the product's database is locked",
      covered(['server/server-database-locked', 'server/server-postgres-lost', 'server']),
    ),
    item('F44', "a page of the product's database is damaged", covered(['server/server-page-damaged'])),
    item(
      'F45',
      'a disk that does not sync',
      partly(['auditDisk'], 'an EIO under the database; that of the audit log is played'),
    ),
    item('F46', 'an archive that fails', comesWith('the archive')),
    item(
      'F47',
      'an audit log that cannot be written',
      covered(
        ['server/server-writes-refused', 'server/server-disk-full'],
        'a key of the log that is missing is found at the start',
      ),
    ),
    item(
      'F50',
      'rights are taken away and given back',
      covered([
        'rights/source-read-revoked',
        'rights/target-write-revoked',
        'rights/cluster-alter-revoked',
        'rights/describe-configs-revoked',
        'rights/transactional-ids-revoked',
        'oneRightLess',
      ]),
    ),
    item(
      'F51',
      'the source topic is deleted',
      covered(['topics/source-topic-deleted-up', 'topics/source-topic-deleted-down']),
    ),
    item(
      'F52',
      'the source topic is created anew',
      covered(['topics/source-topic-recreated-up', 'topics/source-topic-recreated-down']),
    ),
    item(
      'F53',
      'partitions are added on either side',
      covered(
        ['topics/partitions-added-up', 'topics/partitions-added-down', 'topics/target-partitions-added-up'],
        'that keys go elsewhere after growth is not said',
      ),
    ),
    item(
      'F54',
      'limits, codecs and kinds of time of the target are changed',
      partly(
        [
          'settings/record-too-large',
          'settings/limit-lowered-synced',
          'settings/compression-changed',
          'settings/timestamp-type-changed',
          'times',
          'settings',
        ],
        'a policy that sets a record aside (dead letter) is not built',
      ),
    ),
    item(
      'F55',
      'retention overtakes the copy',
      partly(
        [
          'logs/retention-down',
          'logs/retention-target-paused',
          'logs/delete-records-up',
          'mapped/mapped-retention-passed',
          'slowerThanRetention',
        ],
        'what it means for the RPO; in a mapped target to which others write too, the ledger does not say what was lost',
      ),
    ),
    item(
      'F56',
      'compaction with holes and deletions',
      covered(['logs/compacted-while-copied', 'compactedKilled', 'transactionsLeft']),
    ),
    item(
      'F57',
      'aborted transactions, and one that hangs',
      partly(
        [
          'logs/transaction-hanging',
          'transactions/transaction-hangs-preserved',
          'transactions/end-never-came',
          'openTransaction',
          'transactionEnded',
          'transactions',
        ],
        '10 minutes (it has less than two)',
      ),
    ),
    item(
      'F58',
      'a damaged batch on the disk of the source',
      covered(['logs/batch-damaged-on-disk'], 'to skip it by a decision is not built'),
    ),
    item(
      'F59',
      'old record formats, zstd, empty batches, delete horizons',
      covered(
        ['formats', 'emptied', 'deleteHorizon', 'copy'],
        'formats 0 and 1 in memory: brokers of today write none',
      ),
    ),
    item(
      'F60',
      'throttled to a tenth',
      partly(
        ['clusters/throttled-target', 'clusters/throttled-source'],
        'the time for which brokers hold the mirror back, in its status, compared with the quota',
      ),
    ),
    item(
      'F61',
      'another program writes to the target',
      covered([
        'writers/foreign-plain',
        'writers/foreign-idempotent',
        'writers/foreign-one-record',
        'writers/foreign-transaction',
        'writers/foreign-while-down',
        'guardForeign',
      ]),
    ),
    item(
      'F62',
      'groups go back, jump ahead, are deleted, are empty',
      covered(['groups', 'groupsMapped', 'groupsActive', 'groups/groups-odd-places']),
    ),
    item(
      'F63',
      'the target forgets the producer',
      covered([
        'writers/producer-forgotten',
        'writers/producer-forgotten-doubles',
        'campaign/campaign-pauses-old',
        'campaign/campaign-unowned-old',
      ]),
    ),
  ],
};

const across: List = {
  title: 'Across all faults',
  intro: 'Each fault is to run with everything that a mirror does. What they leave out:',
  items: [
    item(
      'W3',
      'transactions, preserved',
      partly(
        [
          'brokers/leaders-killed',
          'brokers/rolling-restart',
          'network/reset-mid-frame',
          'transactions/coordinators-killed',
          'transactions/coordinators-moved',
          'transactions/lost-answers-of-transactions-4-3',
          'transactions',
          'transactionsLeft',
        ],
        'faults of topics, logs, settings and writers copy plain topics. An end that is written again when a broker is lost stops its partition: a limit, which is shown to be just that',
      ),
    ),
    item(
      'W5',
      'groups that commit while the fault lasts',
      partly(['groups/groups-while-brokers-are-away'], 'groups beside the traffic of the other faults'),
    ),
    item(
      'W6',
      'money that moves between accounts: the sum is the same at every read',
      covered(['money/money-moved'], 'one producer for each partition; kills, takeovers, leaders moved and killed'),
    ),
    item(
      'W10',
      'both ways at once',
      partly(['activeActive'], 'mirrors of both ways under faults: no record twice, nothing grows when nobody writes'),
    ),
    item(
      'mapped',
      '`offsets: mapped`',
      partly(
        [
          'mapped/mapped-leaders-killed',
          'mapped/mapped-lost-answers',
          'mapped/mapped-disk-full',
          'mapped/mapped-killed',
          'rights/mapped-write-revoked',
          'mapped/mapped-retention-passed',
          'mapped',
          'mappedSim',
        ],
        'a run of all but mapped-retention-passed (and crash-mapping); the others of each fault; targets that others write to as well, other than under kills',
      ),
    ),
    item(
      'verify',
      'judged by `lockstep verify` too',
      partly(
        ['transactionsLeft', 'mapped', 'verify', 'network/reset-mid-frame', 'brokers/leaders-killed'],
        'faults whose end is a partition that has stopped: below its offset the checker alone compares',
      ),
    ),
    item(
      'F85',
      'random combinations for hours',
      open('faults drawn at random, a quarter of the time none, 20 × 300 s'),
    ),
  ],
};

export const lists: readonly List[] = [mirrorMaker, strimzi, redpanda, complaints, checks, faults, across];
