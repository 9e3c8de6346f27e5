import { Distribution } from './distribution.ts';
import type { Labels, MetricSet } from './metric-set.ts';
import { metricTable } from './metric-table.ts';

export interface AnsweredRequest {
  readonly method: string;
  /** As it is registered, with names of parameters in the place of their values; null: there is no such address. */
  readonly route: string | null;
  readonly status: number;
  /** Null: of a stream, which lasts as long as somebody listens. */
  readonly durationMs: number | null;
}

/** What a server has answered. There are as many series as routes, whatever addresses somebody asks for. */
export class HttpMetrics {
  readonly #counts = new Map<string, { readonly labels: Labels; count: number }>();
  readonly #durations = new Map<string, { readonly labels: Labels; readonly distribution: Distribution }>();

  observe({ method, route: registered, status, durationMs }: AnsweredRequest): void {
    const route = registered ?? 'none';
    const place = `${method} ${route}`;
    const labels = { method, route, status: `${Math.floor(status / 100)}xx` };
    const key = `${place} ${labels.status}`;
    const known = this.#counts.get(key);
    if (known) known.count++;
    else this.#counts.set(key, { labels, count: 1 });
    if (durationMs === null) return;
    const { distribution } = this.#durations.get(place) ?? this.#begin(place, { method, route });
    distribution.add(durationMs / 1000);
  }

  readonly collect = (into: MetricSet): void => {
    for (const { labels, count } of this.#counts.values()) into.add('lockstep_http_requests_total', labels, count);
    for (const { labels, distribution } of this.#durations.values())
      into.addHistogram('lockstep_http_request_duration_seconds', labels, distribution);
  };

  #begin(place: string, labels: Labels) {
    const { bounds } = metricTable.lockstep_http_request_duration_seconds;
    const begun = { labels, distribution: new Distribution(bounds) };
    this.#durations.set(place, begun);
    return begun;
  }
}
