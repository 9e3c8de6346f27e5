/**
 * The way back after a failover: what only the old primary has, record by record, and what has to go there before the copy can
 * come back. Nothing is deleted that was not shown, decided about and confirmed; a topic is deleted by the id that was copied.
 */
import { isDeepStrictEqual } from 'node:util';
import type {
  DivergedPartition,
  DivergedRecord,
  Exporter,
  FailbackDecision,
  FailbackReport,
  TopicCut,
} from '#contract/failover.ts';
import type { MirrorResource } from '#contract/resources.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { isDenied } from '#kafka/permissions.ts';
import {
  ATTRIBUTE_CONTROL,
  ATTRIBUTE_TRANSACTIONAL,
  attributesOf,
  baseOffsetOf,
  lastOffsetOf,
  producerIdOf,
} from '#kafka/records/batch-header.ts';
import { openBatch } from '#kafka/records/open-batch.ts';
import { readTail, type RawBatch } from '#kafka/simple-log.ts';
import { deleteTopic } from '#kafka/topics.ts';
import { readLogStart, readWatermark } from '../offsets.ts';
import type { FailoverRecord } from '../state-records.ts';
import { isCommit } from '../transaction-tail.ts';
import { adopt, backName, isClean } from './adopt.ts';
import { openFailover } from './failover.ts';
import { lowerFence } from './fence.ts';
import { findTopics } from './find-topics.ts';
import { withGrown } from './grown-topics.ts';
import { neverCopied, type CopyStore } from './never-copied.ts';
import { beginReplay, replayTo } from './replay.ts';
import { refused } from './steps.ts';

const WINDOW_BYTES = 4 * 1024 * 1024;

export interface FailbackRun {
  readonly resource: MirrorResource;
  /** The old primary. */
  readonly source: Cluster;
  readonly target: Cluster;
  /** What becomes of records that only the old primary has; null where nothing was decided yet. */
  readonly decision: FailbackDecision | null;
  /** Deletes; without it nothing is changed. */
  readonly isConfirmed: boolean;
  /** Where the records go; null: they are only counted. */
  readonly exporter: Exporter | null;
}

/**
 * Reports, and with `isConfirmed` makes room on the old primary for the copy that comes back. The same call goes on where one
 * stopped. Throws AppError FAILOVER_REFUSED where the mirror was not failed over, or nothing was decided; KafkaError.
 */
export async function failBack(run: FailbackRun): Promise<FailbackReport> {
  const { resource, source, target, isConfirmed, exporter } = run;
  const { state, mirrorId, mirror } = await openFailover(resource, target);
  const record = state.failover(mirrorId);
  if (record?.phase !== 'promoted')
    throw refused(
      `Mirror "${mirror.name}" was not failed over to cluster "${target.name}".`,
      record ? 'Finish the failover first: lockstep failover -f FILE --yes' : '"lockstep failover -f FILE" shows how.',
    );
  if (source.clusterId !== mirror.sourceClusterId)
    throw refused(
      `Cluster "${source.name}" has the id ${source.clusterId}, and the mirror copied from ${mirror.sourceClusterId}.`,
      'Correct the addresses of the source; a cluster that was really replaced has nothing to lead back to: mirror to it as to any other.',
    );
  const there = await stillThere(source, record.cut ?? []);
  const cuts = there.map((cut) => withGrown(source, cut));
  const ends = await endsOf(source, cuts);
  const isKept = isExportKept(run, record, ends);
  const diverged = await readDiverged(source, cuts, record, isKept ? null : exporter);
  const records = diverged.reduce((sum, each) => sum + each.records, 0);
  const clean = new Set<TopicCut>();
  for (const cut of cuts) if (there.includes(cut) && !differs(record) && (await isClean(source, cut))) clean.add(cut);
  const stale = cuts.filter((cut) => !clean.has(cut));
  const uncounted = await uncountedOf({ source, state, record }, stale);
  const topics = stale.map(({ sourceTopic }) => sourceTopic);
  if (!isConfirmed && !isKept) exporter?.finish();
  if (isConfirmed)
    await makeRoom(run, {
      record,
      stale,
      clean: [...clean],
      ends,
      isExportKept: isKept,
      records,
      uncounted,
      mirrorId,
      save: (saved) => state.putFailover(mirrorId, saved),
    });
  return {
    mirror: mirror.name,
    oldPrimary: source.name,
    newPrimary: target.name,
    diverged,
    records,
    exportedTo: exporter?.file ?? null,
    decision: (isConfirmed ? run.decision : null) ?? decidedBefore(record),
    topics,
    kept: [...clean].map(({ sourceTopic }) => sourceTopic),
    isDone: isConfirmed,
    document: documentOf(resource, record.cut ?? []),
    next: [...(isConfirmed ? [] : uncounted), ...nextOf(run, record)],
  };
}

