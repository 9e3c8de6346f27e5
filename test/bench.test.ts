import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { summarize, type Sample } from '../bench/measure.ts';
import { expectations, formatTable, type ResultLine } from '../bench/report.ts';
import { performancePage, readReferenceRun, withFigures } from '../bench/update-docs.ts';

const RECORDS = 1e9 / 1040; // one gigabyte

function sample(atSeconds: number, share: number, cpu: number): Sample {
  return { atSeconds, records: RECORDS * share, mirrorCpu: cpu, sourceCpu: cpu / 2, targetCpu: cpu * 2 };
}

describe('the window of a copy', () => {
  test('goes from the first sample with 5 % of the records to the last one', () => {
    const found = summarize(
      [sample(0, 0, 0), sample(1, 0.01, 3), sample(2, 0.1, 4), sample(3, 0.6, 5), sample(4, 1, 5.8)],
      RECORDS,
    );

    expect(found.window.seconds).toBe(2);
    expect(found.window.mbPerSecond).toBeCloseTo(450);
    expect(found.window.cpuPerGb).toBeCloseTo(2); // 1.8 s for nine tenths of a gigabyte
    expect(found.window.sourceCpuPerGb).toBeCloseTo(1);
    expect(found.window.targetCpuPerGb).toBeCloseTo(4);
    expect(found.whole).toEqual({ seconds: 4, cpuPerGb: 5.8 });
    expect(found.firstRecordSeconds).toBe(1);
  });

  test('is the whole copy when one sample saw all of it', () => {
    const found = summarize([sample(0, 0, 1), sample(1, 1, 3)], RECORDS);
    expect(found.window.cpuPerGb).toBeCloseTo(2);
  });
});

function run(system: string, cpuPerGb: number, options: { mbPerSecond: number; rssMb: number }): ResultLine {
  const window = { seconds: 1, mbPerSecond: options.mbPerSecond, cpuPerGb, sourceCpuPerGb: 1, targetCpuPerGb: 1 };
  const measurement = {
    window,
    whole: { seconds: 2, cpuPerGb },
    firstRecordSeconds: 1,
    peakRssBytes: options.rssMb * 1e6,
  };
  return { kind: 'run', dataSet: 'd', system, run: 1, measurement, compared: 'counts', problem: null, loadAverage: 0 };
}

describe('the expectations', () => {
  const peer = run('mm2', 8, { mbPerSecond: 100, rssMb: 2400 });

  test('are met at an eighth of the peer, 160 MB and its speed', () => {
    const lines = [1.2, 1, 0.8].map((cpu) => run('lockstep', cpu, { mbPerSecond: 100, rssMb: 160 }));
    expect(expectations([peer, ...lines]).map(({ isMet }) => isMet)).toEqual([true, true, true]);
  });

  test('are not met by the median of runs that miss them', () => {
    const lines = [1.2, 1.1, 0.8].map((cpu) => run('lockstep', cpu, { mbPerSecond: 99, rssMb: 161 }));
    expect(expectations([peer, ...lines]).map(({ isMet }) => isMet)).toEqual([false, false, false]);
  });

  test('hold TLS to twice the CPU of plaintext', () => {
    const plaintext = run('lockstep', 1, { mbPerSecond: 100, rssMb: 100 });
    const met = (cpu: number) =>
      expectations([plaintext, run('lockstep-tls', cpu, { mbPerSecond: 100, rssMb: 100 })]).map(({ isMet }) => isMet);
    expect([met(2), met(2.1)]).toEqual([
      [true, true],
      [true, false],
    ]);
  });

  test('hold identical offsets to 1.05 times the CPU of mapped ones', () => {
    const mapped = run('lockstep-mapped', 1, { mbPerSecond: 100, rssMb: 100 });
    const met = (cpu: number) =>
      expectations([mapped, run('lockstep', cpu, { mbPerSecond: 100, rssMb: 100 })]).map(({ isMet }) => isMet);
    expect([met(1.05), met(1.06)]).toEqual([
      [true, true],
      [true, false],
    ]);
  });

  test('leave out a copy that failed', () => {
    const failed: ResultLine = {
      kind: 'run',
      dataSet: 'd',
      system: 'lockstep',
      run: 1,
      measurement: null,
      compared: 'counts',
      problem: 'x',
      loadAverage: 0,
    };
    expect(expectations([peer, failed])).toEqual([]);
    expect(formatTable([peer, failed])).not.toContain('lockstep');
  });
});

test('docs/performance.md shows the figures of the checked-in run', () => {
  const page = readFileSync(performancePage, 'utf8');
  expect(withFigures(page, readReferenceRun()), 'run: node bench/update-docs.ts').toBe(page);
  expect(() => withFigures('# Performance\n', readReferenceRun())).toThrow('has no line');
});
