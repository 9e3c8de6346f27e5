/** A small HTTP server as the rooms see it; the system's is in host.ts. */

export interface HttpRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string | undefined>>;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface HttpDoor {
  /** `host:port` where it listens, with the port that it was given for 0. */
  readonly address: string;
  /** Ends all connections. */
  close(): Promise<void>;
}

/**
 * Listens, and answers each request at once with what `answer` returns; bodies of requests are not read. Slow and idle clients
 * are cut off, and only a few connections are held at a time. Rejects where it cannot listen.
 */
export type Listen = (options: {
  readonly host: string;
  readonly port: number;
  readonly answer: (request: HttpRequest) => HttpAnswer;
}) => Promise<HttpDoor>;
