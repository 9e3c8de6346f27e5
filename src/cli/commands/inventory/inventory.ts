/** What was on the clusters at a moment, and what has become of it since. */
import { formatCount, formatFacts, formatMoment, formatRows, UNKNOWN } from '../../format.ts';
import type { ResultOf } from '../../remote/api-client.ts';
import { LIST_OPTIONS, listed, type ListOptions } from '../../remote/list.ts';
import { remoteVerb, type RemoteOptions } from '../../remote/remote-verb.ts';
import { choiceFrom, wholeNumber } from '../../remote/values.ts';
import type { Verb } from '../../verb.ts';
import { pickJob } from '../jobs/list.ts';

type Snapshot = ResultOf<'getSnapshot'>;

function snapshotLines(snapshots: readonly Snapshot[]): string[] {
  const rows = snapshots.map((each) => [
    String(each.id),
    each.cluster,
    each.side ?? UNKNOWN,
    formatMoment(each.takenAt),
    each.trigger,
    formatCount(each.topics),
    formatCount(each.partitions),
    formatCount(each.groups),
  ]);
  return formatRows(['ID', 'CLUSTER', 'SIDE', 'TAKEN', 'WHY', '#TOPICS', '#PARTITIONS', '#GROUPS'], rows, 'snapshots');
}

const snapshotId = (written: string | undefined): number => wholeNumber('the id of a snapshot', written ?? '');

interface SnapshotOptions extends RemoteOptions {
  readonly side?: string;
  readonly limit?: string;
}

export const listSnapshots: Verb<SnapshotOptions> = remoteVerb({
  summary: 'show the snapshots of the clusters of a job, the newest first',
  examples: ['lockstep inventory list orders --side source'],
  options: { '--side <side>': 'only source or target', '--limit <number>': 'at most so many; without it all' },
  async run(remote, { side, ...options }, [named]) {
    const params = { id: await pickJob(remote, named) };
    const query = {
      sort: '-takenAt',
      ...(side === undefined ? {} : { side: choiceFrom('--side', side, ['source', 'target']) }),
    };
    const snapshots = await remote.api.all('listSnapshots', { params, query }, listed(options).wanted);
    return { json: { snapshots }, lines: snapshotLines(snapshots) };
  },
});

export const takeSnapshots: Verb<RemoteOptions> = remoteVerb({
  summary: 'take a snapshot of both clusters of a job, as they say now',
  examples: ['lockstep inventory take orders'],
  async run(remote, _, [named]) {
    const snapshots = await remote.api.call('takeSnapshots', { params: { id: await pickJob(remote, named) } });
    return { json: { snapshots }, lines: snapshotLines(snapshots) };
  },
});

export const getSnapshot: Verb<RemoteOptions> = remoteVerb({
  summary: 'show one snapshot: the cluster, as it was',
  examples: ['lockstep inventory get 17'],
  async run({ api }, _, [id]) {
    const snapshot = await api.call('getSnapshot', { params: { sid: snapshotId(id) } });
    const facts = formatFacts([['facts', JSON.stringify(snapshot.facts)]]);
    return { json: { snapshot }, lines: [...snapshotLines([snapshot]), ...facts] };
  },
});

export const snapshotTopics: Verb<RemoteOptions & ListOptions> = remoteVerb({
  summary: 'show the topics of a snapshot',
  examples: ['lockstep inventory topics 17 --search orders'],
  options: LIST_OPTIONS,
  async run({ api }, options, [id]) {
    const { query, wanted } = listed(options);
    const topics = await api.all('listSnapshotTopics', { params: { sid: snapshotId(id) }, query }, wanted);
    const rows = topics.map((each) => [
      each.name,
      formatCount(each.partitions),
      formatCount(each.replicationFactor),
      formatCount(each.underReplicated),
      formatCount(each.records),
    ]);
    return {
      json: { topics },
      lines: formatRows(['TOPIC', '#PARTITIONS', '#REPLICAS', '#SHORT', '#RECORDS'], rows, 'topics'),
    };
  },
});

export const snapshotGroups: Verb<RemoteOptions & ListOptions> = remoteVerb({
  summary: 'show the consumer groups of a snapshot',
  examples: ['lockstep inventory groups 17'],
  options: LIST_OPTIONS,
  async run({ api }, options, [id]) {
    const { query, wanted } = listed(options);
    const groups = await api.all('listSnapshotGroups', { params: { sid: snapshotId(id) }, query }, wanted);
    const rows = groups.map((each) => [each.groupId, each.state, each.protocol, formatCount(each.members)]);
    return { json: { groups }, lines: formatRows(['GROUP', 'STATE', 'PROTOCOL', '#MEMBERS'], rows, 'groups') };
  },
});

interface DiffOptions extends RemoteOptions, ListOptions {
  readonly kind?: string;
}

export const diffSnapshots: Verb<DiffOptions> = remoteVerb({
  summary: 'show what became of a snapshot to give another one of the same cluster',
  examples: ['lockstep inventory diff 17 23', 'lockstep inventory diff 17 23 --kind topic --json'],
  options: { '--kind <kind>': 'only topic, partition, group or offset', ...LIST_OPTIONS },
  async run({ api }, { kind, ...options }, [from, to]) {
    const { query, wanted } = listed(options);
    const only =
      kind === undefined ? {} : { kind: choiceFrom('--kind', kind, ['topic', 'partition', 'group', 'offset']) };
    const params = { sid: snapshotId(from), other: snapshotId(to) };
    const differences = await api.all('compareSnapshots', { params, query: { ...query, ...only } }, wanted);
    const rows = differences.map((each) => [
      each.kind,
      each.name,
      each.change,
      each.before === null ? '' : JSON.stringify(each.before),
      each.after === null ? '' : JSON.stringify(each.after),
    ]);
    return {
      json: { differences },
      lines: formatRows(['KIND', 'NAME', 'CHANGE', 'BEFORE', 'AFTER'], rows, 'differences'),
    };
  },
});
