import { describe, expect, test } from 'vitest';
import type { Cell } from './cell.ts';
import type { Figures } from './figure.ts';
import { judge } from './goal.ts';
import { goals } from './goals.ts';
import { rowsOf } from './row.ts';
import { resultOf } from './sample-result.ts';
import type { CellResult } from './result.ts';

function measured(system: string, figures: Figures, cell: Partial<Cell> = {}): CellResult {
  return resultOf({ system, ...cell }, { figures });
}

/** State of the goals whose text has `part`, by what the results say. */
function statesOf(part: string, results: readonly CellResult[]): string[] {
  return judge(goals, rowsOf(results)).flatMap(({ text, state }) => (text.includes(part) ? [state] : []));
}

describe('the goals', () => {
  const peer = measured('mm2', { cpuPerGb: 12, mbPerSecond: 100 });

  test('are met at a twelfth of the CPU of the tuned peer and twice its speed', () => {
    const lines = [1.2, 1, 0.8].map((cpuPerGb, i) =>
      measured('lockstep', { cpuPerGb, mbPerSecond: 200 }, { run: i + 1 }),
    );
    expect(statesOf('CPU-s/GB of mm2', [peer, ...lines])).toEqual(['met']);
    expect(statesOf('wall MB/s of mm2, at least 2', [peer, ...lines])).toEqual(['met']);
  });

  test('are not met by the median of runs that miss them', () => {
    const lines = [1.2, 1.1, 0.8].map((cpuPerGb, i) =>
      measured('lockstep', { cpuPerGb, mbPerSecond: 199 }, { run: i + 1 }),
    );
    expect(statesOf('CPU-s/GB of mm2', [peer, ...lines])).toEqual(['not met']);
    expect(statesOf('wall MB/s of mm2, at least 2', [peer, ...lines])).toEqual(['not met']);
  });

  test('hold TLS to twice the CPU of plaintext', () => {
    const states = (cpuPerGb: number) =>
      statesOf('TLS', [measured('lockstep', { cpuPerGb: 1 }), measured('lockstep-tls', { cpuPerGb })]);
    expect([states(2), states(2.1)]).toEqual([['met'], ['not met']]);
    expect(statesOf('TLS', [measured('lockstep', { cpuPerGb: 1 })]), 'without a run over TLS').toEqual([]);
  });

  test('hold identical offsets to 1.05 times the CPU of mapped ones', () => {
    const states = (cpuPerGb: number) =>
      statesOf('mapped', [measured('lockstep-mapped', { cpuPerGb: 1 }), measured('lockstep', { cpuPerGb })]);
    expect([states(1.05), states(1.06)]).toEqual([['met'], ['not met']]);
  });

  test('compare small records with large ones of the same shape only', () => {
    const small = measured('lockstep', { cpuPerGb: 1.3 }, { dataSet: 'n100_16' });
    const large = measured('lockstep', { cpuPerGb: 1 });
    const part = 'of 1 KB records';
    expect(statesOf(part, [small, large])).toEqual(['met']);
    expect(statesOf(part, [small, measured('lockstep', { cpuPerGb: 0.9 })])).toEqual(['not met']);
    expect(statesOf(part, [small, measured('lockstep', { cpuPerGb: 1 }, { partitions: 9 })])).toEqual(['not measured']);
  });

  test('count the estate against every peer, not against the relay', () => {
    const ours = measured('lockstep', { estateCpuPerGb: 3 });
    const [go, mm2] = [measured('go', { estateCpuPerGb: 3.1 }), measured('mm2', { estateCpuPerGb: 9 })];
    const relay = measured('relay', { estateCpuPerGb: 0.4 });
    expect(statesOf('both brokers', [ours, go, mm2, relay])).toEqual(['met']);
    expect(statesOf('both brokers', [ours, measured('go', { estateCpuPerGb: 2.9 }), mm2])).toEqual(['not met']);
  });

  test('take what the cores can do instead of a faster peer', () => {
    const [ours, go] = [{ mbPerSecond: 460, estateCpuPerGb: 4 }, measured('go', { mbPerSecond: 900 })];
    expect(statesOf('fastest peer', [measured('lockstep', ours), go]), '500 MB/s on two cores').toEqual(['met']);
    expect(statesOf('fastest peer', [measured('lockstep', { ...ours, mbPerSecond: 440 }), go])).toEqual(['not met']);
  });

  test('hold losses and duplicates to none', () => {
    const kill = (duplicateRecords: number) =>
      statesOf('duplicates', [measured('lockstep', { duplicateRecords, lostRecords: 0 }, { kind: 'kill' })]);
    expect([kill(0), kill(1)]).toEqual([['met'], ['not met']]);
  });

  test('are not measured where the peer was not run, and say why', () => {
    const go = resultOf({ system: 'go' }, { state: 'not run', reason: 'there is no Go' });
    const [verdict] = judge(goals, rowsOf([measured('lockstep', { cpuPerGb: 1 }), go])).filter(({ text }) =>
      text.startsWith('mirror CPU-s/GB of go'),
    );
    expect(verdict).toMatchObject({ state: 'not measured', found: 'go has no cpuPerGb (not run: there is no Go)' });
  });

  test('do not compare figures of different sources', () => {
    const old = resultOf({ system: 'mm2' }, { figures: { cpuPerGb: 100 }, sources: 'old', at: '2025-01-01' });
    expect(statesOf('CPU-s/GB of mm2', [old, measured('lockstep', { cpuPerGb: 1 })])).toEqual(['not measured']);
  });
});

test('the distance to a bound is a factor', () => {
  const found = (theirs: number) =>
    judge(goals, rowsOf([measured('lockstep', { cpuPerGb: 1 }), measured('mm2', { cpuPerGb: theirs })])).find(
      ({ text }) => text.startsWith('mirror CPU-s/GB of mm2'),
    )?.found;
  expect(found(24)).toBe('1/24.0, 2.00 × better than the bound');
  expect(found(6)).toBe('1/6.0, 2.00 × beyond the bound');
});
