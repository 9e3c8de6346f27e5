/**
 * Sends live state to open streams: each gets what its caller may see. Changes of a job are collected and sent at most every half
 * second; whoever does not read fast enough is cut off, and begins anew with the whole state. Who may see what is looked up again
 * in the same rhythm, so that a role or session that was taken away ends within a second here too.
 */
import type { LiveEvent } from '#contract/api/routes/watching.ts';
import type { StoredJob } from '#store/jobs.ts';
import type { Resource } from '#contract/api/permissions.ts';
import type { Authenticator } from '../auth/authenticator.ts';
import type { Caller } from '../auth/caller.ts';
import { incidentViews, jobResource, jobSummaryOf, partitionViews } from '../features/job-views.ts';
import type { ServerPorts } from '../ports.ts';

const BEAT_MS = 500;
/** Besides changes that the store tells of: sessions end by time alone too. */
const RECHECK_BEATS = 20;
const JOBS_PER_PAGE = 1_000;

export interface LiveStream {
  /** False: it is full, and is to be cut off. */
  send(event: LiveEvent): boolean;
  end(): void;
}

interface Open {
  caller: Caller;
  readonly stream: LiveStream;
}

export class LiveHub {
  readonly #ports: ServerPorts;
  readonly #authenticator: Authenticator;
  readonly #open = new Set<Open>();
  readonly #changed = new Set<string>();
  /** What a job was called, for those who may learn that it is gone. */
  readonly #known = new Map<string, Resource>();
  readonly #stopListening: () => void;
  #cancelBeat: (() => void) | null = null;
  #identities: number | null = null;
  #beats = 0;

  constructor({ ports, authenticator }: { readonly ports: ServerPorts; readonly authenticator: Authenticator }) {
    this.#ports = ports;
    this.#authenticator = authenticator;
    this.#stopListening = ports.jobs.onChange((jobId) => this.changed(jobId));
  }

  get streams(): number {
    return this.#open.size;
  }

  /** A job was changed through the API. */
  changed(jobId: string): void {
    if (this.#open.size > 0) this.#changed.add(jobId);
  }

  /** Sends the state as it is, then what changes. The returned function ends it. */
  async open(caller: Caller, stream: LiveStream): Promise<() => void> {
    const entry: Open = { caller, stream };
    stream.send({ type: 'reset', at: this.#ports.clock.now() });
    this.#open.add(entry);
    this.#beat();
    let cursor: string | null = null;
    do {
      const page = await this.#ports.store.jobs.list({ limit: JOBS_PER_PAGE, cursor });
      for (const job of page.items) this.#sendJob(job, [entry]);
      cursor = page.next;
    } while (cursor !== null && this.#open.has(entry));
    return () => void this.#open.delete(entry);
  }

  close(): void {
    this.#stopListening();
    this.#cancelBeat?.();
    for (const entry of this.#open) this.#end(entry);
  }

  #beat(): void {
    this.#cancelBeat ??= this.#ports.clock.schedule(BEAT_MS, () => {
      this.#cancelBeat = null;
      void this.#work().then(() => {
        if (this.#open.size > 0) this.#beat();
      });
    });
  }

  /** Without the store nobody knows who may see what: all are cut off. */
  async #work(): Promise<void> {
    try {
      await this.#recheck();
      const changed = [...this.#changed];
      this.#changed.clear();
      for (const id of changed) await this.#sendChange(id);
    } catch (error) {
      this.#ports.log({ message: 'live streams cut off', requestId: null, error });
      for (const entry of this.#open) this.#end(entry);
    }
  }

  async #recheck(): Promise<void> {
    const { identities } = await this.#ports.store.maintenance.versions();
    const isDue = ++this.#beats % RECHECK_BEATS === 0;
    if (identities === this.#identities && !isDue) return;
    this.#identities = identities;
    for (const entry of this.#open) {
      const caller = await this.#authenticator.again(entry.caller);
      if (caller === null || !caller.maySomewhere('jobs:view')) this.#end(entry);
      else entry.caller = caller;
    }
  }

  async #sendChange(id: string): Promise<void> {
    const job = await this.#ports.store.jobs.get(id);
    if (job !== null) return this.#sendJob(job, this.#open);
    const resource = this.#known.get(id);
    this.#known.delete(id);
    if (!resource) return;
    for (const entry of this.#open)
      this.#send(entry, resource, [{ type: 'job-deleted', id, at: this.#ports.clock.now() }]);
  }

  #sendJob(job: StoredJob, to: Iterable<Open>): void {
    const running = this.#ports.jobs.job(job.id);
    const resource = jobResource(job);
    const at = this.#ports.clock.now();
    this.#known.set(job.id, resource);
    const partitions = partitionViews(running);
    const events: LiveEvent[] = [
      { type: 'job', job: jobSummaryOf(job, running), at },
      ...(partitions.length === 0 ? [] : [{ type: 'progress' as const, id: job.id, partitions, at }]),
      ...incidentViews(running).map((incident) => ({ type: 'incident' as const, id: job.id, incident, at })),
    ];
    for (const entry of to) this.#send(entry, resource, events);
  }

  #send(entry: Open, resource: Resource, events: readonly LiveEvent[]): void {
    if (!entry.caller.may('jobs:view', resource)) return;
    if (!events.every((event) => entry.stream.send(event))) this.#end(entry);
  }

  #end(entry: Open): void {
    this.#open.delete(entry);
    entry.stream.end();
  }
}
