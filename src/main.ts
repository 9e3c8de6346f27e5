/** Composition root: hands the host's clock, network, disk and randomness to the rooms, and decides nothing. */
import type { MirrorPlan } from '#contract/plan.ts';
import type { Documents } from '#contract/resources.ts';
import type { RunEvent } from '#contract/status.ts';
import type { Until } from '#contract/until.ts';
import type { ClusterView, TopicView } from '#contract/views.ts';
import { InvariantError } from '#util/assert.ts';
import type { Clock } from '#util/clock.ts';
import type { Disk } from '#util/host.ts';
import type { Network } from '#util/network.ts';
import type { Random } from '#util/random.ts';

/** What the outside world is to Lockstep. */
export interface Host {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
}

export type RunOutcome = 'caught-up' | 'until-reached' | 'incidents' | 'interrupted' | 'failed';

export interface RunOptions {
  /** Without it the mirrors run until `signal` aborts. */
  readonly until?: Until;
  /** How often each mirror reports its progress. */
  readonly progressMs: number;
  /** Ends the run in good order. */
  readonly signal: AbortSignal;
  onEvent(event: RunEvent): void;
}

/** What a run of these mirrors would do, in the order of the files. Changes nothing. Throws an AppError where a cluster cannot be asked. */
export function planMirrors(_documents: Documents, _host: Host): Promise<MirrorPlan[]> {
  throw new InvariantError('planMirrors is wired');
}

/** Runs the mirrors until they have ended. Throws an AppError where none of them could start. */
export function runMirrors(_documents: Documents, _host: Host, _options: RunOptions): Promise<RunOutcome> {
  throw new InvariantError('runMirrors is wired');
}

/** The clusters of the files, in their order; one that does not answer carries its error. */
export function describeClusters(_documents: Documents, _host: Host): Promise<ClusterView[]> {
  throw new InvariantError('describeClusters is wired');
}

/** The topics of one cluster by name, or one of them (TOPIC_NOT_FOUND where it is not there) with its settings. */
export function describeTopics(
  _documents: Documents,
  _host: Host,
  _options: { cluster: string; topic?: string },
): Promise<TopicView[]> {
  throw new InvariantError('describeTopics is wired');
}
