import { describe, expect, test } from 'vitest';
import { summarize, type Sample } from './measure.ts';

const recordBytes = 1040;
const total = 1e9 / recordBytes; // one gigabyte

function sample(atSeconds: number, share: number, cpu: number): Sample {
  return { atSeconds, records: total * share, mirrorCpu: cpu, sourceCpu: cpu / 2, targetCpu: cpu * 2 };
}

describe('the window of a copy', () => {
  test('goes from the first sample with 5 % of the records to the last one', () => {
    const samples = [sample(0, 0, 0), sample(1, 0.01, 3), sample(2, 0.1, 4), sample(3, 0.6, 5), sample(4, 1, 5.8)];
    const found = summarize(samples, { total, recordBytes });

    expect(found.mbPerSecond).toBeCloseTo(450);
    expect(found.cpuPerGb).toBeCloseTo(2); // 1.8 s for nine tenths of a gigabyte
    expect(found.sourceCpuPerGb).toBeCloseTo(1);
    expect(found.targetCpuPerGb).toBeCloseTo(4);
    expect(found.estateCpuPerGb).toBeCloseTo(7);
    expect(found).toMatchObject({ wholeSeconds: 4, wholeCpuPerGb: 5.8, firstRecordSeconds: 1 });
  });

  test('is the whole copy when one sample saw all of it', () => {
    expect(summarize([sample(0, 0, 1), sample(1, 1, 3)], { total, recordBytes }).cpuPerGb).toBeCloseTo(2);
  });

  test('has no figures of brokers that took no part', () => {
    const without = (each: Sample): Sample => ({ ...each, sourceCpu: null, targetCpu: null });
    const found = summarize([sample(0, 0, 1), sample(1, 1, 3)].map(without), { total, recordBytes });
    expect(Object.keys(found)).not.toContain('sourceCpuPerGb');
    expect(Object.keys(found)).not.toContain('estateCpuPerGb');
  });
});
