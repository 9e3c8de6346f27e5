/**
 * The real process killed with SIGKILL at each named point of its work. The proxy sees the request that makes the point:
 * it is lost before the broker has it, or its answer is, when the broker has done it. Nothing in the product knows of it.
 */
import { drop } from '#testing/fault-kinds.ts';
import type { Match } from '#testing/fault-rule.ts';
import { committedBy, runGroups } from '#testing/group-client.ts';
import { runAdmin } from '#testing/topic-admin.ts';
import { writeStreams } from '#testing/workload.ts';
import { must } from '#util/assert.ts';
import type { Link } from '../acceptance/link-file.ts';
import { createRaisedTopic } from '../acceptance/raised-start.ts';
import { fault, type FaultRun } from './fault.ts';
import { clusterPair, MirrorUnderTest, startMirror } from './mirror-under-test.ts';
import type { ClusterPair } from './mirror-under-test.ts';
import { injectInto } from './network.ts';

const pair = clusterPair({ source: {}, target: { proxied: true } });
/** A killed process stays a member of the group for 20 s, and until then nobody else writes. */
const BACK_WITHIN_MS = 120_000;

interface Point {
  readonly name: string;
  readonly api: Match['api'];
  /** Before the broker has it; or when the broker has done it and nobody has heard. */
  readonly lost: 'request' | 'response';
  readonly topic?: string;
  readonly nth?: number;
}

function linkTo({ source, target }: ClusterPair): Pick<Link, 'source' | 'target'> {
  return { source: source.bootstrap, target: target.proxiedBootstrap };
}

/** Kills the process at the point. */
async function killAt(run: FaultRun, mirror: MirrorUnderTest, point: Point): Promise<void> {
  const { name, lost: direction, api, ...where } = point;
  const match = { direction, ...(api === undefined ? {} : { api }), ...where };
  const cut = injectInto(mirror.pair, 'target', { match, fault: drop('silence'), times: 1, name });
  await cut.fired(mirror, 1, BACK_WITHIN_MS);
  await mirror.kill();
  cut.end();
  run.tookEffect(`killed: ${cut.evidence()}`);
}

/** Kills at one point after the other; each time the next process goes on. */
async function killAtEach(run: FaultRun, mirror: MirrorUnderTest, points: readonly Point[]): Promise<void> {
  let slowestMs = 0;
  for (const point of points) {
    const { size } = mirror.positions();
    await killAt(run, mirror, point);
    const startedAt = performance.now();
    mirror.startAgain();
    const isBack = (): boolean =>
      mirror.shards().length === size && mirror.shards().every(({ position }) => position !== null);
    await mirror.until(isBack, `every partition has its position again: ${point.name}`, BACK_WITHIN_MS);
    await mirror.advances(point.name);
    slowestMs = Math.max(slowestMs, performance.now() - startedAt);
  }
  run.figure('all partitions went on s after a start', slowestMs / 1000);
}

const FILLED = 1_200_000;

fault(
  {
    id: 'crash-aligning',
    title:
      'killed when it gets a partition, knows its end, has filled half of its start, all of it, and has deleted that',
    timeoutMs: 900_000,
  },
  async (run) => {
    const clusters = await pair();
    const { source } = clusters;
    const topic = `${run.id}.plain`;
    await createRaisedTopic(source.bootstrap, topic, { partitions: 1, logStart: FILLED }); // three batches of filler
    await writeStreams(source.bootstrap, [{ name: 'above', topic, partitions: [0], records: 500 }]);
    const points: readonly Point[] = [
      { name: 'assigned', api: 'SyncGroup', lost: 'response' },
      { name: 'watermark asked', api: 'ListOffsets', lost: 'response', topic },
      { name: 'filler half written', api: 'Produce', lost: 'request', topic, nth: 2 },
      { name: 'another batch of filler written', api: 'Produce', lost: 'response', topic },
      { name: 'filler written, before DeleteRecords', api: 'DeleteRecords', lost: 'request', topic },
      { name: 'behind DeleteRecords', api: 'DeleteRecords', lost: 'response', topic },
    ];
    const options = { name: run.id };
    const link = { ...linkTo(clusters), mirrors: { [run.id]: { topics: [{ match: topic }] } } };
    const mirror = new MirrorUnderTest({ run, pair: clusters, options, topics: [topic], link, traffic: null });
    for (const point of points) {
      await killAt(run, mirror, point);
      mirror.startAgain();
    }
    await mirror.expectIdenticalAfterwards();
  },
);

