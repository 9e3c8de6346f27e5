import { expect, test } from 'vitest';
import type { StoreHealth } from '#store/store.ts';
import { MetricSet } from '#watch/metric-set.ts';
import { BackupMetrics, collectAudit, collectStore } from './control-plane-metrics.ts';

function samples(collect: (into: MetricSet) => void): Record<string, number> {
  const into = new MetricSet();
  collect(into);
  const all = into
    .families()
    .flatMap(({ name, samples: of }) =>
      of.map(({ labels, value }) => [[name, ...Object.values(labels)].join(' '), value] as const),
    );
  return Object.fromEntries(all);
}

const health: StoreHealth = {
  engine: 'sqlite',
  state: 'locked',
  since: 0,
  lastError: null,
  lastAnswerAt: null,
  queue: { calls: 2, bytes: 300, bytesMax: 1_000, oldestMs: 2_500, refused: 4 },
};

test('the state of the database is one of all that there are, and its queue is measured', () => {
  const of = samples((into) => collectStore(into, health));
  const states = Object.entries(of).filter(([name]) => name.startsWith('lockstep_store_state'));
  expect(states).toHaveLength(7);
  expect(states.filter(([, value]) => value === 1)).toEqual([['lockstep_store_state locked', 1]]);
  expect(of).toMatchObject({
    lockstep_store_queue_calls: 2,
    lockstep_store_queue_bytes: 300,
    lockstep_store_queue_oldest_seconds: 2.5,
    lockstep_store_refused_calls_total: 4,
  });
  const idle = { ...health, queue: { ...health.queue, oldestMs: null } };
  expect(samples((into) => collectStore(into, idle))).toMatchObject({ lockstep_store_queue_oldest_seconds: 0 });
});

test('of an audit log that is not open, and of an anchor that has taken nothing, no number is made up', () => {
  const anchors = [
    { name: 'file /a', size: 5, at: 60_000, error: null },
    { name: 'file /b', size: null, at: null, error: 'it is not there' },
  ];
  expect(samples((into) => collectAudit(into, { isWritable: () => true, size: 5, anchors }))).toEqual({
    lockstep_audit_log_writable: 1,
    lockstep_audit_log_entries: 5,
    'lockstep_audit_log_anchored_timestamp_seconds file /a': 60,
    'lockstep_audit_log_anchor_failing file /a': 0,
    'lockstep_audit_log_anchor_failing file /b': 1,
  });
  expect(samples((into) => collectAudit(into, { isWritable: () => false, size: null, anchors: [] }))).toEqual({
    lockstep_audit_log_writable: 0,
  });
});

test('the newest backup is shown when it was looked at, and nothing where there is none or the directory cannot be read', () => {
  let takenAt: number[] = [];
  let isBroken = false;
  const metrics = new BackupMetrics({
    list: () => {
      if (isBroken) throw new Error('EIO');
      return takenAt.map((at) => ({ name: String(at), takenAt: at }));
    },
  });
  expect(samples(metrics.collect)).toEqual({});
  takenAt = [90_000, 30_000];
  expect(samples(metrics.collect)).toEqual({});
  metrics.look();
  expect(samples(metrics.collect)).toEqual({ lockstep_backup_newest_timestamp_seconds: 90 });
  isBroken = true;
  metrics.look();
  expect(samples(metrics.collect)).toEqual({});
});
