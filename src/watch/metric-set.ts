import { assert, must } from '#util/assert.ts';
import { metricTable, type MetricName, type MetricRow } from './metric-table.ts';

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

export interface Histogram {
  /** One for each bound, and one for what is above: not cumulated. */
  readonly counts: readonly number[];
  readonly sum: number;
}

/** One metric with all its series. */
export interface Family extends MetricRow {
  readonly name: MetricName;
  readonly samples: readonly Sample[];
  readonly histograms: readonly { readonly labels: Labels; readonly histogram: Histogram }[];
}

const allowedLabels = new Map<MetricName, ReadonlySet<string>>(
  (Object.keys(metricTable) as MetricName[]).map((name) => [name, new Set<string>(metricTable[name].labels)]),
);

/** The series of one scrape, in the order of the table. A label that is missing stands for all of its values together. */
export class MetricSet {
  readonly #samples = new Map<MetricName, Sample[]>();
  readonly #histograms = new Map<MetricName, { labels: Labels; histogram: Histogram }[]>();

  /** null is not known: no series, never a zero. */
  add(name: MetricName, labels: Labels, value: number | null | undefined): void {
    if (value === null || value === undefined) return;
    checkLabels(name, labels);
    const samples = this.#samples.get(name);
    if (samples) samples.push({ labels, value });
    else this.#samples.set(name, [{ labels, value }]);
  }

  addHistogram(name: MetricName, labels: Labels, histogram: Histogram): void {
    checkLabels(name, labels);
    assert(metricTable[name].type === 'histogram', `${name} is a histogram`);
    assert(histogram.counts.length === metricTable[name].bounds.length + 1, 'a histogram has one count for each bound');
    const histograms = this.#histograms.get(name);
    if (histograms) histograms.push({ labels, histogram });
    else this.#histograms.set(name, [{ labels, histogram }]);
  }

  families(): Family[] {
    return (Object.keys(metricTable) as MetricName[]).flatMap((name) => {
      const samples = this.#samples.get(name) ?? [];
      const histograms = this.#histograms.get(name) ?? [];
      return samples.length + histograms.length === 0 ? [] : [{ name, ...metricTable[name], samples, histograms }];
    });
  }
}

function checkLabels(name: MetricName, labels: Labels): void {
  const allowed = must(allowedLabels.get(name), `labels of ${name}`);
  for (const label in labels) assert(allowed.has(label), `${name} has a label "${label}"`);
}
