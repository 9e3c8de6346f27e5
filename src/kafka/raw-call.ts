import type { Connection } from './connection.ts';
import { MalformedFrameError } from './errors.ts';
import type { Frame } from './frame.ts';
import { Reader } from './protocol/reader.ts';

export interface HandwrittenRequest {
  readonly api: {
    readonly key: number;
    readonly name: string;
    readonly minVersion: number;
    readonly maxVersion: number;
    readonly flexibleVersion: number;
  };
  readonly chunks: readonly Uint8Array[];
  readonly timeoutMs: number;
  /** See RawRequest. */
  readonly mayLeave?: () => boolean;
}

/** What outside the hot path asks for at most (simple-log.ts), and one batch that is larger than the rest. */
const BYTES_EXPECTED = 2 * 1024 * 1024;

/**
 * One request of a hand-written codec (Produce, Fetch) outside the hot path. `decode` gets a reader and the buffer that
 * it reads, which is valid during the call only, unless there is a frame and `decode` retains it. Throws KafkaError.
 */
export function callRaw<T>(
  connection: Connection,
  request: HandwrittenRequest,
  decode: (reader: Reader, buffer: Buffer, frame: Frame | null) => T,
): Promise<T> {
  const version = connection.versionOf(request.api);
  return new Promise<T>((resolve, reject) => {
    connection.send({
      api: request.api,
      version,
      chunks: request.chunks,
      timeoutMs: request.timeoutMs,
      ...(request.mayLeave ? { mayLeave: request.mayLeave } : {}),
      rawBytesExpected: BYTES_EXPECTED,
      onError: reject,
      onResponse: ({ buffer, start, end, frame }) => {
        try {
          resolve(decode(new Reader(buffer, start, end), buffer, frame));
        } catch (error) {
          reject(error as Error);
          if (error instanceof MalformedFrameError) throw error; // the connection closes: nothing behind it can be trusted
        }
      },
    });
  });
}
