import { expect, test } from 'vitest';
import type { Fate } from '#contract/migration.ts';
import { migrateMm2 } from '../mm2/migrate-mm2.ts';
import { rowOf, settingRows, type SettingRow } from './settings.ts';

const BASE: Readonly<Record<string, string>> = {
  clusters: 'a, b',
  'a.bootstrap.servers': 'a:9092',
  'b.bootstrap.servers': 'b:9092',
  'a->b.enabled': 'true',
  'a->b.sync.group.offsets.enabled': 'true',
  'a.security.protocol': 'SASL_SSL',
  'a.sasl.mechanism': 'SCRAM-SHA-512',
  'a.sasl.jaas.config': 'x.ScramLoginModule required username="a" password="b";',
};

const PREFIX = { mirror: 'a->b.', cluster: 'a.', worker: '' } as const;

function fateOf({ level, key }: SettingRow, value: string): Fate | undefined {
  const name = `${PREFIX[level]}${key.replace('*', 'x')}`;
  const lines = Object.entries({ ...BASE, [name]: value }).map(
    ([each, text]) => `${each} = ${text.replaceAll('\\', '\\\\')}`,
  );
  const { settings } = migrateMm2([{ path: 'mm2.properties', bytes: Buffer.from(lines.join('\n'), 'latin1') }]);
  return settings.find(({ setting }) => setting === name)?.fate;
}

test.each(settingRows.map((row) => [`${row.level} ${row.key}`, row] as const))(
  '%s becomes what the table says',
  (_, row) => {
    const samples = Object.entries(row.samples);
    expect(samples.length).toBeGreaterThan(0);
    expect(samples.map(([, value]) => fateOf(row, value))).toEqual(samples.map(([fate]) => fate));
  },
);

test('of several rows the longest is meant', () => {
  expect(rowOf('mirror', 'consumer.auto.offset.reset')?.key).toBe('consumer.auto.offset.reset');
  expect(rowOf('mirror', 'consumer.max.poll.records')?.key).toBe('consumer.*');
  expect(rowOf('mirror', 'nothing.of.the.kind')).toBeNull();
});
