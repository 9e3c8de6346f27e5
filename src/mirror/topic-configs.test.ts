import { describe, expect, test } from 'vitest';
import type { ConfigEntry, Configs } from '#kafka/configs.ts';
import {
  desiredConfigs,
  diffConfigs,
  diffRequired,
  isEmpty,
  requiredConfigs,
  UNLIMITED,
  type ConfigPolicy,
} from './topic-configs.ts';

const policy: ConfigPolicy = { timestamps: 'append', replicationFactor: 2, known: null };
const needed = {
  'message.timestamp.type': 'CreateTime',
  'message.timestamp.before.max.ms': UNLIMITED,
  'message.timestamp.after.max.ms': UNLIMITED,
  'max.message.bytes': '1048588',
};

describe('the settings of a target topic', () => {
  test('are those set on the source topic itself, and what a copy needs', () => {
    const source = configs(
      { 'cleanup.policy': 'compact', 'retention.ms': '5' },
      { 'segment.ms': '7', 'max.message.bytes': '1048588' },
    );
    expect(Object.fromEntries(desiredConfigs(source, policy))).toEqual({
      'cleanup.policy': 'compact',
      'retention.ms': '5',
      ...needed,
    });
  });

  test.each([
    ['append', 'CreateTime'],
    ['producer', 'CreateTime'],
    ['target', 'LogAppendTime'],
  ] as const)('under timestamps: %s the type is %s, whatever the source has', (timestamps, type) => {
    for (const has of ['CreateTime', 'LogAppendTime']) {
      const desired = desiredConfigs(configs({ 'message.timestamp.type': has }), { ...policy, timestamps });
      expect(desired.get('message.timestamp.type')).toBe(type);
    }
  });

  test.each([
    'leader.replication.throttled.replicas',
    'follower.replication.throttled.replicas',
    'remote.storage.enable',
    'local.retention.ms',
  ])('leave out %s, and leave it alone on the target', (name) => {
    expect(desiredConfigs(configs({ [name]: 'x' }), policy).has(name)).toBe(false);
    expect(diffConfigs(new Map(), configs({ [name]: 'x' }))).toEqual({ set: new Map(), remove: [] });
  });

  test('never ask for more replicas in sync than there are', () => {
    expect(desiredConfigs(configs({ 'min.insync.replicas': '3' }), policy).get('min.insync.replicas')).toBe('2');
    expect(desiredConfigs(configs({ 'min.insync.replicas': '1' }), policy).get('min.insync.replicas')).toBe('1');
  });

  test('leave out what the brokers of the target do not know', () => {
    const desired = desiredConfigs(configs({ 'retention.ms': '5', later: 'x' }), {
      ...policy,
      known: new Set(['retention.ms', 'message.timestamp.type']),
    });
    expect([...desired.keys()]).toEqual(['retention.ms', 'message.timestamp.type']);
  });
});

describe('the difference', () => {
  test('is empty when the target has what is desired', () => {
    const desired = desiredConfigs(configs({ 'cleanup.policy': 'compact', 'max.message.bytes': '7' }), policy);
    expect(isEmpty(diffConfigs(desired, configs(Object.fromEntries(desired))))).toBe(true);
  });

  test('sets what differs or is only the default, and removes what the source has not', () => {
    const change = diffConfigs(
      new Map([
        ['a', '1'],
        ['b', '2'],
        ['c', '3'],
      ]),
      configs({ a: '1', b: '9', d: '4' }, { c: '3' }),
    );
    expect(change).toEqual({
      set: new Map([
        ['b', '2'],
        ['c', '3'],
      ]),
      remove: ['d'],
    });
  });

  test.each([
    ['retention.ms', '5', '9'],
    ['retention.ms', '5', '-1'],
    ['retention.bytes', '5', '-1'],
    ['min.insync.replicas', '1', '2'],
    ['max.message.bytes', '1000', '2000'],
  ])('does not lower %s to %s from %s', (name, desired, current) => {
    expect(isEmpty(diffConfigs(new Map([[name, desired]]), configs({ [name]: current })))).toBe(true);
    expect(diffConfigs(new Map([[name, current]]), configs({ [name]: desired })).set).toEqual(
      new Map([[name, current]]),
    );
    expect(diffConfigs(new Map(), configs({ [name]: current })).remove).toEqual([]);
  });

  test('of what is required removes nothing', () => {
    const change = diffRequired(
      requiredConfigs(configs({}), policy),
      configs({ 'cleanup.policy': 'compact', 'message.timestamp.type': 'LogAppendTime' }),
    );
    expect(change.remove).toEqual([]);
    expect(change.set.get('message.timestamp.type')).toBe('CreateTime');
    expect(change.set.has('cleanup.policy')).toBe(false);
  });
});

function configs(own: Record<string, string>, defaults: Record<string, string> = {}): Configs {
  const entry =
    (source: 'topic' | 'default') =>
    ([name, value]: [string, string]): [string, ConfigEntry] => [
      name,
      { value, source, sensitive: false, readOnly: false },
    ];
  return new Map([...Object.entries(defaults).map(entry('default')), ...Object.entries(own).map(entry('topic'))]);
}
