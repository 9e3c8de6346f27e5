/** What a process can say of itself; the system's is in host.ts. */
export interface ProcessFigures {
  read(): {
    readonly cpuSeconds: number;
    readonly residentBytes: number;
    readonly heapUsedBytes: number;
    /** Milliseconds since the epoch. */
    readonly startedAt: number;
  };
  /** Begins to measure how late the event loop comes to what is due. */
  watchEventLoop(): EventLoopWatch;
}

export interface EventLoopWatch {
  /** Since the last call, or since the beginning. */
  take(): EventLoopDelay;
  stop(): void;
}

export interface EventLoopDelay {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}
