/** Whether what a mirror tells of itself is true while things go wrong, and how much it still copies. */
import { expect } from 'vitest';
import { fault } from './fault.ts';
import { leaderOf, waitForOther } from './leaders.ts';
import { clusterPair, startMirror } from './mirror-under-test.ts';
import { FigureSampler, throughputOf } from './samplers.ts';

const properties = { 'broker.session.timeout.ms': '6000' };
const pair = clusterPair({ source: {}, target: { brokers: 3, properties } });
const WINDOW_MS = 10_000;
const PAUSE_MS = 8_000;
/** A third of the brokers is gone: what is left of the throughput, in %. */
const SHARE_MIN = 50;

fault(
  {
    id: 'figures-under-faults',
    title: 'position and ends told beside those of the clusters, with a broker killed and the source stopped for 8 s',
  },
  async (run) => {
    const mirror = await startMirror(run, await pair(), {
      name: run.id,
      kinds: ['plain'],
      recordsPerSecond: 600,
      spec: { targetReplicationFactor: 3 },
      mayRepeatEnds: true,
    });
    const sampler = await FigureSampler.start(mirror);
    const before = await throughputOf(mirror, WINDOW_MS);
    const broker = await leaderOf(mirror.pair.target, mirror.topic('plain'));
    await broker.kill();
    const after = await waitForOther(mirror.pair.target, mirror.topic('plain'), { than: broker.id });
    await mirror.advances(`without broker ${broker.id} of the target`);
    const during = await throughputOf(mirror, WINDOW_MS);
    await broker.start();
    const [source] = mirror.pair.source.brokers;
    await source?.pause();
    await mirror.lasts(PAUSE_MS);
    await source?.resume();
    run.figure('all partitions went on within s', (await mirror.advances('the source goes on')) / 1000);
    run.tookEffect(`leader of the target ${broker.id}→${after}; the source stood still for ${PAUSE_MS / 1000} s`);
    const share = (100 * during) / before;
    run.figure('throughput in the fault, % of before', share);
    expect(share, `${during.toFixed(0)} offsets/s of ${before.toFixed(0)}`).toBeGreaterThan(SHARE_MIN);
    await mirror.settle();
    await sampler.stop(run);
    await mirror.expectIdenticalAfterwards();
  },
);
