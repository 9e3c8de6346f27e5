/**
 * Kind `Verify`: the copies of a mirror proven again and again, as they grow. Windows of source offsets are compared one after
 * the other (`verifyPartition`), so that of each partition one number says how far it is proven. It keeps nothing: after a
 * restart it believes nothing, and begins at the log start.
 */
import { must } from '#util/assert.ts';
import { Backoff } from '#util/backoff.ts';
import { sleep } from '#util/clock.ts';
import type { Random } from '#util/random.ts';
import { AppError, errorCodes, type ErrorCode } from '#contract/errors.ts';
import type { VerifyResource } from '#contract/resources.ts';
import type { Incident, RunEvent } from '#contract/status.ts';
import type { Difference, PartitionVerification, VerifyJobStatus } from '#contract/verification.ts';
import { toAppError } from '#jobs/app-error.ts';
import { KafkaError } from '#kafka/errors.ts';
import { EARLIEST, LATEST, listOffsets, type OffsetAnswer } from '#kafka/offsets.ts';
import type { Running } from './compare-logs.ts';
import type { CopyRecord } from './copy-record.ts';
import type { Evidence } from './evidence.ts';
import { isSameTopic, keyOf, PartitionProof } from './proven-partition.ts';
import { verifyPartition } from './verify-partition.ts';
import { CREATION_MS, tasksOf, type Note, type Task, type TaskOptions, type VerifyClusters } from './verify-tasks.ts';

/** Partitions at a time, as in `verifyMirror`. */
const WORKERS = 4;
/** What differs is looked at again so often: it may have been repaired. */
const RECHECK_MS = 30_000;
/** What passes by itself is told when it has lasted so long: elections, restarts, a leader that shows an old end. */
const PATIENCE_MS = 30_000;
/** A leader that has just been elected may show an end that is too low for a moment. */
const SHORTER_MS = 10_000;
/** How often what is not told yet is looked at again. */
const PENDING_MS = 1_000;
/** How often topics, their settings and what the mirror has written down are looked up. */
const LOOK_UP_MS = 30_000;
/** After so long everything is looked up and measured anew, also while much is left to compare. */
const ROUND_MS = 10_000;

export type VerifyJobOutcome = Extract<RunEvent, { event: 'verifying-ended' }>['outcome'];

export interface VerifyJobOptions {
  readonly resource: VerifyResource;
  readonly clusters: VerifyClusters;
  readonly record: CopyRecord;
  readonly withoutReturns: NonNullable<TaskOptions['withoutReturns']>;
  readonly evidence: Evidence | null;
  readonly random: Random;
  readonly progressMs: number;
  onEvent(event: RunEvent): void;
}

export class VerifyJob {
  readonly #options: VerifyJobOptions;
  readonly #proofs = new Map<string, PartitionProof>();
  readonly #running = new Set<Running>();
  readonly #backoff: Backoff;
  #told: ReadonlySet<string> = new Set();
  #lookedUpMs = -Infinity;

