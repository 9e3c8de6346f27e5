/** `node bench/conditions.ts`: what a condition costs, in records a second of one core (docs/conditions.md). */
import { compileCondition } from '#contract/record-condition.ts';
import { RecordFilter } from '#mirror/record-filter.ts';
import { assert } from '#util/assert.ts';

const RECORDS = 500_000;
const CONDITIONS = [
  'size < 10000',
  'key != null && key.startsWith("eu-")',
  'key in ["eu-1", "eu-2", "eu-3", "eu-4", "eu-5", "eu-6", "eu-7", "eu-8", "eu-9", "eu-10"]',
  'key.matches("^eu-[0-9]+$")',
  'headers.region == "eu"',
  'has(headers.region) && headers.region == "eu" && size < 10000',
  'timestamp >= timestamp("2026-01-01T00:00:00Z")',
];

const bytes = (text: string): Buffer => Buffer.from(text);
const record = {
  offset: 0,
  timestamp: Date.UTC(2026, 5, 1),
  key: bytes('eu-12345'),
  value: Buffer.alloc(1_000),
  headers: [
    { key: bytes('trace'), value: bytes('abcdef0123456789') },
    { key: bytes('region'), value: bytes('eu') },
  ],
};

/** By CPU time, so that what else the machine does counts little. */
function recordsPerSecond(filter: RecordFilter): number {
  const before = process.cpuUsage();
  for (let i = 0; i < RECORDS; i++) filter.verdictOn(record);
  const { user, system } = process.cpuUsage(before);
  return RECORDS / ((user + system) / 1e6);
}

for (const text of CONDITIONS) {
  const condition = compileCondition(text);
  assert('value' in condition, `a condition: ${text}`);
  const filter = new RecordFilter([condition.value]);
  recordsPerSecond(filter);
  process.stdout.write(`${Math.round(recordsPerSecond(filter)).toLocaleString('en-US').padStart(10)}  ${text}\n`);
}
