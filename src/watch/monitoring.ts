import type { RunEvent } from '#contract/status.ts';
import type { MonitoringSettings } from '#contract/monitoring-settings.ts';
import type { SecretRef } from '#contract/cluster-security.ts';
import type { Span } from '#contract/span.ts';
import type { Clock } from '#util/clock.ts';
import type { Web } from '#util/host.ts';
import type { HttpAnswer, HttpDoor, HttpRequest, Listen } from '#util/http.ts';
import { printableJson } from '#util/printable.ts';
import type { EventLoopDelay, EventLoopWatch, ProcessFigures } from '#util/process-figures.ts';
import type { Random } from '#util/random.ts';
import type { ClusterCertificate } from './certificates/cluster-certificates.ts';
import { expiryOf } from './certificates/expiry.ts';
import { Delivery } from './delivery.ts';
import { CONTENT_TYPES, type ExpositionFormat, formatFor, formatMetrics } from './exposition.ts';
import type { Family, MetricSet } from './metric-set.ts';
import { collectProcess, Metrics, type WatchedJob } from './metrics.ts';
import { type EventItem, itemOf, loki, pushgateway, type Requesting, splunk } from './receivers.ts';
import { encodeSpan, otlpTraces } from './traces.ts';
import { isToken } from './token.ts';

export interface MonitoringPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly web: Web;
  readonly listen: Listen;
  readonly figures: ProcessFigures;
  /** Reads what stands behind a reference now. Throws where it cannot be had. */
  readonly readSecret: (ref: SecretRef, what: string) => string;
  /** Host name and process id. */
  readonly process: string;
}

export interface MonitoringOptions {
  readonly settings: MonitoringSettings;
  readonly jobs: readonly WatchedJob[];
  readonly certificates: readonly ClusterCertificate[];
  readonly version: string;
  /** What /readyz waits for; without it, each job that does not say how it stands. */
  readonly waitsFor?: () => readonly string[];
  /** A receiver begins to fail or to refuse things. */
  readonly onTrouble: (receiver: string, why: string) => void;
}

const CERTIFICATES_EVERY_MS = 3_600_000;
const EVENT_LOOP_EVERY_MS = 10_000;
/** Several scrapers at once, or one that does not wait, cost the data path no more than one a second. */
const TEXT_MS = 1_000;
/** Of a mirror of very many partitions a status is due every few seconds. */
const STATUS_MS = 120_000;
const DEADLINE_MS = 10_000;
const GRACE_MS = 2_000;
const EVENT_BATCH_BYTES_MAX = 512 * 1024;
/** Requests come one by one, and are told of together. */
const TRACES_LINGER_MS = 1_000;
/** So many events are no queue for anybody: what one costs beside its text is bounded by it too. */
const EVENTS_MAX = 20_000;

/** Metrics of a process to whoever asks for them, and, where that is wanted, to receivers that do not ask. */
export class Monitoring {
  readonly #ports: MonitoringPorts;
  readonly #options: MonitoringOptions;
  readonly #metrics: Metrics;
  readonly #documents: Delivery<string> | null;
  readonly #events: readonly Delivery<EventItem>[];
  readonly #traces: Delivery<string> | null;
  readonly #loop: EventLoopWatch;
  #delay: EventLoopDelay | null = null;
  readonly #texts = new Map<ExpositionFormat, { readonly atMs: number; readonly text: string }>();
  readonly #others: ((into: MetricSet) => void)[] = [];
  readonly #cancels: (() => void)[] = [];
  #door: HttpDoor | null = null;
  /** When they end; what cannot be read is not known. */
  #ends: readonly (ClusterCertificate & { readonly at: number })[] = [];