  constructor(options: VerifyJobOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.random, { baseMs: 500, maxMs: PATIENCE_MS });
  }

  /**
   * Goes on until `signal` aborts; where `goal` is given, until what both sides hold when it has resolved is proven, or is
   * known not to be. Throws AppError TOPIC_RULE_EMPTY then, where there is nothing to prove.
   */
  async run(signal: AbortSignal, goal: Promise<'caught-up' | 'until-reached'> | null): Promise<VerifyJobOutcome> {
    const { clock } = this.#options.clusters;
    const ended = new AbortController();
    const reported = this.#report(ended.signal);
    let outcome: VerifyJobOutcome = 'failed';
    let reached: 'caught-up' | 'until-reached' | null = null;
    const isReached = new AbortController();
    void goal?.then((which) => {
      reached = which;
      isReached.abort();
    });
    try {
      while (!signal.aborted) {
        const last: typeof reached = reached;
        const isDone = await this.#round(signal, last !== null);
        if (signal.aborted) break;
        const isPending = [...this.#proofs.values()].some((proof) => proof.isPending);
        if (last !== null && isDone && !isPending) return (outcome = this.#hasIncidents() ? 'incidents' : last);
        const { everyMs } = this.#options.resource.spec;
        const waking = last === null ? AbortSignal.any([signal, isReached.signal]) : signal;
        if (isDone) await sleep(clock, isPending ? Math.min(everyMs, PENDING_MS) : everyMs, waking);
      }
      return (outcome = 'interrupted');
    } finally {
      ended.abort();
      await reported;
      const { metadata } = this.#options.resource;
      const status = this.status();
      this.#options.onEvent({ event: 'verifying-ended', job: metadata.name, outcome, status, at: clock.now() });
    }
  }

  status(): VerifyJobStatus {
    const { metadata, spec } = this.#options.resource;
    const proofs = [...this.#proofs.values()].map((proof) => proof.status());
    return {
      job: metadata.name,
      mirror: spec.mirror.metadata.name,
      source: spec.mirror.spec.source,
      target: spec.mirror.spec.target,
      class: spec.class,
      partitions: proofs.toSorted((a, b) =>
        a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : a.partition - b.partition,
      ),
      at: this.#options.clusters.clock.now(),
    };
  }

  #hasIncidents(): boolean {
    return [...this.#proofs.values()].some(({ incident }) => incident !== null);
  }

  async #report(signal: AbortSignal): Promise<void> {
    const { progressMs, clusters } = this.#options;
    for (;;) {
      await sleep(clusters.clock, progressMs, signal);
      if (signal.aborted) return;
      this.#options.onEvent({ event: 'verifying', status: this.status() });
    }
  }

  // ---- a round: look up, measure, compare

  /** False where something is left to compare, or nothing could be looked up. */
  async #round(signal: AbortSignal, isLast: boolean): Promise<boolean> {
    const { clusters, record, withoutReturns, resource } = this.#options;
    const { mirror } = resource.spec;
    try {
      if (isLast || clusters.clock.monotonic() - this.#lookedUpMs >= LOOK_UP_MS) {
        const { tasks, notes } = await tasksOf(mirror, clusters, { signal, isHasty: true, record, withoutReturns });
        this.#lookedUpMs = clusters.clock.monotonic();
        this.#warn(notes);
        this.#adopt(tasks);
      }
      await this.#measure();
      this.#backoff.reset();
    } catch (error) {
      if (isLast && error instanceof AppError) throw error;
      const { code, message } = toAppError(error, `verification "${resource.metadata.name}"`);
      this.#warn([{ code, message }]);
      await sleep(clusters.clock, this.#backoff.next(), signal);
      return false;
    }
    const startedMs = clusters.clock.monotonic();
    const queue = [...this.#proofs.values()].filter((proof) => this.#isDue(proof));
    const work = async (): Promise<void> => {
      for (let proof = queue.shift(); proof && !signal.aborted; proof = queue.shift()) {
        const isMore = (await this.#window(proof, signal)) && this.#isDue(proof);
        if (isMore) queue.push(proof); // one window of each in turn
        if (clusters.clock.monotonic() - startedMs > ROUND_MS) return;
      }
    };
    await Promise.all(Array.from({ length: WORKERS }, work));
    return queue.length === 0;
  }

  /** Each is told once, until it is over. */
  #warn(warnings: readonly Note[]): void {
    const { clusters, resource } = this.#options;
    for (const { code, message } of warnings)
      if (!this.#told.has(message)) {
        const mirror = resource.spec.mirror.metadata.name;
        this.#options.onEvent({ event: 'warning', mirror, code, message, at: clusters.clock.now() });
      }
    this.#told = new Set(warnings.map(({ message }) => message));
  }

  #adopt(tasks: readonly Task[]): void {
    const found = new Map(tasks.map((task) => [keyOf(task), task]));
    for (const [key, proof] of this.#proofs)
      if (!found.has(key)) {
        this.#settle(proof);
        this.#proofs.delete(key);
      }
    for (const [key, task] of found) {
      const proof = this.#proofs.get(key);
      if (!proof) this.#proofs.set(key, new PartitionProof(task));
      else if (isSameTopic(proof.task.source, task.source) && isSameTopic(proof.task.target, task.target))
        proof.task = task;
      else proof.beginAnew(task);
    }
  }

  /** In one request to each leader, whatever the number of partitions. */
  async #measure(): Promise<void> {
    const { source, target, clock } = this.#options.clusters;
    const proofs = [...this.#proofs.values()].filter(({ task }) => task.source && task.target);
    const at = (side: 'source' | 'target', timestamp: number) =>
      proofs.map(({ task }) => ({ ...must(task[side], 'place of a partition'), timestamp }));
    const committed = { isolation: 'read_committed' } as const;
    const targetEnds = await listOffsets(target, at('target', LATEST), committed); // what it has, the source has had
    const starts = await listOffsets(source, at('source', EARLIEST), committed);
    const ends = await listOffsets(source, at('source', LATEST), committed);
    const known = (answer: OffsetAnswer | undefined): number | null => (!answer || answer.error ? null : answer.offset);
    for (const [index, proof] of proofs.entries()) {
      const [sourceStart, sourceEnd, targetEnd] = [starts[index], ends[index], targetEnds[index]].map(known);
      const isKnown = isNumber(sourceStart) && isNumber(sourceEnd) && isNumber(targetEnd);
      proof.measure(isKnown ? { sourceStart, sourceEnd, targetEnd } : null, clock.now());
    }
  }

  #isDue(proof: PartitionProof): boolean {
    return !proof.isAtEnd && proof.retryAtMs <= this.#options.clusters.clock.monotonic();
  }

  // ---- a window of one partition

  /** True where more can be compared at once. */
  async #window(proof: PartitionProof, signal: AbortSignal): Promise<boolean> {
    if (proof.isCreatedAnew && !(await this.#isProvenAnew(proof))) return false;
    let verified = await this.#compare(proof, signal);
    // The mirror may have written something else down since that was read: that a topic is mapped from here on.
    if (verified.verdict === 'different' && (await this.#refresh()))
      verified = await this.#compare(proof, signal, this.#options.evidence);
    return !signal.aborted && this.#judge(proof, verified);
  }

  #compare(
    proof: PartitionProof,
    signal: AbortSignal,
    evidence: Evidence | null = null,
  ): Promise<PartitionVerification> {
    const { clusters, record, resource } = this.#options;
    const { class: depth, windowOffsets, mirror } = resource.spec;
    const { cleaned } = proof.task;
    const from = proof.next;
    // What compaction took is accounted for by later records of its key: of a small window that would be read again and again.
    const isCut = from !== null && !cleaned.source && !cleaned.target;
    // A map is read as a whole for each window: one that is as long as the map has runs makes that cheap.
    const to = isCut ? from + Math.max(windowOffsets, proof.mapRuns) : null;
    const kept = evidence ? { evidence } : {};
    const options = { class: depth, isFull: false, isWindow: true, from, to, signal, record, ...kept };
    return verifyPartition(proof.task, mirror, { clusters, running: this.#running, options });
  }

  /** False where what the mirror has written down cannot be read for now. */
  async #refresh(): Promise<boolean> {
    try {
      await this.#options.record.refresh();
      return true;
    } catch (error) {
      if (error instanceof KafkaError) return false;
      throw error;
    }
  }

  async #isProvenAnew(proof: PartitionProof): Promise<boolean> {
    const isCopied = await this.#isCopiedAnew(proof);
    if (isCopied) proof.isCreatedAnew = false;
    else {
      const patienceMs = isCopied === null ? PATIENCE_MS : 0;
      this.#trouble(proof, { cause: 'created anew', patienceMs }, () => this.#different(proof, createdAnew(proof)));
    }
    return isCopied === true;
  }

  /** The mirror has written down that it copies the topics that are there now. Null where that cannot be asked for now. */
  async #isCopiedAnew({ task }: PartitionProof): Promise<boolean | null> {
    const { record } = this.#options;
    try {
      const ids = (await record.mapOf(task.pair, task.partition))?.topicIds ?? record.topicIdsOf(task.pair);
      return ids !== null && ids.source === task.source?.topicId && ids.target === task.target?.topicId;
    } catch (error) {
      if (error instanceof KafkaError || error instanceof AppError) return null;
      throw error;
    }
  }

  #judge(proof: PartitionProof, verified: PartitionVerification): boolean {
    const { verdict, error } = verified;
    if (verdict === 'failed') {
      const { code, message } = must(error, 'reason');
      this.#trouble(proof, { cause: code, patienceMs: code === 'PERMISSION_DENIED' ? 0 : PATIENCE_MS }, () =>
        this.#unreadable(proof, code in errorCodes ? (code as ErrorCode) : 'CLUSTER_REFUSED', message),
      );
      return false;
    }
    const { task } = proof;
    const isThere = task.source !== null && task.target !== null;
    const hasMoved = isThere && proof.take(verified);
    if (verdict === 'different') {
      const first = must(verified.shown[0], 'difference');
      const patienceMs = isThere ? 0 : this.#options.resource.spec.mirror.spec.refreshMs + CREATION_MS;
      this.#trouble(proof, { cause: `${first.kind} ${first.offset}`, patienceMs }, () => this.#different(proof, first));
      return false;
    }
    if (proof.isShorter) {
      const patienceMs = SHORTER_MS;
      this.#trouble(proof, { cause: 'shorter', patienceMs }, () => this.#different(proof, shorter(proof)));
      return false;
    }
    this.#settle(proof);
    proof.isAtEnd = proof.status().lag === 0; // of a mapped copy the map may come later than the records
    return hasMoved;
  }

  // ---- incidents

  /** One incident for one cause, when it has lasted; the partition is looked at again. */
  #trouble(
    proof: PartitionProof,
    { cause, patienceMs }: { readonly cause: string; readonly patienceMs: number },
    incidentOf: () => Incident,
  ): void {
    this.#lookedUpMs = -Infinity; // the topic may be another one by now
    const nowMs = this.#options.clusters.clock.monotonic();
    proof.troubledSinceMs ??= nowMs;
    const lastedMs = nowMs - proof.troubledSinceMs;
    const isNew = proof.cause !== cause;
    if (lastedMs >= patienceMs && isNew) {
      this.#endIncident(proof);
      proof.cause = cause;
      proof.incident = incidentOf();
      this.#options.onEvent({ event: 'incident', incident: proof.incident });
    }
    const waitMs = lastedMs < patienceMs ? Math.min(patienceMs - lastedMs, 1_000) : RECHECK_MS;
    proof.retryAtMs = nowMs + waitMs;
  }

  #settle(proof: PartitionProof): void {
    this.#endIncident(proof);
    proof.troubledSinceMs = null;
    proof.retryAtMs = -Infinity;
  }

  #endIncident(proof: PartitionProof): void {
    const { incident } = proof;
    proof.cause = proof.incident = null;
    if (incident) this.#options.onEvent({ event: 'incident-ended', incident, at: this.#options.clusters.clock.now() });
  }

  #different(proof: PartitionProof, first: Difference): Incident {
    return { ...copyDifferent(first), ...this.#of(proof), offsets: { from: first.offset, to: first.offset + 1 } };
  }

  #unreadable(proof: PartitionProof, code: ErrorCode, message: string): Incident {
    return {
      code,
      severity: 'error',
      cause: `It cannot be verified: ${message}.`,
      consequence: 'Nothing more of it is proven meanwhile; whether it is copied is another matter.',
      nextStep: 'Remove the cause that is named; it is looked at again at least every 30 s.',
      endsByItself: true,
      ...this.#of(proof),
      offsets: null,
    };
  }

  #of({ task }: PartitionProof): Pick<Incident, 'mirror' | 'topic' | 'partition' | 'at'> {
    const { resource, clusters } = this.#options;
    const mirror = resource.spec.mirror.metadata.name;
    return { mirror, topic: task.pair.source, partition: task.partition, at: clusters.clock.now() };
  }
}

