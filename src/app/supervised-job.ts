/**
 * One job of the store, made to do what is wanted of it:
 *
 *   wanted ──► starting ──► running ──► stopping ──► stopped, paused, or starting again with another text
 *                 ▲            │
 *                 └── failed ◄─┘   retried with back-off where the cause can pass by itself; else until it is changed or restarted
 *
 * A turn is one run from its start to its end; there is never more than one.
 */
import { AppError } from '#contract/errors.ts';
import type { Documents } from '#contract/resources.ts';
import type { Incident, MirrorStatus, RunEvent } from '#contract/status.ts';
import type { JobState, RunningJob } from '#server/ports.ts';
import type { StoredJob } from '#store/jobs.ts';
import { Backoff } from '#util/backoff.ts';
import type { Clock } from '#util/clock.ts';
import type { Random } from '#util/random.ts';
import type { JobDocuments } from './job-documents.ts';

const AGAIN_MIN_MS = 2_000;
const AGAIN_MAX_MS = 60_000;

type RunOutcome = Extract<RunEvent, { event: 'ended' }>['outcome'];

/** Runs what the documents hold until `signal` aborts, or until nothing of it can go on. */
export type RunJob = (
  documents: Documents,
  options: { readonly signal: AbortSignal; readonly onEvent: (event: RunEvent) => void },
) => Promise<RunOutcome>;

export interface SupervisedJobOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly run: RunJob;
  readonly onEvent: (job: StoredJob, event: RunEvent) => void;
  /** Its state or status is new. */
  readonly onChange: (job: StoredJob) => void;
  /** A bug: the job has failed, and whoever operates the server has to know. */
  readonly onBug: (job: StoredJob, error: unknown) => void;
}

/** How it shall run: the documents, or what speaks against them. */
interface Wanted {
  readonly key: string;
  readonly documents: Documents | AppError;
}

interface Turn {
  readonly key: string;
  readonly stop: AbortController;
  readonly since: number;
  isUp: boolean;
}

interface Failure {
  readonly key: string;
  readonly incident: Incident;
}

export class SupervisedJob {
  readonly #options: SupervisedJobOptions;
  readonly #backoff: Backoff;
  #job: StoredJob;
  #wanted: Wanted | null = null;
  #turn: Turn | null = null;
  #failure: Failure | null = null;
  #status: MirrorStatus | null = null;
  #cancelAgain = (): void => {};
  #waiting: (() => void)[] = [];
  #shown: JobState = 'stopped';

  constructor(job: StoredJob, options: SupervisedJobOptions) {
    this.#job = job;
    this.#options = options;
    this.#backoff = new Backoff(options.random, { baseMs: AGAIN_MIN_MS, maxMs: AGAIN_MAX_MS });
  }

  get job(): StoredJob {
    return this.#job;
  }

  get running(): RunningJob {
    const incident = this.#failure?.incident ?? null;
    return {
      state: this.#state(),
      failedReason: incident && `${incident.code}: ${incident.cause}`,
      failure: incident,
      status: this.#status,
      since: this.#turn?.since ?? null,
    };
  }

  /** What the store says of it now. `documents` is only asked for where it shall run; what it throws fails the job. */
  want(job: StoredJob, documents: () => JobDocuments): void {
    this.#job = job;
    this.#wanted = job.desired === 'started' ? wantedOf(job, documents) : null;
    this.#settle();
  }

  /** It is not in the store any more, or the process ends. Resolves when it does nothing. */
  end(): Promise<void> {
    this.#wanted = null;
    this.#settle();
    return this.ended();
  }

