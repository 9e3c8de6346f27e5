/** The verifier over the wire to two played clusters: what it asks, and what comes of refusals. */
import { describe, expect, test } from 'vitest';
import { DispositionLedger } from '#contract/disposition-ledger.ts';
import { AppError } from '#contract/errors.ts';
import { mirrorSchema } from '#contract/resources.ts';
import type { VerifyProgress } from '#contract/verification.ts';
import { FramePool } from '#kafka/frame.ts';
import { ManualClock } from '#testing/manual-clock.ts';
import { ModelLog } from '#testing/model-log.ts';
import { PlayedCluster } from '#testing/played-cluster.ts';
import { sourceBatch } from '#testing/source-batches.ts';
import type { CopyRecord } from './copy-record.ts';
import { verifyMirror, type VerifyOptions } from './verify-mirror.ts';

const NOT_AUTHORISED = 29;
const UNKNOWN_TOPIC_ID = 100;

interface Played {
  readonly values?: { source: string; target: string };
  readonly cleanupPolicy?: string | null;
  /** Of the mirror. */
  readonly spec?: object;
}

function play(options: Played = {}) {
  const { values = { source: 'same', target: 'same' }, cleanupPolicy = 'delete', spec = {} } = options;
  const clock = new ManualClock();
  const pool = new FramePool({ bytesMax: 16 * 1024 * 1024 });
  const cluster = (name: 'source' | 'target') => {
    const log = new ModelLog();
    for (let i = 0; i < 50; i++) {
      const value = Buffer.from(i === 30 ? values[name] : `value ${i} ${'x'.repeat(3000)}`);
      log.append(sourceBatch({ baseOffset: 0, records: [{ timestamp: i, key: null, value }] }));
    }
    const played = new PlayedCluster({ name, topic: 'orders', topicId: 'AAAAAAAAAAAAAAAAAAAAAQ', clock, pool, log });
    played.onCall = (api) => (api === 'DescribeConfigs' ? configs(cleanupPolicy) : undefined);
    return played;
  };
  const [source, target] = [cluster('source'), cluster('target')];
  const stop = new AbortController();
  const progress: VerifyProgress[] = [];
  const verify = async (match = 'orders', changed: Partial<VerifyOptions> = {}) => {
    const resource = mirrorSchema.parse({
      apiVersion: 'lockstep/v1',
      kind: 'Mirror',
      metadata: { name: 'link' },
      spec: { source: 'source', target: 'target', topics: [{ match }], ...spec },
    });
    let isDone = false;
    const verified = verifyMirror(
      resource,
      { source: source.cluster, target: target.cluster, pool, clock },
      {
        class: 'content',
        isFull: false,
        from: null,
        to: null,
        progressMs: 5,
        signal: stop.signal,
        onProgress: (each) => void progress.push(each),
        ...changed,
      },
    ).finally(() => (isDone = true));
    verified.catch(() => {}); // it is awaited below
    while (!isDone) await clock.advance(5);
    expect(pool.bytesInUse, 'every frame is given back').toBe(0);
    return verified;
  };
  return { source, target, verify, progress, stop };
}

/** Null: refused. */
function configs(cleanupPolicy: string | null): object {
  const entry = { name: 'cleanup.policy', value: cleanupPolicy, configSource: 1, isSensitive: false, readOnly: false };
  const isDenied = cleanupPolicy === null;
  const result = {
    errorCode: isDenied ? NOT_AUTHORISED : 0,
    errorMessage: null,
    resourceName: 'orders',
    configs: isDenied ? [] : [entry],
  };
  return { results: [result] };
}

test('two logs that are the same are identical, and nothing but reads was asked of either', async () => {
  const { source, target, verify, progress } = play();
  const { partitions, notes } = await verify();
  expect(partitions).toMatchObject([{ topic: 'orders', partition: 0, verdict: 'identical', records: 50, lag: 0 }]);
  expect(notes).toEqual([]);
  for (const { journal } of [source, target])
    expect(new Set(journal.map((name) => name.split(' ')[0]))).toEqual(new Set(['ListOffsets', 'Fetch']));
  expect(progress.at(-1)).toMatchObject({ mirror: 'link', partitions: 1, differences: 0 });
});

test('the ends of the target are asked before those of the source, which may grow meanwhile', async () => {
  const { source, target, verify } = play();
  let askedBefore: number | null = null;
  source.onCall = (api) => {
    if (api === 'ListOffsets') askedBefore ??= target.journal.filter((name) => name === 'ListOffsets -1').length;
    return api === 'DescribeConfigs' ? configs('delete') : undefined;
  };
  expect((await verify()).partitions[0]?.verdict).toBe('identical');
  expect(askedBefore, 'stable offset and watermark of the target').toBe(2);
});

test('a record that differs is named', async () => {
  const { partitions } = await play({ values: { source: 'a', target: 'b' } }).verify();
  expect(partitions[0]).toMatchObject({ verdict: 'different', provenThrough: 30, differences: 1 });
  expect(partitions[0]?.shown[0]).toMatchObject({ offset: 30, fields: ['value'] });
});