  /** Rejects where it cannot listen. */
  static async open(ports: MonitoringPorts, options: MonitoringOptions): Promise<Monitoring> {
    const { listen } = options.settings;
    const monitoring = new Monitoring(ports, options);
    try {
      if (listen)
        monitoring.#door = await ports.listen({ ...listen, answer: (request) => monitoring.#answer(request) });
    } catch (error) {
      monitoring.#loop.stop();
      throw error;
    }
    monitoring.#readCertificates();
    monitoring.#every(CERTIFICATES_EVERY_MS, () => monitoring.#readCertificates());
    monitoring.#every(EVENT_LOOP_EVERY_MS, () => (monitoring.#delay = monitoring.#loop.take()));
    if (monitoring.#documents || monitoring.#events.length > 0)
      monitoring.#every(options.settings.push.everyMs, () => monitoring.#push());
    return monitoring;
  }

  private constructor(ports: MonitoringPorts, options: MonitoringOptions) {
    this.#ports = ports;
    this.#options = options;
    const { settings, jobs, version } = options;
    this.#metrics = new Metrics({ ...settings, jobs, version });
    this.#documents = this.#createDocuments();
    this.#events = this.#createEvents();
    this.#traces = this.#createTraces();
    this.#loop = ports.figures.watchEventLoop();
  }

  /** Where it listens; null where it does not. */
  get address(): string | null {
    return this.#door?.address ?? null;
  }

  /** These are all jobs from now on. */
  watch(jobs: readonly WatchedJob[]): void {
    this.#metrics.watch(jobs);
  }

  /** Each time, `collect` adds what it has to say. It must not wait for anything. */
  also(collect: (into: MetricSet) => void): void {
    this.#others.push(collect);
  }

  observe(event: RunEvent): void {
    this.#metrics.observe(event);
    if (this.#events.length === 0) return;
    const item = itemOf(event);
    if (item) this.#offer(item);
  }

  /** Null where nobody is to be told of traces. */
  get traces(): { readonly percent: number; readonly take: (span: Span) => void } | null {
    const { traces } = this.#options.settings;
    const delivery = this.#traces;
    if (!traces || !delivery) return null;
    const take = (span: Span): void => {
      const json = encodeSpan(span);
      delivery.offer(json, Buffer.byteLength(json));
    };
    return { percent: traces.percent, take };
  }

  /** Gives receivers a moment for what they have not got yet. */
  async close(): Promise<void> {
    for (const cancel of this.#cancels) cancel();
    if (this.#documents || this.#events.length > 0) this.#push();
    this.#loop.stop();
    await Promise.all([...this.#deliveries().map((each) => each.close(GRACE_MS)), this.#door?.close()]);
  }

  #every(everyMs: number, work: () => void): void {
    const { clock } = this.#ports;
    const index = this.#cancels.length;
    const turn = (): void => {
      this.#cancels[index] = clock.schedule(everyMs, turn);
      work();
    };
    this.#cancels.push(clock.schedule(everyMs, turn));
  }

  // ---- asked

  #answer({ method, path, headers }: HttpRequest): HttpAnswer {
    if (method !== 'GET' && method !== 'HEAD') return text(405, 'only GET and HEAD\n', { allow: 'GET, HEAD' });
    if (path === '/healthz') return text(200, 'ok\n');
    if (path === '/readyz') return this.#readiness();
    if (path !== '/metrics') return text(404, 'there are /metrics, /healthz and /readyz\n');
    if (!this.#isAdmitted(headers['authorization']))
      return text(401, 'a token is needed\n', { 'www-authenticate': 'Bearer' });
    const format = formatFor(headers['accept']);
    return { status: 200, headers: { 'content-type': CONTENT_TYPES[format] }, body: this.#text(format) };
  }

  #isAdmitted(authorization: string | undefined): boolean {
    const { token } = this.#options.settings;
    if (token === null) return true;
    try {
      return isToken(authorization, this.#ports.readSecret(token, 'monitoring.token'));
    } catch {
      return false; // a token that cannot be had opens nothing
    }
  }

  /** Every job has begun and goes on saying how it stands. Partitions that have stopped are no reason to be started anew. */
  #readiness(): HttpAnswer {
    const silent = this.#options.waitsFor?.() ?? this.#metrics.silent(this.#ports.clock.now(), STATUS_MS);
    return silent.length === 0 ? text(200, 'ready\n') : text(503, `waiting for ${printableJson(silent)}\n`);
  }

  #text(format: ExpositionFormat): string {
    const atMs = this.#ports.clock.monotonic();
    const before = this.#texts.get(format);
    if (before && atMs - before.atMs < TEXT_MS) return before.text;
    const made = formatMetrics(this.#families(), format);
    this.#texts.set(format, { atMs, text: made });
    return made;
  }

  #families(): Family[] {
    return this.#metrics.collect(this.#ports.clock.now(), (into) => {
      this.#collectDeliveries(into);
      for (const { cluster, name, at } of this.#ends)
        into.add('lockstep_certificate_end_timestamp_seconds', { cluster, certificate: name }, at / 1000);
      for (const collect of this.#others) collect(into);
      collectProcess(into, this.#ports.figures, this.#delay);
    });
  }

  #readCertificates(): void {
    const { readSecret, clock } = this.#ports;
    this.#ends = this.#options.certificates.flatMap((each) => {
      try {
        const expiry = expiryOf(readSecret(each.ref, each.name), clock.now());
        return expiry ? [{ ...each, at: expiry.at }] : [];
      } catch {
        return []; // whoever connects with it is told, and says so
      }
    });
  }

  #collectDeliveries(into: MetricSet): void {
    for (const delivery of this.#deliveries()) {
      const labels = { receiver: delivery.receiver };
      const { sent, refused, dropped, failures, queueBytes } = delivery.counts();
      into.add('lockstep_push_sent_total', labels, sent);
      into.add('lockstep_push_refused_total', labels, refused);
      into.add('lockstep_push_dropped_total', labels, dropped);
      into.add('lockstep_push_failures_total', labels, failures);
      into.add('lockstep_push_queue_bytes', labels, queueBytes);
    }
  }

  #deliveries(): Pick<Delivery<unknown>, 'receiver' | 'counts' | 'close'>[] {
    return [this.#documents, ...this.#events, this.#traces].filter((each) => each !== null);
  }

  // ---- told

  #push(): void {
    if (this.#documents) {
      const document = formatMetrics(this.#families(), 'prometheus');
      this.#documents.offer(document, Buffer.byteLength(document));
    }
    const at = this.#ports.clock.now();
    for (const record of this.#metrics.records())
      this.#offer({ at, job: String(record['job_id']), kind: 'metrics', json: printableJson(record) });
  }

  #offer(item: EventItem): void {
    const bytes = Buffer.byteLength(item.json);
    for (const delivery of this.#events) delivery.offer(item, bytes);
  }

  #createDocuments(): Delivery<string> | null {
    const { prometheus } = this.#options.settings;
    if (!prometheus) return null;
    const { pushGateway: url, token } = prometheus;
    const send = pushgateway({ url, instance: this.#ports.process }, this.#requesting(token, 'prometheus.token'));
    // Only the newest document counts, whose size the bounds of series bound.
    const one = { itemsMax: 1, queueBytesMax: Infinity, batchBytesMax: Infinity };
    return new Delivery({ ...this.#common('pushgateway'), ...one, send });
  }

  #createEvents(): Delivery<EventItem>[] {
    const { splunk: hec, loki: to } = this.#options.settings;
    const { process } = this.#ports;
    const batches = { itemsMax: EVENTS_MAX, batchBytesMax: EVENT_BATCH_BYTES_MAX };
    const all: Delivery<EventItem>[] = [];
    if (hec) {
      const { hecEndpoint: url, index, source, hecToken } = hec;
      const send = splunk({ url, index, source, host: process }, this.#requesting(hecToken, 'splunk.hecToken'));
      all.push(new Delivery({ ...this.#common('splunk'), ...batches, send }));
    }
    if (to) {
      const { endpoint: url, tenant, token } = to;
      const send = loki({ url, tenant, host: process }, this.#requesting(token, 'loki.token'));
      all.push(new Delivery({ ...this.#common('loki'), ...batches, send }));
    }
    return all;
  }

  #createTraces(): Delivery<string> | null {
    const { settings, version } = this.#options;
    if (!settings.traces) return null;
    const { endpoint: url, token } = settings.traces;
    const instance = this.#ports.process;
    const send = otlpTraces({ url, version, instance }, this.#requesting(token, 'traces.token'));
    return new Delivery({
      ...this.#common('otlp'),
      itemsMax: EVENTS_MAX,
      batchBytesMax: EVENT_BATCH_BYTES_MAX,
      lingerMs: TRACES_LINGER_MS,
      send,
    });
  }

  #common(receiver: string) {
    const { clock, random } = this.#ports;
    const { onTrouble, settings } = this.#options;
    return { receiver, clock, random, queueBytesMax: settings.push.queueBytesMax, deadlineMs: DEADLINE_MS, onTrouble };
  }

  #requesting(token: SecretRef | null, what: string): Requesting {
    const { readSecret, web } = this.#ports;
    const { ca } = this.#options.settings.push;
    return {
      web,
      secret: () => (token === null ? null : readSecret(token, `monitoring.${what}`)),
      ca: () => (ca === null ? null : readSecret({ file: ca }, 'monitoring.push.caFile')),
    };
  }
}

function text(status: number, body: string, headers: Readonly<Record<string, string>> = {}): HttpAnswer {
  return { status, headers: { ...headers, 'content-type': 'text/plain; charset=utf-8' }, body };
}