/** Of the first record that differs. */
export function copyDifferent({
  kind,
  offset,
  message,
  evidence,
}: Difference): Omit<Incident, 'mirror' | 'topic' | 'partition' | 'at'> {
  const kept = evidence === undefined ? '' : ` Both copies are kept in ${evidence}.`;
  return {
    code: 'COPY_DIFFERENT',
    severity: 'error',
    offsets: { from: offset, to: offset + 1 },
    cause: `The copy is not what the source is, offset ${offset}, ${kind}: ${message}.${kept}`,
    consequence:
      'From this offset on nothing is proven. Readers of the target may see something else than those of the source.',
    nextStep:
      'Let "lockstep verify -f FILE --full" count all differences; find out who wrote to, deleted from or restored the topic; then "lockstep rebuild" makes the copy anew.',
    endsByItself: true,
  };
}

function isNumber(value: number | null | undefined): value is number {
  return typeof value === 'number';
}

function createdAnew({ task, provenThrough }: PartitionProof): Difference {
  return {
    kind: 'absent',
    offset: 0,
    fields: [],
    message: `topic ${task.pair.source} of the source or ${task.pair.target} of the target was created anew while it was verified (proven through offset ${provenThrough ?? 0}): what was proven is gone`,
    source: null,
    target: null,
  };
}

function shorter({ ends, provenThrough }: PartitionProof): Difference {
  const { sourceEnd, targetEnd } = must(ends, 'measured ends');
  const [side, end] = sourceEnd < targetEnd ? ['source', sourceEnd] : ['target', targetEnd];
  return {
    kind: side === 'source' ? 'beyond' : 'missing',
    offset: end,
    fields: [],
    message: `the ${side} ends at offset ${end} now, and was proven through offset ${provenThrough}: it was truncated`,
    source: null,
    target: null,
  };
}
