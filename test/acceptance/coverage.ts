/** How an item of the acceptance lists stands. */
import type { TestName } from '../test-titles.ts';

export type State = 'covered' | 'partly' | 'open' | 'later' | 'none';

export interface Coverage {
  readonly state: State;
  readonly by: readonly TestName[];
  /** What is missing; with what it comes; why it does not apply. Empty where nothing is to be said. */
  readonly text: string;
}

export interface Item {
  readonly id: string;
  /** One line, in our own words. */
  readonly says: string;
  readonly coverage: Coverage;
}

export interface List {
  readonly title: string;
  readonly intro: string;
  readonly items: readonly Item[];
}

const acceptance = (file: string, title: string): TestName => ({
  file: `test/acceptance/${file}.kafka.test.ts`,
  title,
});
const unit = (file: string, title: string): TestName => ({ file: `src/${file}.test.ts`, title });

/** Tests that lists name, by a short name. */
const tests = {
  copy: {
    file: 'test/acceptance/copy-suite.ts',
    title: 'mirrors every kind of topic to the same offsets, bytes and times, and a second run has nothing to do',
  },
  kill: acceptance('kill', 'is identical after ${kills} random kills -9 while it copies, aligns and fills holes'),
  transactions: acceptance(
    'transactions',
    'readers of either isolation level see the source, also after ${KILLS} kills -9 and a second run',
  ),
  transactionsLeft: acceptance(
    'transactions',
    'what compaction and DeleteRecords left of transactions is the same, and lockstep verify says so',
  ),
  transactionEnded: acceptance(
    'transactions',
    'one that its coordinator ends while the mirror is down stops the partition, at the offset of that end',
  ),
  transactionsRights: acceptance(
    'transactions-rights',
    'is identical from a log start on that is the end of a transaction, and after a restart',
  ),
  groups: acceptance(
    'groups',
    'consumers read on at the target with exactly the next record, at any lag, and after a rewind too',
  ),
  groupsMapped: acceptance('groups', 'by a map they read on with exactly the next record too, after a rewind as well'),
  groupsActive: acceptance(
    'groups',
    'an active group of the target is left alone until it is empty; a deleted one is deleted where nobody uses it',
  ),
  groupsClient: acceptance('groups', "MirrorMaker 2's client finds the places and the source"),
  groupRights: acceptance(
    'group-rights',
    'what groups need is named by the plan, costs only the groups, and is enough',
  ),
  failover: acceptance(
    'failover',
    'with the source: everything is copied, consumers skip nothing and read nothing twice, and the mirror refuses to go on',
  ),
  failoverLost: acceptance(
    'failover',
    'without the source: the copy is a prefix, transactions that are cut in two are named, and groups skip nothing',
  ),
  mapped: acceptance(
    'mapped',
    'after ${kills} kills -9 each record of the source is on the target once, where the map says',
  ),
  rebuild: acceptance(
    'mapped',
    'a copy that is rebuilt is deleted only when told to, and copied anew; what others share is refused',
  ),
  ownership: acceptance(
    'ownership',
    'processes that join, leave, die and stand still copy each partition one at a time, and exactly',
  ),
  ownershipStart: acceptance(
    'ownership',
    'three that start at the same moment share what is there; a fourth with another file is told so and gets nothing',
  ),
  ownershipOff: acceptance('ownership', 'the same processes without ownership are not identical'),
  doubles: acceptance(
    'live-doubles',
    'three live mirrors, one of them stopped and continued, are identical at read_uncommitted',
  ),
  doublesOff: acceptance('live-doubles', 'the same without the sequence rule is not identical'),
  starts: acceptance(
    'variants',
    'starts at the end, at a time and at given offsets, each with the offsets of the source',
  ),
  grows: acceptance('variants', 'picks up new partitions and new topics while it runs, from their first record'),
  splits: acceptance('variants', 'splits batches that are larger than the target topic takes, in every codec'),
  times: acceptance('variants', "keeps producers' times or leaves the target its clock, as the file says"),
  openTransaction: acceptance(
    'variants',
    'is caught up at an open transaction, says what it holds back, and goes on when it has ended',
  ),
  compactedKilled: acceptance(
    'variants',
    'loses nothing when the source is compacted while it is copied and the mirror is killed',
  ),
  leastRights: acceptance(
    'permissions',
    'with exactly the documented rights a mirror lives its whole life: created, aligned, holes, settings, growth, restart',
  ),
  oneRightLess: acceptance(
    'permissions',
    'a mirror without one right of each topic, and without ALTER on the cluster, stops exactly there and goes on when they are granted',
  ),
  aroundPlanned: acceptance('around-records', 'are planned with the reason of each, and nothing is changed'),
  aroundSecond: acceptance('around-records', 'follow before a mirror has caught up, and a second run changes nothing'),
  aroundRefused: acceptance('around-records', 'let no user do on the target what the source refuses'),
  aroundLive: acceptance(
    'around-records',
    'follow while the mirror runs; what goes at the source goes only where the mirror has made it',
  ),
  aroundDenied: acceptance(
    'around-records',
    'without the right to them are named with the command, and records are copied all the same',
  ),
  settingsFollow: acceptance(
    'around-records',
    'are those in effect at the source with defaultsFrom: source, and may get weaker where that is asked for',
  ),
  noAuthorizer: acceptance('around-records', 'is said once, and is no incident'),
  settings: acceptance(
    'settings',
    'a setting that the mirror may not change is named with what to set, and a topic without one is not',
  ),
  slowerThanRetention: acceptance(
    'settings',
    'a source that deletes faster than its records can be copied is named, with how that was estimated',
  ),
  secureCopy: acceptance('secure', 'copies over SASL_SSL on both sides, identically, and says no secret'),
  secureCertificates: acceptance(
    'secure',
    'goes on when client certificate and authority are replaced, without a restart',
  ),
  expiredCertificate: acceptance('security', "without, with a stranger's and with an expired client certificate"),
  verify: acceptance(
    'verify',
    'a mirror is identical for a reader that may only read, also while it runs; an altered record is named',
  ),
  interrupted: acceptance('cli', 'Ctrl-C ends it in good order in the middle, and the next run goes on there'),
  oneCluster: acceptance('bad-input', 'one cluster under two names'),
  otherCluster: acceptance('bad-input', 'another cluster than the pinned one'),
  guardForeign: acceptance('guards', 'when a foreign Java producer writes to the target during the copy'),
  guardHolds: acceptance('guards', 'when the target topic holds data of somebody else'),
  guardClaimed: acceptance('guards', 'when another mirror has claimed the target topic'),
  guardRecreatedDown: acceptance(
    'guards',
    'when the source topic was deleted and created anew while the mirror was down',
  ),
  guardRecreatedUp: acceptance('guards', 'when the source topic is deleted and created anew while the mirror runs'),
  guardTruncated: acceptance('guards', 'when the source has lost what was copied'),
  guardLarge: acceptance(
    'guards',
    'when a record is larger than the target takes, and what the source took before is split',
  ),
  activeActive: acceptance(
    'topologies',
    'active/active with prefixes: each side has its own and the other side’s records, and none goes round',
  ),
  chain: acceptance(
    'topologies',
    'a chain of three is identical end to end while it is written, and its ring is refused',
  ),
  ring: acceptance('topologies', 'a ring that mirrors close which could not see it is found while they run'),
  oneClusterTwice: acceptance('topologies', 'source and target that are one cluster under two addresses are refused'),
  checker: unit('testing/checker/check-replication', 'names it, and only it: $name'),
  checkerFaithful: unit('testing/checker/check-replication', 'finds nothing in a faithful mirror, $transactions'),
  checkerAborted: unit('testing/checker/check-replication', 'sees a transaction that was aborted on one side only'),
  offsetMap: unit(
    'contract/offset-map',
    'translates every offset of a group so that it has read the same records, at any lag',
  ),
  ledger: unit('contract/disposition-ledger', 'has each offset once, and explains all of them'),
  verifyMap: unit('prove/compare-mapped', 'a map entry that is wrong'),
  verifyLedger: unit('prove/compare-mapped', 'a ledger that says something else than the log, or nothing'),
  verifyMappedRecord: unit('prove/compare-mapped', 'a record that was changed, dropped or swapped'),
  movesHeld: unit(
    'mirror/group-moves',
    'a place beyond the end of the target is held there, and followed when more is copied',
  ),
  movesProperty: unit(
    'mirror/group-moves',
    'no place is ever moved but to the one from which the next record is exactly the next one that the target has',
  ),
  movesEmptyMap: unit('mirror/group-moves', 'while a map is empty there is no place: what lies there is of others'),
  movesStart: unit('mirror/group-moves', 'a place below the start of the target is the first record that is there'),
  movesUntranslated: unit(
    'mirror/group-moves',
    'a partition that cannot be translated is left alone, and the others of the group move',
  ),
  movesBack: unit(
    'mirror/group-moves',
    'a place is only moved back where the source moved back and nobody has read from it on the target',
  ),
  movesNothingLeft: unit('mirror/group-moves', 'once its moves are made, nothing is left to do'),
  syncQuiet: unit('mirror/group-sync', 'a group gets its place, and nothing is written or told while nothing moves'),
  syncRace: unit('mirror/group-sync', 'that came between the look and the commit refuses, and what it read stays'),
  syncNoAnswer: unit('mirror/group-sync', 'a commit without an answer is looked at, and not taken for somebody else’s'),
  syncAgain: unit('mirror/group-sync', 'what was refused is tried again in the next round'),
  syncStopped: unit(
    'mirror/group-sync',
    'a partition that has stopped, or that is not copied, keeps its groups where they are',
  ),
  mappedSim: unit('mirror/mapped-shard.sim', 'at any point of waiting it goes on exactly: %j'),
  mappedLater: unit('mirror/mapped-shard.sim', 'does not send a record behind a gap before the ledger says so'),
  writerSim: unit(
    'mirror/transaction-writer.sim',
    'killed once at every step, before and after its effect, it goes on exactly',
  ),
  transactionsSim: unit(
    'mirror/shard-transactions.sim',
    'with answers that are lost and requests that are refused, seed %i',
  ),
  schedulesSim: unit(
    'mirror/schedules.sim',
    '%s: the target is the source, or one incident names the place, in %i schedules',
  ),
  benchModes: { file: 'bench/goal.test.ts', title: 'hold identical offsets to 1.05 times the CPU of mapped ones' },
  benchPeer: { file: 'bench/goal.test.ts', title: 'are not met by the median of runs that miss them' },
  faultCounts: {
    file: 'test/faults/report.test.ts',
    title: 'counts are of what passed: scenarios, records, kills, differences, incidents',
  },
  ownershipSim: unit(
    'jobs/ownership.sim',
    'never write to one shard at the same time, and share all of them when trouble ends, in ${SCHEDULES} schedules',
  ),
  ownershipStrange: unit(
    'jobs/ownership',
    'that cannot be understood gets nothing, nor does anybody else get what it may claim',
  ),
  ownershipSuspended: unit(
    'jobs/ownership',
    'stops to write when the machine was suspended, though its clock stood still',
  ),
  idleConnections: unit('mirror/shard.sim', 'closed by an idle %s are opened again when there is something to copy'),
  noProgress: unit('mirror/shard.sim', '45 without anybody advancing for 30 s: SHARD_NO_PROGRESS'),
  formats: unit('mirror/batch-walk', 'E1 passes format 2 through, and stops at an older one'),
  emptied: unit('mirror/batch-walk', 'E4 makes a hole of a batch that compaction has emptied'),
  deleteHorizon: unit(
    'mirror/batch-walk',
    'E7 and E9 clear the transactional bit and the delete horizon, and keep the times of the records',
  ),
  settingsExcluded: unit(
    'mirror/topic-configs',
    'leaves an excluded name to each cluster, and names it where it differs',
  ),
  settingsNotWeaker: unit(
    'mirror/topic-configs',
    'does not lower %s to %s from %s unless it is asked for, and says so',
  ),
  manyAcls: unit('mirror/around-records', 'asks for no change where nothing differs: 10,000 ACLs and 1,000 quotas'),
  keysDocumented: unit('contract/resources', 'has every key of a %s'),
  keysThere: unit('contract/resources', 'has no key that is not there'),
  keyDefaults: unit('contract/resources', 'says each default as it is'),
  keysWork: unit('contract/resources', 'names keys that a file may have, each with a value that changes what is read'),
  namesRefused: unit(
    'contract/resources',
    'names of clusters and mirrors take no special character, and each is refused by its name',
  ),
  tooFewBrokers: unit(
    'mirror/topic-decision',
    'more replicas than brokers are refused for a new topic, and no matter for one that is there',
  ),
  sourceLag: unit('mirror/source-lag', 'records written between the two questions do not look held back'),
  outageOnce: unit(
    'mirror/outages',
    'of many partitions is one incident, over with the last of them, and another one later',
  ),
  server: acceptance(
    'server',
    'a database that is locked, or gone, stops no copy; users are told, and all is well when it is back',
  ),
  auditDisk: unit(
    'prove/log/audit-log.sim',
    'a log whose disk fails refuses from then on, and goes on when it is opened again (seed %i)',
  ),
  scraped: {
    file: 'test/deploy/prometheus.kafka.test.ts',
    title: 'Prometheus scrapes every series, hostile names too, and raises an alert',
  },
  stalled: unit('jobs/stalled-broker', 'a broker that stands still takes nothing from the partitions of the others'),
} as const;

/** A short name of above, or `area/id` of a fault. */
export type Reference = keyof typeof tests | `${string}/${string}`;

function named(reference: Reference): TestName {
  const known = (tests as Readonly<Record<string, TestName>>)[reference];
  if (known) return known;
  const [area, id = ''] = reference.split('/');
  return { file: `test/faults/${area}.fault.test.ts`, title: id };
}

/** `note` says what the test does otherwise than the list. */
export const covered = (by: readonly Reference[], note = ''): Coverage => ({
  state: 'covered',
  by: by.map(named),
  text: note,
});
export const partly = (by: readonly Reference[], missing: string): Coverage => ({
  state: 'partly',
  by: by.map(named),
  text: missing,
});
export const open = (missing: string): Coverage => ({ state: 'open', by: [], text: missing });
export const comesWith = (what: 'the registry' | 'the archive'): Coverage => ({
  state: 'later',
  by: [],
  text: what,
});
/** A cell that says nothing here. */
export const none = (why: string): Coverage => ({ state: 'none', by: [], text: why });

export const item = (id: string, says: string, coverage: Coverage): Item => ({ id, says, coverage });