/** It was failed over with --force: where the two sides are not the same below the cut is not known. */
function differs({ verified }: Pick<FailoverRecord, 'verified'>): boolean {
  return (verified?.different ?? 0) > 0;
}

/** What would be deleted below the cuts that the new primary has not got, as sentences. Throws KafkaError. */
async function uncountedOf(
  { source, state, record }: { readonly source: Cluster; readonly state: CopyStore; readonly record: FailoverRecord },
  stale: readonly TopicCut[],
): Promise<string[]> {
  const said: string[] = [];
  if (differs(record) && stale.length > 0)
    said.push(
      `${record.verified?.different} partitions differed when they were failed over with --force: what "${source.name}" has there below the cut is only there.`,
    );
  for (const topic of stale) {
    let offsets = 0;
    for (const partition of topic.partitions.keys()) {
      const sourceStart = await readLogStart(source, topic.sourceTopic, partition);
      offsets += neverCopied(state, topic, { partition, sourceStart });
    }
    if (offsets > 0)
      said.push(
        `${offsets} offsets of "${topic.sourceTopic}" lie before the start of the copy, or were left out by its condition: they are only on "${source.name}".`,
      );
  }
  return said;
}

/** Topics that were copied and not deleted since, by an earlier call or anybody else. Throws KafkaError. */
async function stillThere(source: Cluster, cuts: readonly TopicCut[]): Promise<TopicCut[]> {
  const found = await findTopics(
    source,
    cuts.map(({ sourceTopic }) => sourceTopic),
  );
  return cuts.filter(({ sourceTopicId }, i) => found[i]?.topicId === sourceTopicId);
}

/** Where the partitions of each topic end. */
type Ends = Readonly<Record<string, number[]>>;

async function endsOf(source: Cluster, cuts: readonly TopicCut[]): Promise<Ends> {
  const ends: [string, number[]][] = [];
  for (const { sourceTopic, partitions } of cuts) {
    const each = partitions.map((_, partition) => readWatermark(source, sourceTopic, partition));
    ends.push([sourceTopic, await Promise.all(each)]);
  }
  return Object.fromEntries(ends);
}

/**
 * Once topics are being deleted, the file that was written before is the only place of their records: it is not written again.
 * Throws AppError FAILOVER_REFUSED where the old primary has more by now.
 */
function isExportKept({ exporter }: FailbackRun, { failback }: FailoverRecord, ends: Ends): boolean {
  const exported = failback?.exported?.find(({ file }) => file === exporter?.file);
  if (!exporter || !failback?.isDeleting || !exported) return false;
  const grown = Object.keys(ends).filter((topic) => !isDeepStrictEqual(ends[topic], exported.ends[topic]));
  if (grown.length > 0)
    throw refused(
      `${grown.map((topic) => `"${topic}"`).join(', ')} of the old primary has more than was exported to ${exporter.file}, which holds records of topics that are deleted.`,
      'Stop its producers, and give the same command with another file: the rest is written there.',
    );
  return true;
}

/** By an earlier call. What it kept when there was nothing to decide about says nothing of records that have come since. */
export function decidedBefore({ failback }: Pick<FailoverRecord, 'failback'>): FailbackDecision | null {
  return failback && failback.records > 0 ? failback.decision : null;
}

