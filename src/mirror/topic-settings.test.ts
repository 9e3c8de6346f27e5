import { describe, expect, test } from 'vitest';
import type { Configs } from '#kafka/configs.ts';
import type { LogFacts } from './log-facts.ts';
import { duration, findCatchUp, findSettings, type SettingsQuestion } from './topic-settings.ts';

const NOW = Date.UTC(2026, 10, 21);
const HOUR = 3_600_000;

function configs(values: Readonly<Record<string, string>>): Configs {
  const entry = (value: string) => ({ value, source: 'topic', sensitive: false, readOnly: false }) as const;
  return new Map(Object.entries(values).map(([name, value]) => [name, entry(value)]));
}

const log = (more: Partial<LogFacts> = {}): LogFacts => ({
  topic: 'a',
  partition: 0,
  logStart: 0,
  firstOffset: 0,
  stableOffset: 100,
  position: 0,
  firstTimestamp: NOW - HOUR,
  newestTimestamp: NOW,
  ...more,
});

function question(target: Readonly<Record<string, string>>, more: Partial<SettingsQuestion> = {}): SettingsQuestion {
  return {
    source: { cluster: 'east', topic: 'a' },
    target: { cluster: 'west', topic: 'b' },
    timestamps: 'append',
    sourceConfigs: configs({
      'cleanup.policy': 'delete',
      'retention.ms': '604800000',
      'retention.bytes': '-1',
      'compression.type': 'lz4',
      'max.message.bytes': '2000',
    }),
    targetConfigs: new Map(Object.entries(target)),
    inSyncReplicas: 3,
    replicationFactor: 3,
    logs: [log()],
    nowMs: NOW,
    ...more,
  };
}

describe('a setting is found', () => {
  test.each<[string, SettingsQuestion, RegExp]>([
    ['smaller batches', question({ 'max.message.bytes': '1999' }), /up to 1,999 bytes/],
    ['another codec', question({ 'compression.type': 'gzip' }), /compress it anew/],
    ['append times', question({ 'message.timestamp.type': 'LogAppendTime' }), /time of its copying/],
    ['own times', question({ 'message.timestamp.type': 'CreateTime' }, { timestamps: 'target' }), /keep their own/],
    [
      'too old',
      question({ 'message.timestamp.before.max.ms': '3599999' }),
      /first record is from 2026-11-20T23:00:00Z/,
    ],
    ['too old for 3.5', question({ 'message.timestamp.difference.max.ms': '3599999' }), /difference/],
    [
      'to come',
      question({ 'message.timestamp.after.max.ms': '1000' }, { logs: [log({ newestTimestamp: NOW + 1001 })] }),
      /is to come/,
    ],
    [
      'too many replicas',
      question({ 'min.insync.replicas': '4' }),
      /=4 and 3 replicas: its brokers refuse every write/,
    ],
    [
      'replicas out of sync',
      question({ 'min.insync.replicas': '2' }, { inSyncReplicas: 1 }),
      /1 in sync at the moment/,
    ],
    ['compaction', question({ 'cleanup.policy': 'compact' }), /is compacted, and "a" is not/],
    ['shorter time', question({ 'cleanup.policy': 'delete', 'retention.ms': '1000' }), /goes as soon as it is copied/],
    ['fewer bytes', question({ 'cleanup.policy': 'delete', 'retention.bytes': '5' }), /beyond 5 bytes.* all of it/],
    [
      'deletion of what the source keeps',
      question(
        { 'cleanup.policy': 'compact,delete', 'retention.ms': '604800000' },
        {
          sourceConfigs: configs({ 'cleanup.policy': 'compact', 'retention.ms': '604800000' }),
        },
      ),
      /older than 7 days, and "a" keeps all of it/,
    ],
  ])('%s', (_, asked, message) => {
    const found = findSettings(asked);
    expect(found).toHaveLength(1);
    expect(found[0]?.message).toMatch(message);
    expect(found[0]).toMatchObject({ code: 'TOPIC_SETTING_UNFIT', severity: 'warning' });
  });
});

describe('nothing is found', () => {
  test.each<[string, SettingsQuestion]>([
    ['where nothing is known', question({}, { sourceConfigs: null, inSyncReplicas: null, logs: [] })],
    [
      'where the settings are as the source has them',
      question({ 'max.message.bytes': '2000', 'retention.ms': '604800000' }),
    ],
    ["where the codec is the source's own", question({ 'compression.type': 'lz4' })],
    ['where the brokers pass on what comes', question({ 'compression.type': 'producer' })],
    ['where no record exceeds a limit', question({ 'message.timestamp.before.max.ms': String(HOUR) })],
    [
      'where the broker stamps the records and compares no times',
      question(
        { 'message.timestamp.type': 'LogAppendTime', 'message.timestamp.before.max.ms': '1' },
        { timestamps: 'target' },
      ),
    ],
    ['where the target keeps more', question({ 'cleanup.policy': 'delete', 'retention.ms': '-1' })],
    [
      'where a compacted target deletes nothing',
      question(
        { 'cleanup.policy': 'compact', 'retention.ms': '1' },
        {
          sourceConfigs: configs({ 'cleanup.policy': 'compact' }),
        },
      ),
    ],
  ])('%s', (_, asked) => {
    expect(findSettings(asked)).toEqual([]);
  });
});

describe('the time to catch up', () => {
  const ask = (seconds: number, source: Readonly<Record<string, string>>, sourceBytes: number | null = null) =>
    findCatchUp({
      ...question({}, { sourceConfigs: configs({ 'cleanup.policy': 'delete', ...source }) }),
      catchUp: { seconds, basis: '1 GB at 1 MB/s, as stated' },
      sourceBytes,
    });

  test('is held against the retention of the source', () => {
    expect(ask(3600, { 'retention.ms': String(HOUR) })).toEqual([]);
    const [late] = ask(3601, { 'retention.ms': String(HOUR) });
    expect(late?.message).toMatch(
      /keeps records for 60 min \(retention\.ms\), and catching up takes about 60 min \(1 GB/,
    );
    expect(late?.nextStep).toContain('--add-config retention.ms=7202000.');
  });

  test('and, where the log is as large as it may be, against the time in which it turns over', () => {
    expect(ask(3601, { 'retention.bytes': '1000' }, 700)).toEqual([]);
    expect(ask(3601, { 'retention.bytes': '1000' }, 900)[0]?.message).toMatch(/\(retention\.bytes\)/);
  });

  test('does not matter where the source deletes nothing', () => {
    expect(ask(1e9, { 'retention.ms': '-1', 'retention.bytes': '-1' })).toEqual([]);
    expect(ask(1e9, { 'cleanup.policy': 'compact', 'retention.ms': '1' })).toEqual([]);
  });
});

test.each([
  [1_500, '1.5 s'],
  [90_000, '90 s'],
  [120_000, '2 min'],
  [5_400_000, '90 min'],
  [86_400_000, '24 h'],
  [3_456_000_000, '40 days'],
])('%s ms are %s', (ms, text) => {
  expect(duration(ms)).toBe(text);
});