  /** Resolves when no turn is under way; at once where none is. */
  ended(): Promise<void> {
    if (this.#turn === null) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #settle(): void {
    const wanted = this.#wanted;
    if (this.#failure?.key !== wanted?.key) this.#forgive();
    if (this.#turn !== null) {
      if (this.#turn.key !== wanted?.key) this.#turn.stop.abort();
    } else if (wanted !== null && this.#failure === null) this.#begin(wanted);
    this.#tell();
  }

  #begin({ key, documents }: Wanted): void {
    const { clock, run } = this.#options;
    const turn: Turn = { key, stop: new AbortController(), since: clock.now(), isUp: false };
    this.#turn = turn;
    this.#status = null;
    const onEvent = (event: RunEvent): void => this.#hear(turn, event);
    const running =
      documents instanceof AppError ? Promise.reject(documents) : run(documents, { signal: turn.stop.signal, onEvent });
    void running.then(
      (outcome) => this.#ended(turn, outcome === 'incidents' || outcome === 'failed' ? this.#stoppedBy() : null),
      (error: unknown) => this.#ended(turn, this.#failedBy(error)),
    );
  }

  #hear(turn: Turn, event: RunEvent): void {
    if (event.event === 'started' || event.event === 'verifying') this.#up(turn);
    const status = event.event === 'progress' || event.event === 'ended' ? event.status : null;
    if (status !== null) this.#status = status;
    this.#options.onEvent(this.#job, event);
    if (status !== null) this.#options.onChange(this.#job);
  }

  #up(turn: Turn): void {
    if (turn.isUp) return;
    turn.isUp = true;
    this.#backoff.reset();
    this.#tell();
  }

  /** Whoever has asked for the end is not told that it failed. */
  #ended(turn: Turn, incident: Incident | null): void {
    this.#turn = null;
    if (incident !== null && !turn.stop.signal.aborted) this.#fail(turn.key, incident);
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#settle();
    for (const resolve of waiting) resolve();
  }

  #fail(key: string, incident: Incident): void {
    this.#failure = { key, incident };
    if (!incident.endsByItself) return;
    this.#cancelAgain = this.#options.clock.schedule(this.#backoff.next(), () => {
      this.#failure = null;
      this.#settle();
    });
  }

  #forgive(): void {
    this.#cancelAgain();
    this.#failure = null;
  }

  /** The first of the partitions that stopped; all of them are in the status. */
  #stoppedBy(): Incident {
    const incidents = this.#status?.shards.flatMap(({ incident }) =>
      incident?.severity === 'error' ? [incident] : [],
    );
    return incidents?.[0] ?? this.#incident({ code: 'INTERNAL', cause: 'It has ended, and does not say why.' });
  }

  #failedBy(error: unknown): Incident {
    if (error instanceof AppError) {
      const { code, message, nextStep, retryable } = error;
      return this.#incident({ code, cause: message, nextStep, endsByItself: retryable });
    }
    this.#options.onBug(this.#job, error);
    return this.#incident({ code: 'INTERNAL', cause: error instanceof Error ? error.message : String(error) });
  }

  #incident({
    nextStep = null,
    ...of
  }: Pick<Incident, 'code' | 'cause'> & { nextStep?: string | null; endsByItself?: boolean }): Incident {
    return {
      severity: 'error',
      mirror: this.#job.name,
      topic: null,
      partition: null,
      offsets: null,
      consequence: 'Nothing of this job is done; what it has done stays.',
      nextStep: nextStep ?? 'See what the server has written about it, mend that, and restart the job.',
      endsByItself: false,
      at: this.#options.clock.now(),
      ...of,
    };
  }

  #state(): JobState {
    if (this.#turn !== null) {
      if (this.#turn.stop.signal.aborted) return 'stopping';
      return this.#turn.isUp ? 'running' : 'starting';
    }
    if (this.#failure !== null) return 'failed';
    return this.#job.desired === 'paused' ? 'paused' : 'stopped';
  }

  #tell(): void {
    const state = this.#state();
    if (state === this.#shown) return;
    this.#shown = state;
    this.#options.onChange(this.#job);
  }
}

function wantedOf(job: StoredJob, documents: () => JobDocuments): Wanted {
  try {
    return documents();
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { key: JSON.stringify([job.restarts, job.version, error.message]), documents: error };
  }
}
