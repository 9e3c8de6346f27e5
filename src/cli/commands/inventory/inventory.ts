/** What was on the clusters at a moment, and what has become of it since. */
import { formatCount, formatFacts, formatMoment, formatRows, UNKNOWN } from '../../format.ts';
import type { ResultOf } from '../../remote/api-client.ts';
import { LIST_OPTIONS, listed, type ListOptions } from '../../remote/list.ts';
import { remoteVerb, type RemoteOptions } from '../../remote/remote-verb.ts';
import { choiceFrom, needed, wholeNumber } from '../../remote/values.ts';
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

function topicLines(topics: readonly ResultOf<'listSnapshotTopics'>['items'][number][]): string[] {
  const rows = topics.map((each) => [
    each.name,
    formatCount(each.partitions),
    formatCount(each.replicationFactor),
    formatCount(each.underReplicated),
    formatCount(each.records),
  ]);
  return formatRows(['TOPIC', '#PARTITIONS', '#REPLICAS', '#SHORT', '#RECORDS'], rows, 'topics');
}

function groupLines(groups: readonly ResultOf<'listSnapshotGroups'>['items'][number][]): string[] {
  const rows = groups.map((each) => [each.groupId, each.state, each.protocol, formatCount(each.members)]);
  return formatRows(['GROUP', 'STATE', 'PROTOCOL', '#MEMBERS'], rows, 'groups');
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
  summary: 'show one snapshot: the cluster and how the job was connected to it, as they were',
  examples: ['lockstep inventory get 17'],
  async run({ api }, _, [id]) {
    const params = { sid: snapshotId(id) };
    const [snapshot, cluster, connections] = await Promise.all([
      api.call('getSnapshot', { params }),
      api.call('getSnapshotCluster', { params }),
      api.call('getSnapshotConnections', { params }),
    ]);
    return {
      json: { snapshot, cluster, connections },
      lines: [...snapshotLines([snapshot]), '', ...clusterLines(cluster), '', ...connectionLines(connections)],
    };
  },
});

function clusterLines({ clusterId, controller, brokers }: ResultOf<'getSnapshotCluster'>): string[] {
  return formatFacts([
    ['cluster id', clusterId ?? UNKNOWN],
    ['controller', controller === null ? UNKNOWN : String(controller)],
    ['brokers', brokers.map(({ id, address }) => `${id}@${address}`).join(', ') || UNKNOWN],
  ]);
}

function connectionLines(connections: ResultOf<'getSnapshotConnections'>): string[] {
  const rows = connections.map((each) => [
    each.type,
    each.provider,
    each.protocol,
    each.mechanism ?? 'no login',
    each.isEncrypted ? 'encrypted' : 'not encrypted',
    `${each.responseMs.toFixed(1)} ms`,
  ]);
  return formatRows(['CONNECTION', 'PROVIDER', 'PROTOCOL', 'LOGIN', '', '#ANSWERED IN'], rows, 'connections');
}

export const fullInventory: Verb<RemoteOptions & { readonly limit?: string }> = remoteVerb({
  summary: 'show the newest snapshot of each side of a job with its parts',
  examples: ['lockstep inventory full orders --json'],
  options: { '--limit <number>': 'topics and groups of each; without it 100, at most 1000' },
  async run(remote, { limit = '100' }, [named]) {
    const sides = await remote.api.call('getFullInventory', {
      params: { id: await pickJob(remote, named) },
      query: { limit: wholeNumber('--limit', limit, 1) },
    });
    const lines = sides.flatMap((side) => [
      ...snapshotLines([side.snapshot]),
      ...clusterLines(side.cluster),
      ...connectionLines(side.connections),
      ...topicLines(side.topics.items),
      ...(side.topics.next === null ? [] : [`and more: lockstep inventory topics ${side.snapshot.id}`]),
      ...groupLines(side.groups.items),
      ...(side.groups.next === null ? [] : [`and more: lockstep inventory groups ${side.snapshot.id}`]),
      '',
    ]);
    return {
      json: { sides },
      lines: sides.length === 0 ? ['no snapshots; "lockstep inventory take JOB" takes some'] : lines,
    };
  },
});

export const snapshotPartitions: Verb<RemoteOptions & { readonly topic?: string }> = remoteVerb({
  summary: 'show the partitions of a topic of a snapshot',
  examples: ['lockstep inventory partitions 17 --topic orders'],
  options: { '--topic <name>': 'which topic' },
  async run({ api }, { topic }, [id]) {
    needed({ '--topic': topic });
    const params = { sid: snapshotId(id) };
    const partitions = await api.call('listSnapshotPartitions', { params, query: { topic: topic ?? '' } });
    const rows = partitions.map((each) => [
      String(each.partition),
      each.leader === null ? 'none' : String(each.leader),
      each.replicas.join(','),
      each.inSyncReplicas.join(','),
      formatCount(each.logStart),
      formatCount(each.highWatermark),
    ]);
    return {
      json: { partitions },
      lines: formatRows(['#PARTITION', '#LEADER', 'REPLICAS', 'IN SYNC', '#LOG START', '#END'], rows, 'partitions'),
    };
  },
});

export const snapshotOffsets: Verb<RemoteOptions & { readonly group?: string }> = remoteVerb({
  summary: 'show the places of a consumer group of a snapshot',
  examples: ['lockstep inventory offsets 17 --group billing'],
  options: { '--group <id>': 'which group' },
  async run({ api }, { group }, [id]) {
    needed({ '--group': group });
    const params = { sid: snapshotId(id) };
    const offsets = await api.call('listSnapshotOffsets', { params, query: { group: group ?? '' } });
    const rows = offsets.map((each) => [
      `${each.topic}/${each.partition}`,
      formatCount(each.offset),
      formatCount(each.highWatermark),
      formatCount(each.lagRecords),
    ]);
    return { json: { offsets }, lines: formatRows(['PARTITION', '#OFFSET', '#END', '#LAG'], rows, 'places') };
  },
});

export const snapshotTopics: Verb<RemoteOptions & ListOptions> = remoteVerb({
  summary: 'show the topics of a snapshot',
  examples: ['lockstep inventory topics 17 --search orders'],
  options: LIST_OPTIONS,
  async run({ api }, options, [id]) {
    const { query, wanted } = listed(options);
    const topics = await api.all('listSnapshotTopics', { params: { sid: snapshotId(id) }, query }, wanted);
    return { json: { topics }, lines: topicLines(topics) };
  },
});

export const snapshotGroups: Verb<RemoteOptions & ListOptions> = remoteVerb({
  summary: 'show the consumer groups of a snapshot',
  examples: ['lockstep inventory groups 17'],
  options: LIST_OPTIONS,
  async run({ api }, options, [id]) {
    const { query, wanted } = listed(options);
    const groups = await api.all('listSnapshotGroups', { params: { sid: snapshotId(id) }, query }, wanted);
    return { json: { groups }, lines: groupLines(groups) };
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
