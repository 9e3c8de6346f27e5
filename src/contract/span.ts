/** A stretch of work in a trace, as OpenTelemetry has it. */
export interface Span {
  /** 32 and 16 lower-case hexadecimal digits. */
  readonly traceId: string;
  readonly spanId: string;
  /** Null: it is the first of its trace. */
  readonly parentSpanId: string | null;
  readonly name: string;
  /** `server` answers a request from outside, `internal` is a part of it. */
  readonly kind: 'server' | 'internal';
  /** Milliseconds since the epoch, with a fraction. */
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly isFailed: boolean;
}
