/** Metrics as text: Prometheus' format 0.0.4, and OpenMetrics 1.0 for whoever asks for it. */
import type { Family, Labels } from './metric-set.ts';

export type ExpositionFormat = 'prometheus' | 'openmetrics';

export const CONTENT_TYPES: Readonly<Record<ExpositionFormat, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/** What an Accept header wants most of the two; Prometheus' own text where it does not say. */
export function formatFor(accept: string | undefined): ExpositionFormat {
  let [openMetrics, text] = [0, 0];
  for (const range of (accept ?? '').split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const stated = parameters.find((each) => each.startsWith('q='));
    const quality = stated === undefined ? 1 : Number(stated.slice(2)) || 0;
    const version = parameters.find((each) => each.startsWith('version='));
    if (type === 'application/openmetrics-text' && (version === undefined || version === 'version=1.0.0'))
      openMetrics = Math.max(openMetrics, quality);
    if (type === 'text/plain' || type === 'text/*') text = Math.max(text, quality);
  }
  return openMetrics > 0 && openMetrics >= text ? 'openmetrics' : 'prometheus';
}

export function formatMetrics(families: readonly Family[], format: ExpositionFormat): string {
  const lines: string[] = [];
  for (const family of families) {
    const { name, type, help, bounds, samples, histograms } = family;
    // OpenMetrics names a counter without the ending of its samples.
    const shown = format === 'openmetrics' && type === 'counter' ? name.replace(/_total$/, '') : name;
    lines.push(`# HELP ${shown} ${escapeHelp(help, format)}`, `# TYPE ${shown} ${type}`);
    for (const { labels, value } of samples) lines.push(`${name}${formatLabels(labels)} ${formatValue(value)}`);
    for (const { labels, histogram } of histograms) {
      let below = 0;
      for (const [index, count] of histogram.counts.entries()) {
        below += count;
        const le = formatValue(bounds[index] ?? Infinity, format);
        lines.push(`${name}_bucket${formatLabels({ ...labels, le })} ${below}`);
      }
      lines.push(`${name}_sum${formatLabels(labels)} ${formatValue(histogram.sum)}`);
      lines.push(`${name}_count${formatLabels(labels)} ${below}`);
    }
  }
  if (format === 'openmetrics') lines.push('# EOF');
  return `${lines.join('\n')}\n`;
}

function formatLabels(labels: Labels): string {
  let text = '';
  for (const name in labels) text += `${text === '' ? '' : ','}${name}="${escapeLabel(labels[name] ?? '')}"`;
  return text === '' ? '' : `{${text}}`;
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '"': '\\"' };

/** Names come from clusters: nothing in them ends a label or a line. Halves of surrogate pairs are no UTF-8. */
function escapeLabel(value: string): string {
  return value.toWellFormed().replace(/[\\\n"]/g, (sign) => ESCAPES[sign] ?? sign);
}

function escapeHelp(text: string, format: ExpositionFormat): string {
  const signs = format === 'openmetrics' ? /[\\\n"]/g : /[\\\n]/g;
  return text.replace(signs, (sign) => ESCAPES[sign] ?? sign);
}

/** As Go reads floating point numbers. OpenMetrics wants the bounds of buckets with a point. */
function formatValue(value: number, format: ExpositionFormat = 'prometheus'): string {
  if (value === Infinity) return '+Inf';
  if (value === -Infinity) return '-Inf';
  return format === 'openmetrics' && Number.isInteger(value) ? `${value}.0` : String(value);
}