interface Room {
  readonly record: FailoverRecord;
  /** To be deleted. */
  readonly stale: readonly TopicCut[];
  /** To be taken over as they are. */
  readonly clean: readonly TopicCut[];
  /** As of when it was read what only the old primary has. */
  readonly ends: Ends;
  /** The file of an earlier call holds everything. */
  readonly isExportKept: boolean;
  readonly records: number;
  /** What is deleted besides, and neither exported nor replayed. */
  readonly uncounted: readonly string[];
  readonly mirrorId: string;
  save(record: FailoverRecord): Promise<void>;
}

async function makeRoom(run: FailbackRun, room: Room): Promise<void> {
  const { record, stale, clean, ends, records } = room;
  const { source, target, decision, exporter } = run;
  const decided = decision ?? decidedBefore(record);
  if (records > 0 && decided === null)
    throw refused(
      `${records} records are only on "${source.name}", and would be deleted with its topics.`,
      'Decide: --diverged export --export FILE writes them to a file first; --diverged replay writes them to the new primary; --diverged discard lets them go.',
    );
  if (records > 0 && decided === 'export' && exporter === null)
    throw refused('--diverged export needs a file.', 'Name one with --export FILE.');
  if (room.uncounted.length > 0 && decided !== 'discard')
    throw refused(
      `${room.uncounted.join(' ')} It would be deleted, and is neither exported nor replayed.`,
      'Keep what you need of it with the tools of Kafka, or lead these topics back by a mirror of your own into new topics; --diverged discard lets it go.',
    );
  const shared = stale.filter(({ mode }) => mode === 'shared');
  if (shared.length > 0)
    throw refused(
      `${shared.map(({ targetTopic }) => `"${targetTopic}"`).join(', ')} on "${target.name}" has records of others too: it cannot be copied back as it is.`,
      'Lead these topics back by a mirror of your own, and exclude them here.',
    );
  let replay = record.failback?.replay ?? null;
  const topics = [...new Set([...(record.failback?.topics ?? []), ...stale.map(({ sourceTopic }) => sourceTopic)])];
  const before = record.failback;
  const others = before?.exported?.filter(({ file }) => file !== exporter?.file) ?? [];
  const exported =
    exporter === null || room.isExportKept ? before?.exported : [...others, { file: exporter.file, ends }];
  const keep = (isDeleting = false): Promise<void> =>
    room.save({
      ...record,
      failback: {
        decision: decided ?? 'discard',
        records: Math.max(records, before?.records ?? 0),
        at: source.clock.now(),
        topics,
        replay,
        ...(exported ? { exported } : {}),
        isDeleting: isDeleting || before?.isDeleting === true,
      },
    });
  if (records > 0 && decided === 'replay') {
    replay ??= await beginReplay(target, room.mirrorId);
    await keep();
    for await (const divergence of divergencesOf(source, stale, record)) await replayTo(target, divergence, replay);
  }
  await keep(stale.length > 0);
  exporter?.finish();
  for (const cut of stale) {
    if (decided !== 'discard') await refuseGrown(source, cut, ends);
    await deleteTopic(source, { name: cut.sourceTopic, topicId: cut.sourceTopicId });
  }
  await adopt(run, { name: record.mirrorName, transactions: run.resource.spec.transactions }, clean);
  try {
    await lowerFence(source, record.fence?.topics ?? []);
  } catch (error) {
    if (!isDenied(error)) throw error;
    throw refused(
      `Producers are still denied WRITE on "${source.name}", and the right to change that is missing (ALTER on the cluster).`,
      'Grant it, and give the same command again; or take these ACLs away as an administrator: DENY WRITE for User:* on each of the topics.',
      error,
    );
  }
}

