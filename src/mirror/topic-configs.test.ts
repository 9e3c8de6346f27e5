import { describe, expect, test } from 'vitest';
import type { ConfigSync } from '#contract/sync-settings.ts';
import type { ConfigChange, ConfigEntry, Configs } from '#kafka/configs.ts';
import {
  changeOf,
  compareConfigs,
  desiredConfigs,
  isEmpty,
  requiredConfigs,
  UNLIMITED,
  type ConfigPolicy,
} from './topic-configs.ts';

const sync: ConfigSync = { exclude: ['unclean.leader.election.enable'], defaultsFrom: 'target', allowWeaker: false };
const policy: ConfigPolicy = { timestamps: 'append', replicationFactor: 2, known: null, sync };
const change = (source: Configs, target: Configs, own: Partial<ConfigSync> = {}): ConfigChange =>
  changeOf(compareConfigs(source, target, { ...policy, sync: { ...sync, ...own } }));
const needed = {
  'message.timestamp.type': 'CreateTime',
  'message.timestamp.before.max.ms': UNLIMITED,
  'message.timestamp.after.max.ms': UNLIMITED,
  'max.message.bytes': '1048588',
};

/** What an exact copy needs whatever the source has. */
const timeless = {
  'message.timestamp.type': 'CreateTime',
  'message.timestamp.before.max.ms': UNLIMITED,
  'message.timestamp.after.max.ms': UNLIMITED,
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
    expect(change(configs({}), configs({ ...timeless, [name]: 'x' }))).toEqual({ set: new Map(), remove: [] });
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
    const source = configs({ 'cleanup.policy': 'compact', 'max.message.bytes': '7' });
    const target = configs(Object.fromEntries(desiredConfigs(source, policy)));
    expect(isEmpty(change(source, target))).toBe(true);
  });

  test('sets what differs or is only the default, removes what the source has not, and says why', () => {
    const source = configs({ a: '1', b: '2', c: '3' });
    const target = configs({ ...timeless, a: '1', b: '9', d: '4' }, { c: '3' });
    expect(compareConfigs(source, target, policy)).toEqual([
      { name: 'b', source: '2', target: '9', action: 'set', value: '2', reason: 'set on the source topic' },
      { name: 'c', source: '3', target: '3', action: 'set', value: '3', reason: 'set on the source topic' },
      { name: 'd', source: null, target: '4', action: 'reset', value: null, reason: 'not set on the source topic' },
    ]);
  });

  test.each([
    ['retention.ms', '5', '9'],
    ['retention.ms', '5', '-1'],
    ['retention.bytes', '5', '-1'],
    ['min.insync.replicas', '1', '2'],
  ])('does not lower %s to %s from %s unless it is asked for, and says so', (name, less, more) => {
    const [low, high] = [configs({ [name]: less }), configs({ ...timeless, [name]: more })];
    expect(isEmpty(change(low, high))).toBe(true);
    expect(isEmpty(change(configs({}), high))).toBe(true);
    for (const source of [low, configs({})])
      expect(compareConfigs(source, high, policy)).toMatchObject([
        { name, target: more, action: 'keep', reason: expect.stringContaining('sync.configs.allowWeaker') },
      ]);
    expect(change(configs({ [name]: more }), configs({ ...timeless, [name]: less })).set).toEqual(
      new Map([[name, more]]),
    );

    expect(change(low, high, { allowWeaker: true }).set).toEqual(new Map([[name, less]]));
    expect(change(configs({}), high, { allowWeaker: true }).remove).toEqual([name]);
  });

  test('never lowers max.message.bytes: a larger record of the source may still be to come', () => {
    const [low, high] = [
      configs({ 'max.message.bytes': '1000' }),
      configs({ ...timeless, 'max.message.bytes': '2000' }),
    ];
    for (const allowWeaker of [false, true]) {
      expect(isEmpty(change(low, high, { allowWeaker }))).toBe(true);
      expect(isEmpty(change(configs({}), high, { allowWeaker }))).toBe(true);
    }
  });

  test('leaves an excluded name to each cluster, and names it where it differs', () => {
    const own = { exclude: ['segment.ms', '/^flush[.]/'] };
    const source = configs({ 'segment.ms': '1', 'flush.ms': '2', 'unclean.leader.election.enable': 'true' });
    const target = configs({ ...timeless, 'segment.ms': '3', 'flush.messages': '4' });
    expect(compareConfigs(source, target, { ...policy, sync: { ...sync, ...own } })).toEqual([
      expect.objectContaining({ name: 'unclean.leader.election.enable', action: 'set' }),
      expect.objectContaining({ name: 'segment.ms', action: 'keep', reason: expect.stringContaining('exclude') }),
      expect.objectContaining({ name: 'flush.ms', action: 'keep' }),
    ]);
    expect(change(configs({ 'unclean.leader.election.enable': 'true' }), configs(timeless)).set.size).toBe(0);
  });

  test('with defaultsFrom: source takes over what is in effect there, and follows when a setting is taken away', () => {
    const source = configs({ 'segment.ms': '1' }, { 'delete.retention.ms': '5' });
    const target = configs({ ...timeless, 'segment.ms': '1', 'delete.retention.ms': '9' });
    expect(change(source, target)).toEqual({ set: new Map(), remove: ['delete.retention.ms'] });
    expect(change(source, target, { defaultsFrom: 'source' })).toEqual({
      set: new Map([['delete.retention.ms', '5']]),
      remove: [],
    });
  });

  test.each([
    ['without synchronisation', configs({}), { ...policy, sync: null }],
    ['where the source cannot be read', null, policy],
  ])('%s is what is required, and removes nothing', (_, source, own) => {
    const target = configs({ 'cleanup.policy': 'compact', 'message.timestamp.type': 'LogAppendTime' });
    const found = changeOf(compareConfigs(source, target, own));
    expect(found.remove).toEqual([]);
    expect(found.set).toEqual(requiredConfigs(configs({}), policy));
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
