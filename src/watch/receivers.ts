/** What Pushgateway, Splunk's HTTP Event Collector and Loki are sent, and what their answers mean. */
import type { RunEvent } from '#contract/status.ts';
import type { Web } from '#util/host.ts';
import { printableJson } from '#util/printable.ts';
import type { Reception } from './delivery.ts';

export interface Requesting {
  readonly web: Web;
  /** Read anew for each request. May throw; then the attempt has failed. */
  readonly secret: () => string | null;
  readonly ca: () => string | null;
}

/** Something that happened, or how a job stands, as one JSON text. */
export interface EventItem {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly job: string | null;
  readonly kind: string;
  readonly json: string;
}

export type Send<Item> = (
  items: readonly Item[],
  signal: AbortSignal,
) => Promise<{ reception: Reception; why: string }>;

/** How a job stands is sent as a record of its own; progress as such would be a megabyte a second. */
export function itemOf(event: RunEvent): EventItem | null {
  if (event.event === 'progress' || event.event === 'verifying') return null;
  const at = 'at' in event ? event.at : event.incident.at;
  if (event.event === 'ended' || event.event === 'verifying-ended') {
    const { status: _status, ...rest } = event;
    return { at, job: jobOf(event), kind: event.event, json: printableJson(rest) };
  }
  return { at, job: jobOf(event), kind: event.event, json: printableJson(event) };
}

function jobOf(event: Exclude<RunEvent, { event: 'progress' | 'verifying' }>): string | null {
  if ('incident' in event) return event.incident.mirror;
  return 'job' in event ? event.job : event.mirror;
}

/** Replaces all that this instance has pushed before. */
export function pushgateway(
  { url, instance }: { readonly url: string; readonly instance: string },
  { web, secret, ca }: Requesting,
): Send<string> {
  const group = `/metrics/job/lockstep/instance@base64/${Buffer.from(instance).toString('base64url')}`;
  return async (items, signal) => {
    const headers = {
      'content-type': 'text/plain; version=0.0.4; charset=utf-8',
      ...bearer(secret()),
    };
    const body = items.at(-1) ?? '';
    const { status } = await web.send({ url: under(url, group), method: 'PUT', headers, body, ca: ca(), signal });
    return receptionOf(status);
  };
}

export function splunk(
  settings: {
    readonly url: string;
    readonly index: string | null;
    readonly source: string;
    readonly host: string;
  },
  { web, secret, ca }: Requesting,
): Send<EventItem> {
  const { url, index, source, host } = settings;
  return async (items, signal) => {
    // Objects behind one another, as HEC takes a batch.
    const body = items
      .map(({ at, json }) => {
        const frame = { time: at / 1000, host, source, sourcetype: '_json', ...(index === null ? {} : { index }) };
        return `${printableJson(frame).slice(0, -1)},"event":${json}}`;
      })
      .join('\n');
    const headers = { 'content-type': 'application/json', authorization: `Splunk ${secret() ?? ''}` };
    const { status } = await web.send({ url, method: 'POST', headers, body, ca: ca(), signal });
    return receptionOf(status);
  };
}

interface LokiStream {
  readonly stream: Readonly<Record<string, string>>;
  /** Nanoseconds since the epoch, and a line. */
  readonly values: [string, string][];
}

/** A stream for each job and kind: their number is bounded by the jobs of the file. */
export function loki(
  { url, tenant, host }: { readonly url: string; readonly tenant: string | null; readonly host: string },
  { web, secret, ca }: Requesting,
): Send<EventItem> {
  return async (items, signal) => {
    const streams = new Map<string, LokiStream>();
    for (const { at, job, kind, json } of items) {
      const stream = { service: 'lockstep', host, kind, ...(job === null ? {} : { job_id: job }) };
      const key = printableJson(stream);
      const into: LokiStream = streams.get(key) ?? { stream, values: [] };
      streams.set(key, into);
      into.values.push([`${at}000000`, json]);
    }
    const headers = {
      'content-type': 'application/json',
      ...bearer(secret()),
      ...(tenant === null ? {} : { 'x-scope-orgid': tenant }),
    };
    const body = printableJson({ streams: [...streams.values()] });
    const { status } = await web.send({ url, method: 'POST', headers, body, ca: ca(), signal });
    return receptionOf(status);
  };
}

export function bearer(token: string | null): { authorization?: string } {
  return token === null ? {} : { authorization: `Bearer ${token}` };
}

function under(url: string, path: string): string {
  return `${url.replace(/\/+$/, '')}${path}`;
}

/** What is asked of a person (a token, a right, an address) may be mended: it is tried again. The rest of 4xx is about the content. */
const MENDED_BY_PEOPLE = new Set([401, 403, 404, 405, 407, 408, 425, 429]);

/** The answer's text is not repeated: nobody knows what a receiver puts there. */
export function receptionOf(status: number): { reception: Reception; why: string } {
  const why = `it answered with status ${status}`;
  if (status >= 200 && status < 300) return { reception: 'taken', why };
  const isRefused = status >= 400 && status < 500 && !MENDED_BY_PEOPLE.has(status);
  return { reception: isRefused ? 'refused' : 'again', why };
}