/** What was written since it was exported, or replayed, would be gone with the topic. */
async function refuseGrown(source: Cluster, cut: TopicCut, ends: Ends): Promise<void> {
  const now = await endsOf(source, [cut]);
  if (isDeepStrictEqual(now[cut.sourceTopic], ends[cut.sourceTopic])) return;
  throw refused(
    `"${cut.sourceTopic}" on "${source.name}" is being written to: what came meanwhile would be deleted with it.`,
    'Stop its producers, and give the same command again.',
  );
}

// ---- what only the old primary has

/** A partition of the old primary that has more than the target. */
export interface Divergence {
  readonly topic: string;
  readonly targetTopic: string;
  readonly partition: number;
  readonly cut: number;
  /** Where it ends. */
  readonly to: number;
  /** In the order of their offsets. */
  read(): AsyncGenerator<DivergedRecord[]>;
}

async function* divergencesOf(
  source: Cluster,
  cuts: readonly TopicCut[],
  record: FailoverRecord,
): AsyncGenerator<Divergence> {
  for (const { sourceTopic: topic, targetTopic, partitions } of cuts) {
    for (const [partition, [cut]] of partitions.entries()) {
      const open = record.transactions.filter((each) => each.topic === targetTopic && each.partition === partition);
      const to = await readWatermark(source, topic, partition);
      const first = Math.min(cut, ...open.map((each) => each.from));
      if (to <= first) continue;
      const range = { topic, partition, from: Math.max(first, await readLogStart(source, topic, partition)), to };
      const starts = new Set(open.map((each) => each.from));
      yield {
        topic,
        targetTopic,
        partition,
        cut,
        to: Math.max(cut, to),
        read: () => readRange(source, range, { cut, starts }),
      };
    }
  }
}

async function readDiverged(
  source: Cluster,
  cuts: readonly TopicCut[],
  record: FailoverRecord,
  exporter: Exporter | null,
): Promise<DivergedPartition[]> {
  const diverged: DivergedPartition[] = [];
  exporter?.begin();
  for await (const divergence of divergencesOf(source, cuts, record)) {
    const { topic, partition, cut: from, to } = divergence;
    let records = 0;
    for await (const found of divergence.read()) {
      records += found.length;
      exporter?.add(found);
    }
    if (to > from || records > 0) diverged.push({ topic, partition, from, to, records });
  }
  return diverged;
}

/** Beyond the cut everything; below it the records of transactions that were cut in two and that the source did not abort. */
async function* readRange(
  source: Cluster,
  range: Range,
  /** `starts`: where transactions begin that were cut in two. */
  { cut, starts }: { readonly cut: number; readonly starts: ReadonlySet<number> },
): AsyncGenerator<DivergedRecord[]> {
  const ends = await readEndings(source, range);
  const producers = new Set<number>();
  for await (const batch of batchesOf(source, range)) {
    const producerId = producerIdOf(batch.buffer, batch.at);
    if (starts.has(baseOffsetOf(batch.buffer, batch.at))) producers.add(producerId);
    const isHidden = ({ offset, transaction }: DivergedRecord): boolean =>
      producers.has(producerId) &&
      transaction !== null &&
      transaction !== 'aborted' &&
      !isOver(ends, producerId, offset, cut);
    const found = recordsOf(batch, range, ends).filter((each) => each.offset >= cut || isHidden(each));
    if (found.length > 0) yield found;
  }
}

/** The transaction of the record ended before the cut: it is another one, and whole on both sides. */
function isOver(ends: Endings, producerId: number, offset: number, cut: number): boolean {
  const end = ends.get(producerId)?.find((each) => each.offset > offset);
  return end !== undefined && end.offset < cut;
}

interface Range {
  readonly topic: string;
  readonly partition: number;
  /** Offsets [from, to). */
  readonly from: number;
  readonly to: number;
}

async function* batchesOf(source: Cluster, { topic, partition, from, to }: Range): AsyncGenerator<RawBatch> {
  for (let fromOffset = from; fromOffset < to;) {
    const read = { topic, partition, fromOffset, toOffset: to, maxBytes: WINDOW_BYTES, isUncommitted: true };
    const { batches } = await readTail(source, read);
    yield* batches;
    const last = batches.at(-1);
    if (!last) return; // compaction has taken what was there
    fromOffset = lastOffsetOf(last.buffer, last.at) + 1;
  }
}

