/** Whether what a mirror tells of itself is true while things go wrong, and how much it still copies. */
import { expect } from 'vitest';
import { must } from '#util/assert.ts';
import { fault } from './fault.ts';
import { FigureSampler, throughputOf } from './figure-sampler.ts';
import { leaderOf, waitForInSync, waitForOther } from './leaders.ts';
import { clusterPair, startMirror, waitsForStart } from './mirror-under-test.ts';

const properties = { 'broker.session.timeout.ms': '6000' };
const pair = clusterPair({ source: {}, target: { brokers: 3, properties } });
const WINDOW_MS = 8_000;
const PAUSE_MS = 6_000;
/** Of what is written, which the mirror keeps up with: a third of the target's brokers is gone. */
const SHARE_MIN_PERCENT = 50;

fault(
  {
    id: 'figures-under-faults',
    title:
      'position, lag and ends told beside those of the clusters, with a broker killed, and brokers of target and source stopped for 6 s, the whole target for longer',
    timeoutMs: 300_000,
  },
  async (run) => {
    const mirror = await startMirror(run, await pair(), {
      name: run.id,
      kinds: ['plain'],
      recordsPerSecond: 600,
      spec: { targetReplicationFactor: 3 },
    });
    const { source, target } = mirror.pair;
    const sampler = await FigureSampler.start(mirror);
    const before = await throughputOf(mirror, WINDOW_MS);
    const broker = await leaderOf(target, mirror.topic('plain'));
    await broker.kill();
    const after = await waitForOther(target, mirror.topic('plain'), { than: broker.id });
    await mirror.advances(`without broker ${broker.id} of the target`);
    const during = await throughputOf(mirror, WINDOW_MS);
    await broker.start();
    await waitForInSync(target, mirror.topics);

    const slow = await leaderOf(target, mirror.topic('plain'));
    await slow.pause();
    await mirror.lasts(PAUSE_MS);
    await slow.resume();
    await mirror.advances('the target goes on');
    // Of what has nowhere to go nothing is read after 2 s: after 10 s the source is asked for its ends alone.
    for (const each of target.brokers) await each.pause();
    await mirror.until(() => sampler.hasSeenLag, 'a lag is told that is certainly not 0', 60_000);
    for (const each of target.brokers) await each.resume();
    await mirror.advances('the whole target goes on');
    const paused = must(source.brokers[0], 'broker');
    await paused.pause();
    await mirror.lasts(PAUSE_MS);
    await paused.resume();
    run.figure('all partitions went on within s', (await mirror.advances('the source goes on')) / 1_000);
    await mirror.settle();
    await sampler.stop(run);

    run.tookEffect(
      `leader of the target ${broker.id}→${after}; broker ${slow.id} of the target stood still for ${PAUSE_MS / 1_000} s, the whole target until a lag was told, then the source for ${PAUSE_MS / 1_000} s`,
    );
    const share = (100 * during) / before;
    run.figure('throughput in the fault, % of before', Math.round(share));
    expect(share, `${during.toFixed(0)} offsets/s of ${before.toFixed(0)}`).toBeGreaterThan(SHARE_MIN_PERCENT);
    await mirror.expectIdenticalAfterwards({ mayWait: [...waitsForStart('source'), ...waitsForStart('target')] });
  },
);
