import { expect, test } from 'vitest';
import { fuzz } from './fuzzer.ts';
import { objectRatios } from './object-ratio.ts';

/** `npm run fuzz` has a million. */
const FRAMES = 20_000;
/** Bytes of heap for each byte of an answer; docs/operating/limits.md says it. */
const OBJECT_RATIO_MAX = 20;

test(
  'hostile frames are read or refused; none crashes, hangs or takes memory beyond its bound',
  { timeout: 600_000 },
  async () => {
    const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 32);
    process.stdout.write(`hostile frames: SEED=${seed}\n`);
    const report = await fuzz({ frames: FRAMES, seed });
    expect(report.findings.map(({ frame, ...rest }) => ({ ...rest, frame: frame.toString('hex') }))).toEqual([]);
    expect(report.decoded).toBeGreaterThan(FRAMES / 10);
    expect(report.refused).toBeGreaterThan(FRAMES / 10);
  },
);

test('an answer becomes objects of a bounded multiple of its bytes', { timeout: 60_000 }, async () => {
  const ratios = await objectRatios();
  expect(ratios.length).toBeGreaterThan(15);
  expect(ratios[0]?.ratio).toBeLessThan(OBJECT_RATIO_MAX);
});