test.each([
  ['source', NOT_AUTHORISED, 'PERMISSION_DENIED'],
  ['target', NOT_AUTHORISED, 'PERMISSION_DENIED'],
  ['target', UNKNOWN_TOPIC_ID, 'TOPIC_RECREATED'],
] as const)('a partition whose %s answers with error %i is failed, not different', async (side, errorCode, code) => {
  const played = play();
  played[side].onFetch = (_, answer) => ({ ...answer, errorCode, records: null });
  const { partitions } = await played.verify();
  expect(partitions).toMatchObject([{ verdict: 'failed', differences: 0, provenThrough: null, error: { code } }]);
});

test('rules that match nothing are no success', async () => {
  await expect(play().verify('payments')).rejects.toMatchObject({ code: 'TOPIC_RULE_EMPTY' });
});

test('a cleanup.policy that may not be read is said', async () => {
  const { notes, partitions } = await play({ cleanupPolicy: null }).verify();
  expect(partitions[0]?.verdict).toBe('identical');
  expect(notes).toHaveLength(2);
  expect(notes[0]).toContain('orders on source: cleanup.policy is not known (DESCRIBE_CONFIGS is needed)');
});

/** A map of the 50 records, each at its own offset. */
function mapOfAll(topicIds: { source: string; target: string }): CopyRecord {
  const ledger = new DispositionLedger(0);
  ledger.append({ kind: 'delivered' }, 50);
  return record({ mapOf: async () => ({ map: ledger.deliveries(), ledger, isShared: false, topicIds }) });
}

function record(of: Partial<CopyRecord>): CopyRecord {
  return { denied: null, refresh: async () => {}, topicIdsOf: () => null, mapOf: async () => null, ...of };
}

test.each(['source', 'target'] as const)(
  'a %s topic that was created anew since its map was made is different, whatever it holds',
  async (side) => {
    const { source, target, verify } = play();
    const topicIds = { source: source.topicId, target: target.topicId };
    const same = await verify('orders', { record: mapOfAll(topicIds) });
    expect(same.partitions).toMatchObject([{ verdict: 'identical', records: 50 }]);
    const other = { ...topicIds, [side]: 'AAAAAAAAAAAAAAAAAAAAAg' };
    const { partitions } = await verify('orders', { record: mapOfAll(other) });
    expect(partitions).toMatchObject([{ verdict: 'different', differences: 1, shown: [{ kind: 'absent' }] }]);
    expect(partitions[0]?.shown[0]?.message).toContain(`topic orders of the ${side} was created anew`);
    expect(partitions[0]?.shown[0]?.source?.value?.text, 'the first record of the source').toContain('value 0');
    const identical = await verify('orders', { record: record({ topicIdsOf: () => other }) });
    expect(identical.partitions).toMatchObject([{ verdict: 'different', shown: [{ kind: 'absent', offset: 0 }] }]);
    const known = await verify('orders', { record: record({ topicIdsOf: () => topicIds }) });
    expect(known.partitions).toMatchObject([{ verdict: 'identical' }]);
  },
);

describe('without the right to read what the mirror has written down', () => {
  const denied = new AppError('PERMISSION_DENIED', 'READ on topic __lockstep.state is missing');
  const values = { source: 'a', target: 'b' };

  test('offsets that cannot be mapped are compared, and a note says what is not known', async () => {
    const { partitions, notes } = await play({ values }).verify('orders', { record: record({ denied }) });
    expect(partitions).toMatchObject([{ verdict: 'different', provenThrough: 30 }]);
    expect(notes).toEqual([`${denied.message}: whether topics were created anew is not known`]);
  });

  test.each<[string, object]>([
    ['which are mapped', { offsets: 'mapped' }],
    ['of which some are left out', { topics: [{ match: 'orders', condition: 'size > 1' }] }],
    ['which others may have pushed aside', { onMisalignment: 'map' }],
  ])('offsets %s are not called different: the right is named', async (_, spec) => {
    const { partitions } = await play({ values, spec }).verify('orders', { record: record({ denied }) });
    expect(partitions).toMatchObject([{ verdict: 'failed', error: { code: 'PERMISSION_DENIED' } }]);
    expect(partitions[0]?.error?.message).toContain('READ on __lockstep.state of the target is missing');
  });

  test('what is the same is identical all the same, where it may be mapped', async () => {
    const spec = { onMisalignment: 'map' };
    const { partitions } = await play({ spec }).verify('orders', { record: record({ denied }) });
    expect(partitions).toMatchObject([{ verdict: 'identical' }]);
  });
});

test('a map that cannot be read fails its partition, and no other', async () => {
  const broken = new AppError('STATE_TOPIC_INVALID', 'the pieces do not fit together');
  const { partitions } = await play().verify('orders', {
    record: record({ mapOf: () => Promise.reject(broken) }),
  });
  expect(partitions).toMatchObject([{ verdict: 'failed', error: { code: 'STATE_TOPIC_INVALID' } }]);
});

test('what was cut off is not among what was verified', async () => {
  const played = play();
  played.source.onFetch = () => {
    played.stop.abort();
    return null;
  };
  expect((await played.verify()).partitions).toEqual([]);
});
