/**
 * Writes down what jobs say of themselves: figures every ten seconds, incidents when they come and go. It looks on: where the store
 * cannot take it, jobs go on and the figures have a gap, which the store knows from their times.
 */
import type { Sample } from '#store/history.ts';
import type { ReportedIncident } from '#store/incidents.ts';
import type { RunningJob, ServerPorts } from '../ports.ts';
import { incidentView, incidentViews, lagOf } from './job-views.ts';
import { everyItem } from './pages.ts';

const SAMPLE_MS = 10_000;

export const RECORDS = 'records';
export const BYTES = 'bytes';
export const LAG = 'lagRecords';

export type HistoryPorts = Pick<ServerPorts, 'store' | 'jobs' | 'clock' | 'log'>;

export class HistoryKeeper {
  readonly #ports: HistoryPorts;
  readonly #isServer: boolean;
  #cancel: (() => void) | null = null;
  #isClosed = false;

  /** A process beside the server tells what it has copied itself, and the server the rest, which is the same for all of them. */
  constructor(ports: HistoryPorts, { isServer }: { readonly isServer: boolean }) {
    this.#ports = ports;
    this.#isServer = isServer;
    this.#schedule();
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
  }

  #schedule(): void {
    if (this.#isClosed) return;
    this.#cancel = this.#ports.clock.schedule(SAMPLE_MS, () => {
      void this.#keep()
        .catch((error: unknown) => this.#ports.log({ message: 'figures not kept', requestId: null, error }))
        .then(() => this.#schedule());
    });
  }

  async #keep(): Promise<void> {
    const { store, jobs } = this.#ports;
    for await (const { id } of everyItem((request) => store.jobs.list(request))) await this.#keepJob(id, jobs.job(id));
  }

  /** A job that does not run says nothing: neither is its lag zero nor are its incidents over. */
  async #keepJob(jobId: string, running: RunningJob): Promise<void> {
    const { store, jobs } = this.#ports;
    if (this.#isServer && (running.failure || isRunning(running)))
      await store.incidents.report(jobId, reportedIncidents(running));
    if (!isRunning(running)) return;
    // Its counters begin anew with each start.
    const id = `${jobId}@${running.since}@${jobs.process}`;
    const samples = samplesOf(jobId, running).filter(({ kind }) => this.#isServer || kind === 'counter');
    await store.history.record({ id, startedAt: running.since }, samples);
  }
}

function isRunning(running: RunningJob): running is RunningJob & { readonly since: number } {
  return running.status !== null && running.since !== null;
}

function samplesOf(jobId: string, running: RunningJob): Sample[] {
  const shards = running.status?.shards ?? [];
  const byTopic = Map.groupBy(shards, ({ topic }) => topic);
  const samples = (topic: string | null, of: typeof shards, lag: number | null): Sample[] => {
    const sum = (key: 'recordsCopied' | 'bytesCopied'): number => of.reduce((total, shard) => total + shard[key], 0);
    return [
      { jobId, topic, metric: RECORDS, kind: 'counter', value: sum('recordsCopied') },
      { jobId, topic, metric: BYTES, kind: 'counter', value: sum('bytesCopied') },
      ...(lag === null ? [] : [{ jobId, topic, metric: LAG, kind: 'gauge' as const, value: lag }]),
    ];
  };
  return [
    ...samples(null, shards, lagOf(running)),
    ...[...byTopic].flatMap(([topic, of]) =>
      samples(topic, of, lagOf({ ...running, status: running.status && { ...running.status, shards: of } })),
    ),
  ];
}

function reportedIncidents(running: RunningJob): ReportedIncident[] {
  const failure = running.failure ? [incidentView(running.failure)] : [];
  const incidents = [...failure, ...incidentViews(running)];
  return incidents.map(({ offsets, at: _, ...incident }) => ({
    ...incident,
    offsetFrom: offsets?.from ?? null,
    offsetTo: offsets?.to ?? null,
  }));
}