fault(
  {
    id: 'crash-copying',
    title:
      'killed when a batch is sent, appended, and in the midst of one that is split; and with the place of a group',
    timeoutMs: 900_000,
  },
  async (run) => {
    const clusters = await pair();
    const group = `${run.id}.readers`;
    const mirror = await startMirror(run, clusters, {
      name: run.id,
      kinds: ['plain'],
      partitions: 1,
      stream: { batchBytes: 200_000, lingerMs: 500 },
      spec: { sync: { groups: { match: [group], everyMs: 500 } } },
      link: linkTo(clusters),
    });
    const topic = mirror.topic('plain');
    await killAtEach(run, mirror, [
      { name: 'batch sent', api: 'Produce', lost: 'request', topic },
      { name: 'batch appended', api: 'Produce', lost: 'response', topic },
    ]);
    const trimmed = (): number => mirror.process.status(mirror.name)?.bytes.reencoded.trimmed ?? 0;
    const part = { name: 'part of a batch appended', api: 'Produce', lost: 'request', topic, nth: 4 } as const;
    for (let attempt = 1; attempt <= 3 && trimmed() === 0; attempt++) {
      // A batch of the source becomes several, until the next start raises the limit again.
      await runAdmin(clusters.target.bootstrap, [{ setConfigs: { topic, configs: { 'max.message.bytes': '2000' } } }]);
      await killAtEach(run, mirror, [part]);
    }
    await mirror.until(() => trimmed() > 0, 'the rest of a batch is copied, of which a part was');
    run.tookEffect(`${trimmed()} bytes are the rest of a batch of which a part had been copied`);
    for (const lost of ['request', 'response'] as const) {
      const at = must(mirror.positions().get(`${topic}/0`), 'position');
      await runGroups(clusters.source.bootstrap, [{ commit: { [group]: { [topic]: { 0: at } } } }]);
      await killAtEach(run, mirror, [{ name: `place of a group ${lost}`, api: 'OffsetCommit', lost }]);
      const isThere = async (): Promise<boolean> =>
        (await committedBy(clusters.target.bootstrap, [group]))[group]?.[`${topic}/0`]?.[0] === at;
      await mirror.until(isThere, 'the group has its place on the target');
    }
    await mirror.expectIdenticalAfterwards();
  },
);

fault(
  { id: 'crash-filling-holes', title: 'killed when markers are sent, and when they are visible', timeoutMs: 900_000 },
  async (run) => {
    const clusters = await pair();
    const mirror = await startMirror(run, clusters, {
      name: run.id,
      kinds: ['transactional'],
      spec: { transactions: 'committed-only' },
      link: linkTo(clusters),
    });
    await killAtEach(run, mirror, [
      { name: 'markers sent', api: 'WriteTxnMarkers', lost: 'request' },
      { name: 'markers visible', api: 'WriteTxnMarkers', lost: 'response' },
    ]);
    await mirror.expectIdenticalAfterwards();
  },
);

fault(
  {
    id: 'crash-in-transaction',
    title:
      'killed when a transaction gets its producer, its first batch, another one, and when its end is sent and written',
    timeoutMs: 900_000,
  },
  async (run) => {
    const clusters = await pair();
    const mirror = await startMirror(run, clusters, {
      name: run.id,
      kinds: ['transactional'],
      link: linkTo(clusters),
    });
    const topic = mirror.topic('transactional');
    await killAtEach(run, mirror, [
      { name: 'batch of a transaction sent', api: 'Produce', lost: 'request', topic },
      { name: 'batch of a transaction appended', api: 'Produce', lost: 'response', topic },
      { name: 'EndTxn sent', api: 'EndTxn', lost: 'request' },
      { name: 'EndTxn done', api: 'EndTxn', lost: 'response' },
      { name: 'another EndTxn done', api: 'EndTxn', lost: 'response', nth: 4 },
    ]);
    await mirror.expectIdenticalAfterwards();
  },
);

fault(
  {
    id: 'crash-mapping',
    title:
      'killed when a run of the map is not yet saved, is saved and not known to be, and before what lies behind it',
    timeoutMs: 900_000,
  },
  async (run) => {
    const clusters = await pair();
    const mirror = await startMirror(run, clusters, {
      name: run.id,
      kinds: ['transactional'],
      spec: { offsets: 'mapped' },
      link: linkTo(clusters),
    });
    const topic = mirror.topic('transactional');
    await killAtEach(run, mirror, [
      { name: 'run of the map not saved', api: 'Produce', lost: 'request', topic: '__lockstep.state' },
      { name: 'run of the map saved', api: 'Produce', lost: 'response', topic: '__lockstep.state' },
      { name: 'records behind the run sent', api: 'Produce', lost: 'request', topic },
      { name: 'records behind the run appended', api: 'Produce', lost: 'response', topic },
    ]);
    await mirror.expectIdenticalAfterwards();
  },
);
