/** `npm run fuzz -- --frames 1000000 --seed N`: hostile frames for everything that reads bytes of brokers; exit 1 with findings. */
import { parseArgs } from 'node:util';
import { fuzz } from '#testing/fuzz/fuzzer.ts';

const { values } = parseArgs({
  options: { frames: { type: 'string', default: '1000000' }, seed: { type: 'string' } },
});
const frames = Number(values.frames);
const seed = Number(values.seed ?? Date.now() % 2 ** 32);
Error.stackTraceLimit = 5; // most frames end in an error, and its stack is most of its cost
console.log(`${frames} frames, seed ${seed}`);

const report = await fuzz({
  frames,
  seed,
  onProgress: (done) => {
    if (done % 100_000 === 0) console.log(`${done} frames`);
  },
});
for (const { kind, target, frame, what } of report.findings)
  console.log(`\n${kind} in ${target}: ${what}\n  ${frame.toString('hex')}`);
const count = (kind: string): number => report.findings.filter((finding) => finding.kind === kind).length;
console.log(
  [
    '',
    `${report.frames} frames in ${report.seconds.toFixed(0)} s: ${report.decoded} decoded, ${report.refused} refused`,
    `${count('crash')} crashes, ${count('hang')} hangs, ${count('memory')} beyond the bound on memory`,
    `longest frame ${report.longestMs.toFixed(0)} ms (${report.longestTarget}); buffers at most ${report.bufferRatioMax.toFixed(2)} times a frame`,
  ].join('\n'),
);
process.exitCode = report.findings.length > 0 ? 1 : 0;
