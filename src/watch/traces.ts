import type { Span } from '#contract/span.ts';
import { printableJson } from '#util/printable.ts';
import { bearer, receptionOf, type Requesting, type Send } from './receivers.ts';

/** SPAN_KIND_INTERNAL, SPAN_KIND_SERVER and STATUS_CODE_ERROR of opentelemetry-proto, trace/v1. */
const KINDS: Readonly<Record<Span['kind'], number>> = { internal: 1, server: 2 };
const STATUS_ERROR = 2;

/** Sends spans, each as `encodeSpan` made it, by OTLP over HTTP in its JSON encoding. */
export function otlpTraces(
  { url, version, instance }: { readonly url: string; readonly version: string; readonly instance: string },
  { web, secret, ca }: Requesting,
): Send<string> {
  const resource = {
    attributes: attributesOf({
      'service.name': 'lockstep',
      'service.version': version,
      'service.instance.id': instance,
    }),
  };
  const scope = { name: 'lockstep', version };
  const head = `{"resourceSpans":[{"resource":${printableJson(resource)},"scopeSpans":[{"scope":${printableJson(scope)},"spans":[`;
  return async (spans, signal) => {
    const headers = { 'content-type': 'application/json', ...bearer(secret()) };
    const body = `${head}${spans.join(',')}]}]}]}`;
    const { status } = await web.send({ url, method: 'POST', headers, body, ca: ca(), signal });
    return receptionOf(status);
  };
}

/** As OTLP's JSON has it: ids in hexadecimal digits, 64-bit numbers as text. */
export function encodeSpan(span: Span): string {
  const { traceId, spanId, parentSpanId, name, kind, startMs, endMs, attributes, isFailed } = span;
  return printableJson({
    traceId,
    spanId,
    ...(parentSpanId === null ? {} : { parentSpanId }),
    name,
    kind: KINDS[kind],
    startTimeUnixNano: nanosOf(startMs),
    endTimeUnixNano: nanosOf(endMs),
    attributes: attributesOf(attributes),
    ...(isFailed ? { status: { code: STATUS_ERROR } } : {}),
  });
}

function attributesOf(attributes: Span['attributes']): object[] {
  return Object.entries(attributes).map(([key, value]) => ({
    key,
    value: typeof value === 'number' ? { intValue: String(value) } : { stringValue: value },
  }));
}

/** Nanoseconds since the epoch are more than a number holds exactly. */
function nanosOf(ms: number): string {
  const whole = Math.floor(ms);
  return String(BigInt(whole) * 1_000_000n + BigInt(Math.round((ms - whole) * 1e6)));
}
