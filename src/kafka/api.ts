import type { Reader } from './protocol/reader.ts';
import type { Writer } from './protocol/writer.ts';

/**
 * One request type of the Kafka protocol, as generated from Kafka's own message definitions into protocol/.
 * `minVersion`..`maxVersion` is what we speak; a connection uses the highest that the broker speaks too.
 */
export interface Api<Request, Response> {
  readonly key: number;
  /** Kafka's own name without 'Request': `ListOffsets`. */
  readonly name: string;
  readonly minVersion: number;
  readonly maxVersion: number;
  /** From this version on, headers carry tagged fields and lengths are compact (KIP-482). */
  readonly flexibleVersion: number;
  /** Writes the body, without the request header. */
  writeRequest(writer: Writer, request: Request, version: number): void;
  /** Reads the body, after the response header. Throws MalformedFrameError on damaged bytes. */
  readResponse(reader: Reader, version: number): Response;
}
