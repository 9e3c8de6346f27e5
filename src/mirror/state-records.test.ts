import { describe, expect, test } from 'vitest';
import {
  claimKey,
  decodeState,
  encodeState,
  mirrorIdOf,
  mirrorKey,
  partitionKey,
  type PartitionRecord,
} from './state-records.ts';

const partition: PartitionRecord = {
  mirrorId: 'm',
  targetTopicId: 'id',
  logStart: 12,
  sequenceOffset: -12,
  leaderEpochs: [
    [0, 0],
    [3, 40],
  ],
};

describe('state records', () => {
  test('come back as they were written', () => {
    const key = partitionKey('a.topic/no', 3);
    const decoded = decodeState({ key: Buffer.from(key), value: encodeState(partition), offset: 0 });
    expect(decoded).toEqual({ kind: 'partition', key: 'partition/a.topic/no/3', value: partition });
  });

  test('a tombstone takes a key away', () => {
    expect(decodeState({ key: Buffer.from(claimKey('t')), value: encodeState(null), offset: 0 })).toEqual({
      kind: 'claim',
      key: 'claim/t',
      value: null,
    });
  });

  test.each([null, '', 'mirror', 'owner/1'])('key %j of a later version is left alone', (key) => {
    expect(
      decodeState({ key: key === null ? null : Buffer.from(key), value: Buffer.from('{}'), offset: 0 }),
    ).toBeNull();
  });

  test('fields of a later version are not read', () => {
    const value = Buffer.from(JSON.stringify({ version: 1, ...partition, later: true }));
    expect(decodeState({ key: Buffer.from(partitionKey('t', 0)), value, offset: 0 })).toMatchObject({
      value: partition,
    });
  });

  test('a value of a newer version is refused with the version', () => {
    const value = Buffer.from(JSON.stringify({ version: 2, anything: true }));
    expect(decodeState({ key: Buffer.from(mirrorKey('x')), value, offset: 7 })).toMatchObject({
      kind: 'unreadable',
      isLater: true,
      key: 'mirror/x',
      error: {
        code: 'STATE_TOPIC_INVALID',
        message: 'record "mirror/x" at offset 7 of the state topic has version 2; this Lockstep reads version 1',
      },
    });
  });

  test.each(['', 'not json', '{}', '{"version":1}', '[]', 'null', '{"version":"1"}'])(
    'value %j is no record, and the reason names its offset',
    (text) => {
      expect(decodeState({ key: Buffer.from(mirrorKey('x')), value: Buffer.from(text), offset: 7 })).toMatchObject({
        kind: 'unreadable',
        isLater: false,
        key: 'mirror/x',
        error: {
          code: 'STATE_TOPIC_INVALID',
          message: 'record "mirror/x" at offset 7 of the state topic cannot be read',
        },
      });
    },
  );

  test('the id of a mirror depends on both clusters and its name, in that order', () => {
    const mirror = { sourceClusterId: 'a', targetClusterId: 'b', name: 'c' };
    const ids = [mirror, { ...mirror, name: 'd' }, { ...mirror, sourceClusterId: 'b', targetClusterId: 'a' }].map(
      mirrorIdOf,
    );
    expect(new Set(ids).size).toBe(3);
    expect(mirrorIdOf(mirror)).toBe(ids[0]);
    expect(ids[0]).toMatch(/^[0-9a-f]{20}$/);
  });
});