/** By producer id, in their order: where a transaction ends, and how. */
type Endings = ReadonlyMap<number, readonly { readonly offset: number; readonly isCommit: boolean }[]>;

async function readEndings(source: Cluster, range: Range): Promise<Endings> {
  const endings = new Map<number, { offset: number; isCommit: boolean }[]>();
  for await (const { buffer, at } of batchesOf(source, range)) {
    if ((attributesOf(buffer, at) & ATTRIBUTE_CONTROL) === 0) continue;
    const producerId = producerIdOf(buffer, at);
    const known = endings.get(producerId) ?? [];
    known.push({ offset: baseOffsetOf(buffer, at), isCommit: isCommit(buffer, at) });
    endings.set(producerId, known);
  }
  return endings;
}

function recordsOf(
  { buffer, at }: RawBatch,
  { topic, partition, from, to }: Range,
  endings: Endings,
): DivergedRecord[] {
  const attributes = attributesOf(buffer, at);
  if ((attributes & ATTRIBUTE_CONTROL) !== 0) return [];
  const isTransactional = (attributes & ATTRIBUTE_TRANSACTIONAL) !== 0;
  const ends = endings.get(producerIdOf(buffer, at)) ?? [];
  const batch = openBatch(buffer, at);
  const records: DivergedRecord[] = [];
  for (let i = 0; i < batch.count; i++) {
    const { offset, timestamp, key, value, headers } = batch.recordAt(i);
    if (offset < from || offset >= to) continue;
    const end = ends.find((each) => each.offset > offset);
    records.push({
      topic,
      partition,
      offset,
      timestamp,
      key: base64(key),
      value: base64(value),
      headers: headers.map((header) => [header.key.toString('utf8'), base64(header.value)] as const),
      transaction: isTransactional ? (end ? (end.isCommit ? 'committed' : 'aborted') : 'open') : null,
    });
  }
  return records;
}

function base64(bytes: Buffer | null): string | null {
  return bytes?.toString('base64') ?? null;
}

// ---- the other way round

/** JSON is YAML: names and patterns need no escaping of their own. */
export function documentOf(
  { metadata, spec }: Pick<MirrorResource, 'metadata' | 'spec'>,
  cuts: readonly TopicCut[],
): string {
  const topics = cuts.map(({ sourceTopic, targetTopic }) =>
    sourceTopic === targetTopic ? { match: targetTopic } : { match: targetTopic, to: sourceTopic },
  );
  const { groups } = spec.sync;
  const lines = [
    'apiVersion: lockstep/v1',
    'kind: Mirror',
    `metadata: { name: ${backName(metadata.name)} }`,
    'spec:',
    `  source: ${JSON.stringify(spec.target)}`,
    `  target: ${JSON.stringify(spec.source)}`,
    '  topics:',
    ...topics.map((topic) => `    - ${JSON.stringify(topic)}`),
    `  transactions: ${spec.transactions}`,
    ...(groups === null
      ? []
      : [`  sync: ${JSON.stringify({ groups: { match: groups.match, exclude: groups.exclude } })}`]),
  ];
  return `${lines.join('\n')}\n`;
}

function nextOf({ isConfirmed, source, target }: FailbackRun, record: FailoverRecord): string[] {
  if (!isConfirmed)
    return [
      `Nothing was changed. --yes deletes what has to be on "${source.name}", so that it can be copied back from "${target.name}" with the same offsets; topics that end exactly at the cut stay, and are gone on with.`,
    ];
  return [
    ...((record.fence?.topics.length ?? 0) > 0
      ? [
          `Producers are not denied on "${source.name}" any more: keep them stopped there until the end of the next failover.`,
        ]
      : []),
    'Put the document below into a file, with the Clusters of this one; then: lockstep run -f back.yaml',
    'When it has caught up, move back: lockstep failover -f back.yaml --yes',
  ];
}
