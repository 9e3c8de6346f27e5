/**
 * Makes the jobs of the store do what they are wanted to do. It looks whenever somebody says that something changed, and each
 * second whether somebody else has changed something. Where the store does not answer, what runs goes on as it is: nothing on the
 * data path waits for it.
 */
import { AppError } from '#contract/errors.ts';
import type { RunEvent } from '#contract/status.ts';
import type { JobRunner, RunningJob } from '#server/ports.ts';
import type { StoredCluster } from '#store/clusters.ts';
import type { StoredJob } from '#store/jobs.ts';
import type { Page } from '#store/page.ts';
import type { Store } from '#store/store.ts';
import { sleep, type Clock } from '#util/clock.ts';
import type { Random } from '#util/random.ts';
import { documentsOf } from './job-documents.ts';
import { SupervisedJob, type RunJob } from './supervised-job.ts';

const LOOK_MS = 1_000;
const PER_PAGE = 1_000;

export interface JobSupervisorOptions {
  readonly store: Pick<Store, 'jobs' | 'clusters' | 'maintenance'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly process: string;
  readonly run: RunJob;
  readonly observers: {
    /** What a job says. */
    readonly onEvent: (job: StoredJob, event: RunEvent) => void;
    /** A job is in another state. */
    readonly onState: (job: StoredJob, running: RunningJob) => void;
    /** These are all. */
    readonly onJobs: (jobs: readonly StoredJob[]) => void;
    /** The store does not say what is wanted, or a bug. */
    readonly onTrouble: (message: string, error: unknown) => void;
  };
}

const UNKNOWN: RunningJob = { state: 'stopped', failedReason: null, status: null, since: null };

export class JobSupervisor implements JobRunner {
  readonly #options: JobSupervisorOptions;
  readonly #jobs = new Map<string, SupervisedJob>();
  readonly #states = new Map<string, RunningJob['state']>();
  readonly #listeners = new Set<(jobId: string) => void>();
  readonly #closed = new AbortController();
  #looking: Promise<void> | null = null;
  #lookingNext: Promise<void> | null = null;
  /** Of the store's resources when they were read last. */
  #seen: number | null = null;
  #isTroubled = false;
  #loop: Promise<void> | null = null;

  constructor(options: JobSupervisorOptions) {
    this.#options = options;
  }

  start(): void {
    this.#loop = this.#lookRepeatedly();
  }

  /** Ends all jobs in good order; what is wanted of them stays as it is. */
  async close(): Promise<void> {
    this.#closed.abort();
    await this.#loop;
    await this.#looking?.catch(() => {}); // whoever asked for it has heard
    await Promise.all([...this.#jobs.values()].map((job) => job.end()));
  }

  get process(): string {
    return this.#options.process;
  }

  isAlive(): boolean {
    return this.#loop !== null && !this.#closed.signal.aborted;
  }

  nudge(): void {
    void this.#look().catch((error: unknown) => this.#onTrouble(error));
  }

  async stopped(jobId: string, withinMs: number): Promise<void> {
    await this.#look();
    const job = this.#jobs.get(jobId);
    if (!job) return;
    const ended = new AbortController();
    const late = sleep(this.#options.clock, withinMs, ended.signal).then(() => {
      if (ended.signal.aborted) return;
      throw new AppError('SERVER_BUSY', `Job "${job.job.name}" still ends.`, { nextStep: 'Try again in a minute.' });
    });
    try {
      await Promise.race([job.ended(), late]);
    } finally {
      ended.abort();
    }
  }

  job(jobId: string): RunningJob {
    return this.#jobs.get(jobId)?.running ?? UNKNOWN;
  }

  onChange(listener: (jobId: string) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async #lookRepeatedly(): Promise<void> {
    while (!this.#closed.signal.aborted) {
      try {
        const { resources } = await this.#options.store.maintenance.versions();
        if (resources !== this.#seen) await this.#look();
        this.#isTroubled = false;
      } catch (error) {
        this.#onTrouble(error);
      }
      await sleep(this.#options.clock, LOOK_MS, this.#closed.signal);
    }
  }

  /** Resolves when what the store said after this call has been taken over. */
  #look(): Promise<void> {
    if (this.#looking === null) {
      this.#looking = this.#read().finally(() => (this.#looking = null));
      return this.#looking;
    }
    this.#lookingNext ??= this.#looking
      .catch(() => {}) // of whoever began it
      .then(() => {
        this.#lookingNext = null;
        return this.#look();
      });
    return this.#lookingNext;
  }

  async #read(): Promise<void> {
    const { store, observers } = this.#options;
    const { resources } = await store.maintenance.versions();
    const jobs = await allOf<StoredJob>((page) => store.jobs.list(page));
    const clusters = await allOf<StoredCluster>((page) => store.clusters.list(page));
    if (this.#closed.signal.aborted) return;
    const ids = new Set(jobs.map(({ id }) => id));
    for (const [id, job] of this.#jobs) if (!ids.has(id)) this.#remove(id, job);
    observers.onJobs(jobs);
    for (const job of jobs) this.#supervised(job).want(job, () => documentsOf(job, { jobs, clusters }));
    this.#seen = resources;
  }

  #supervised(job: StoredJob): SupervisedJob {
    const known = this.#jobs.get(job.id);
    if (known) return known;
    const { clock, random, run, observers } = this.#options;
    const made = new SupervisedJob(job, {
      clock,
      random,
      run,
      onEvent: (of, event) => {
        if (event.event === 'started') this.#pin(of, event);
        observers.onEvent(of, event);
      },
      onChange: (of) => this.#onChange(of),
      onBug: (of, error) => observers.onTrouble(`job "${of.name}" met a bug`, error),
    });
    this.#jobs.set(job.id, made);
    return made;
  }

  #remove(id: string, job: SupervisedJob): void {
    void job.end().then(() => {
      this.#jobs.delete(id);
      this.#states.delete(id);
    });
  }

  #onChange(job: StoredJob): void {
    const running = this.job(job.id);
    if (this.#states.get(job.id) !== running.state) {
      this.#states.set(job.id, running.state);
      this.#options.observers.onState(job, running);
    }
    for (const listener of this.#listeners) listener(job.id);
  }

  /** The clusters that were met first under their names are meant from now on. */
  #pin({ source, target }: StoredJob, met: Extract<RunEvent, { event: 'started' }>): void {
    const pairs = [
      [source, met.sourceClusterId],
      [target, met.targetClusterId],
    ] as const;
    for (const [name, id] of pairs)
      if (name !== null)
        void this.#options.store.clusters
          .pin(name, id)
          .catch((error: unknown) =>
            this.#options.observers.onTrouble(`the id of cluster "${name}" is not kept`, error),
          );
  }

  /** Once for each time that it begins. */
  #onTrouble(error: unknown): void {
    if (this.#isTroubled) return;
    this.#isTroubled = true;
    this.#options.observers.onTrouble('what is wanted of jobs cannot be read; they go on as they are', error);
  }
}

async function allOf<Item>(
  list: (page: { readonly limit: number; readonly cursor: string | null }) => Promise<Page<Item>>,
): Promise<Item[]> {
  const all: Item[] = [];
  let cursor: string | null = null;
  do {
    const page: Page<Item> = await list({ limit: PER_PAGE, cursor });
    all.push(...page.items);
    cursor = page.next;
  } while (cursor !== null);
  return all;
}
